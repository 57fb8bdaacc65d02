"""E-processes from a sequence of p-values: bets against "each is uniform, whatever came before".

Capital starts at 1 and is staked on each next p-value; where nothing is wrong its mean does not grow, so it reaches
1/level at any time with a probability of at most `level` (Ville 1939). Memory is a few numbers, however long the
sequence.

The p-values must each be uniform (or larger) given the ones before. `history` gives such ones for an account against
its own past, `community.joint_p_values` for the accounts of a community. Daily p-values of one account against *other*
accounts are not such: an unusual customer is unusual every day. For that, rank the largest score of a horizon
(`conformal`).

Sources: Vovk, Nouretdinov and Gammerman 2003 (betting on conformal p-values, power martingales); Vovk, Petej,
Nouretdinov, Ahlberg, Carlsson and Gammerman 2021 ("Retrain or not retrain", the simple jumper); Shafer and Vovk 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spiritsafe.errors import InputError, shown
from spiritsafe.stats.evalues import from_log

KAPPAS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Exponents of the power bets that capital is spread over evenly; the best one pays at least a seventh of its own."""

_TICK = 1 << 20


@dataclass(frozen=True, slots=True)
class PowerBets:
    """Capital from small p-values, spread over the bets κ·p^(κ−1); sequences that are independent of each other merge.

    The state is two whole numbers, so merging in any order gives the same bits. −ln p is rounded down to a millionth,
    which can only lower the capital.

    Attributes:
        count: p-values seen.
        ticks: the sum of −ln p, in units of 2⁻²⁰.
    """

    count: int = 0
    ticks: int = 0

    def bet(self, p: float) -> PowerBets:
        """The state after one more p-value.

        Raises:
            InputError: p is not in 0 < p ≤ 1.
        """
        return PowerBets(self.count + 1, self.ticks + math.floor(-_log(p) * _TICK))

    def merge(self, other: PowerBets) -> PowerBets:
        """The state of both sequences; valid where they are independent where nothing is wrong."""
        return PowerBets(self.count + other.count, self.ticks + other.ticks)

    @property
    def log_e(self) -> float:
        """The logarithm of the capital."""
        total = self.ticks / _TICK
        return _log_mean([self.count * math.log(kappa) + (1 - kappa) * total for kappa in KAPPAS])

    @property
    def e_value(self) -> float:
        """The capital."""
        return from_log(self.log_e)


@dataclass(frozen=True, slots=True)
class LateBets:
    """`PowerBets` that also start late: for an account that was ordinary for a while and then was not.

    A share 1/(s(s+1)) of the capital waits until the s-th p-value; the shares sum to 1, so the total is an e-process.
    A change after n p-values costs a factor of about n² and nothing else. States do not merge: average their values.

    Attributes:
        count: p-values seen.
        logs: the logarithm of the capital in play, for each of `KAPPAS`.
    """

    count: int = 0
    logs: tuple[float, ...] = (-math.inf,) * len(KAPPAS)

    def bet(self, p: float) -> LateBets:
        """The state after one more p-value.

        Raises:
            InputError: p is not in 0 < p ≤ 1.
        """
        log_p = _log(p)
        joining = -math.log((self.count + 1) * (self.count + 2))
        return LateBets(
            self.count + 1,
            tuple(
                _log_sum(log, joining) + math.log(kappa) + (kappa - 1) * log_p
                for kappa, log in zip(KAPPAS, self.logs, strict=True)
            ),
        )

    @property
    def log_e(self) -> float:
        """The logarithm of the capital, what is still waiting included."""
        return _log_sum(_log_mean(self.logs), -math.log(self.count + 1))

    @property
    def e_value(self) -> float:
        """The capital, what is still waiting included."""
        return from_log(self.log_e)


@dataclass(frozen=True, slots=True)
class Jumper:
    """The simple jumper: bets 1 + ε·(p − ½) for ε = −1, 0, 1, a little of the capital changing its ε at each step.

    It follows a drift in either direction and forgets old bets. It needs p-values that are exactly uniform (ties broken
    by a draw), since it also bets on large ones. States do not merge: average their values.

    Attributes:
        logs: the logarithm of the capital on each ε.
        jump: the share that is spread anew at each step.
    """

    logs: tuple[float, float, float] = (-math.log(3),) * 3
    jump: float = 0.01

    def bet(self, p: float) -> Jumper:
        """The state after one more p-value.

        Raises:
            InputError: p is not in 0 < p ≤ 1, or the jump is not in (0, 1).
        """
        if not 0 < self.jump < 1:
            raise InputError(f"got a jump of {shown(self.jump)}, wanted a share between 0 and 1")
        _log(p)
        spread = self.log_e + math.log(self.jump / 3)
        stay = math.log1p(-self.jump)
        down, flat, up = (_log_sum(log + stay, spread) for log in self.logs)
        return Jumper((down + math.log(1.5 - p), flat, up + math.log(0.5 + p)), self.jump)

    @property
    def log_e(self) -> float:
        """The logarithm of the capital."""
        return _log_mean(self.logs) + math.log(3)

    @property
    def e_value(self) -> float:
        """The capital."""
        return from_log(self.log_e)


def _log(p: float) -> float:
    if not 0 < p <= 1:
        raise InputError(f"got the p-value {shown(p)}, wanted a number above 0 and at most 1")
    return math.log(p)


def _log_sum(a: float, b: float) -> float:
    """ln(exp a + exp b)."""
    low, high = sorted((a, b))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _log_mean(logs: Sequence[float]) -> float:
    """ln of the mean of exp."""
    high = max(logs)
    if high == -math.inf:
        return high
    return high + math.log(math.fsum(math.exp(log - high) for log in logs) / len(logs))
