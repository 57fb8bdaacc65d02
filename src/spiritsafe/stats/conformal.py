"""Conformal p-values by account: how many ordinary accounts of the same segment look at least as strange as this one.

The unit that is exchangeable is the account, not the query: a customer is no random sample of all customers' queries,
and a threshold set on queries flags nearly every honest customer of narrow interest (tests/stats/test_windows.py).
So an ordinary account gives one number, and a new account is ranked among those numbers. The p-value is exact whatever
the score and however queries depend on each other inside an account; it asks only that the accounts of a segment could
change places. What it cannot do is reach below 1/(accounts + 1): where that is above the level asked for, the reading
is void and says why.

Watching over time: let an account's score be the largest value of any statistic within a horizon (30 days, say), for
ordinary accounts over the whole horizon, for the watched one so far. Its p-value then only falls, and the probability
that it is at or below `level` at any time of the horizon is at most `level`. Nothing is assumed about how an account's
days depend on each other, which a product of daily p-values would need.

Sources: Vovk, Gammerman and Shafer 2005 (conformal p-values, Mondrian categories, smoothing); Bates, Candès, Lei,
Romano and Sesia 2023 ("Testing for outliers with conformal p-values") for what holds given one reference.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from spiritsafe.errors import InputError, shown
from spiritsafe.stats.resample import binomial_table


@dataclass(frozen=True, slots=True)
class Reading:
    """A p-value, or why there is none.

    Attributes:
        p: the conformal p-value; 1 where void, so that nothing downstream can fire on it.
        accounts: ordinary accounts it was ranked among.
        void: why this gate cannot fire at the level asked for; empty where it can.
    """

    p: float
    accounts: int
    void: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """What ordinary accounts scored, segment by segment; references of different accounts merge.

    Attributes:
        scores: by segment, one score an account, rising; larger is stranger.
        watched: how long each of them was watched, in the caller's unit (days).
    """

    scores: Mapping[str, tuple[float, ...]]
    watched: float

    @classmethod
    def of(cls, scores: Mapping[str, Iterable[float]], watched: float) -> Reference:
        """A reference of unordered scores.

        Raises:
            InputError: a score is not a number.
        """
        ordered = {segment: tuple(sorted(map(_number, some))) for segment, some in sorted(scores.items())}
        return cls(MappingProxyType(ordered), watched)

    def merge(self, other: Reference) -> Reference:
        """The reference of both; the accounts must be different ones.

        Raises:
            InputError: their accounts were watched for different times, so their scores cannot be compared.
        """
        if self.watched != other.watched:
            raise InputError(
                f"got references watched for {self.watched:g} and {other.watched:g}, "
                "wanted the same time: calibrate again"
            )
        segments = self.scores.keys() | other.scores.keys()
        both = {one: (*self.scores.get(one, ()), *other.scores.get(one, ())) for one in segments}
        return Reference.of(both, self.watched)

    def read(
        self, segment: str, score: float, level: float, *, watched: float = 0.0, tie: float | None = None
    ) -> Reading:
        """The p-value of an account of `segment`, or a void reading where `level` cannot be promised.

        Args:
            segment: accounts are ranked among those of their own segment alone (Mondrian).
            score: of the account; larger is stranger. Over time: the largest so far.
            level: the false-alarm probability that an alarm would be raised at.
            watched: how long this account has been watched.
            tie: as in `p_value`.

        Raises:
            InputError: the score is not a number, or level or tie are out of their range.
        """
        ordered = self.scores.get(segment, ())
        void = self._void(segment, len(ordered), level, watched)
        return Reading(1.0 if void else p_value(ordered, score, tie), len(ordered), void)

    def _void(self, segment: str, accounts: int, level: float, watched: float) -> str:
        if accounts < accounts_needed(level):
            return (
                f"segment {shown(segment)} has {accounts} ordinary accounts in the reference; "
                f"a level of {level:g} needs {accounts_needed(level)}"
            )
        if watched > self.watched:
            return f"the reference watched accounts for {self.watched:g}, this one is watched for {watched:g} by now"
        return ""


def p_value(ordered: Sequence[float], score: float, tie: float | None = None) -> float:
    """The share of `ordered` and this one that are at least as large: uniform or larger, if all could change places.

    Args:
        ordered: scores of ordinary accounts, rising.
        score: the account's; larger is stranger.
        tie: None counts every tie against an alarm. A number drawn uniformly from (0, 1] breaks them and makes p
            exactly uniform, which two-sided bets (`sequential.Jumper`) need; draw it once for an account and a horizon.

    Raises:
        InputError: the score is not a number, or the tie is not in (0, 1].
    """
    if tie is not None and not 0 < tie <= 1:
        raise InputError(f"got the tie {shown(tie)}, wanted a number above 0 and at most 1")
    above = len(ordered) - bisect_right(ordered, _number(score))
    equal = bisect_right(ordered, score) - bisect_left(ordered, score)
    return (above + (equal + 1) * (1.0 if tie is None else tie)) / (len(ordered) + 1)


def finest(accounts: int) -> float:
    """The smallest p-value that a reference of so many accounts can give: 1/(accounts + 1)."""
    return 1 / (accounts + 1)


def accounts_needed(level: float) -> int:
    """How many ordinary accounts a segment needs before a p-value of `level` can be reached.

    Raises:
        InputError: the level is not in (0, 1].
    """
    if not 0 < level <= 1:
        raise InputError(f"got a level of {shown(level)}, wanted a probability above 0 and at most 1")
    # 1/0.001 comes out as 1000 or a hair above it.
    return math.ceil(1 / level - 1e-9) - 1


def false_alarm_bound(accounts: int, level: float, confidence: float = 0.95) -> float:
    """What the false-alarm rate of this one reference is below, with `confidence` over the draw of its accounts.

    A p-value's promise is an average over references; one reference of n accounts has a rate with the distribution
    Beta(k, n + 1 − k), k = ⌊level·(n + 1)⌋ (Bates et al. 2023, section 2). 999 accounts at 0.1 %: below 0.30 %.

    Returns:
        The bound; 0 where the level cannot be reached and so nothing is ever raised.

    Raises:
        InputError: there are no accounts, or level or confidence are no probabilities.
    """
    if accounts < 1 or not 0 < level < 1 or not 0 < confidence < 1:
        raise InputError(
            f"got {shown(accounts)} accounts, level {shown(level)} and confidence {shown(confidence)}, "
            "wanted at least one account and probabilities between 0 and 1"
        )
    rank = math.floor(level * (accounts + 1) + 1e-9)
    if rank == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_least(rank, accounts, middle) < confidence else (low, middle)
    return high


def _at_least(rank: int, trials: int, rate: float) -> float:
    """P(Binomial(trials, rate) ≥ rank), which is P(Beta(rank, trials + 1 − rank) ≤ rate)."""
    first, cumulative = binomial_table(trials, rate)
    if rank <= first:
        return 1.0
    place = rank - 1 - first
    return 1 - cumulative[place] if place < len(cumulative) else 0.0


def _number(score: float) -> float:
    if math.isnan(score):
        raise InputError("got a score that is not a number, wanted a number: look at the exchanges it was made of")
    return float(score)
