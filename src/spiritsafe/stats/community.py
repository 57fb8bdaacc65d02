"""Accounts that may act as one: evidence too weak in each of them, pooled.

E-values of accounts that were ranked among the same ordinary accounts depend on each other and must not be multiplied:
a reference that happens to lack high scores makes all of them high together. `pooled_e_value` asks about the group
instead: among all ways of choosing so many accounts out of these and the ordinary ones, how far does the actual choice
lie towards the high scores? One account among n ordinary ones can show at most n + 1; k of them can show as much as
there are ways to choose k of n + k. Members must have been chosen without looking at these scores (by links, or on
earlier data).

Sources: Vovk, Nouretdinov and Gammerman 2003, theorem 1 (successive ranks are independent and uniform); Lehmann 1953
for power bets on ranks. The e-value is a bet divided by its exact mean over all choices, which is an elementary
symmetric polynomial.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError
from spiritsafe.stats.conformal import p_value
from spiritsafe.stats.evalues import average, from_log
from spiritsafe.stats.sequential import KAPPAS

TILTS = (2.0, 5.0, 15.0)
"""Exponents of the second family of bets, exp(tilt·rank), for groups that are somewhat high throughout."""

_LIMIT = 4_000_000  # steps of the exact mean of one bet


def joint_p_values(
    ordered: Sequence[float], members: Sequence[float], ties: Sequence[float] | None = None
) -> list[float]:
    """Each member's p-value among the ordinary accounts and the members before it; independent of one another.

    For accounts that arrive one by one: the bets of `sequential` on these are an e-process.

    Args:
        ordered: scores of ordinary accounts, rising.
        members: scores of the accounts, in an order that does not depend on them.
        ties: a uniform draw from (0, 1] each, which makes the p-values exactly uniform; None: ties count against.

    Raises:
        InputError: a score is not a number, or ties do not fit.
    """
    if ties is not None and len(ties) != len(members):
        raise InputError(f"got {len(members)} members and {len(ties)} draws for ties, wanted one for each")
    seen = list(ordered)
    ps = []
    for place, score in enumerate(members):
        ps.append(p_value(seen, score, None if ties is None else ties[place]))
        insort(seen, score)
    return ps


def pooled_e_value(ordinary: Sequence[float], members: Sequence[float]) -> float:
    """The e-value of "these accounts, as a group, score like ordinary ones"; large where many of them score high.

    Its mean is exactly 1 where all accounts could change places, for any number of members and any ties. Bets are
    spread over ranks to the powers `KAPPAS` (a few very high members) and over `TILTS` (all somewhat high). Members
    times accounts beyond 4 million take a bound instead of the exact mean (Maclaurin's inequality), which can only
    lower it.

    Args:
        ordinary: scores of ordinary accounts of their segment, in any order.
        members: scores of the community's accounts, in any order; larger is stranger.

    Raises:
        InputError: a score is not a number.
    """
    scores = np.sort(np.concatenate([np.asarray(ordinary, dtype=float), np.asarray(members, dtype=float)]))
    if np.isnan(scores).any():
        raise InputError("got a score that is not a number, wanted a number: look at the exchanges it was made of")
    if not len(members):
        return 1.0
    # A score's share of accounts at least as high, the worst of its ties: 1/N for the highest, 1 for the lowest.
    shares = 1 - np.searchsorted(scores, scores, side="left") / len(scores)
    mine = np.searchsorted(scores, np.sort(np.asarray(members, dtype=float)), side="left")
    bets = [(kappa - 1) * np.log(shares) for kappa in KAPPAS] + [-tilt * shares for tilt in TILTS]
    return average([from_log(float(np.sum(bet[mine])) - _log_mean(bet, len(members))) for bet in bets])


def _log_mean(logs_n: NDArray[np.float64], chosen: int) -> float:
    """ln of the mean of Π exp(logs) over all choices of so many, or an upper bound on it."""
    top = float(np.max(logs_n))
    common = top + math.log(float(np.mean(np.exp(logs_n - top))))
    if chosen * len(logs_n) > _LIMIT:
        return chosen * common
    places = np.arange(1, chosen + 1)
    means = np.full(chosen + 1, -np.inf)
    means[0] = 0.0
    for seen, log in enumerate(logs_n, 1):
        # The mean over choices of j among the first `seen`: a share j/seen of the choices holds the newest.
        with np.errstate(divide="ignore"):
            without, holding = np.log(np.maximum(0.0, 1 - places / seen)), np.log(places / seen) + log
        means[1:] = np.logaddexp(without + means[1:], holding + means[:-1])
    return float(means[-1])
