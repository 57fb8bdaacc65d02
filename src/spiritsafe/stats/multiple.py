"""Many hypotheses at once: of what is reported, how much may be false.

The false discovery rate is the mean share of false ones among the reported. e-BH keeps it at or below `alpha` however
the e-values depend on one another, which matters here: accounts share calibration, clients and the time of day.

Sources: Wang and Ramdas 2022 ("False discovery rate control with e-values"); Fischer, Xu and Ramdas 2024 ("An online
generalization of the (e-)Benjamini-Hochberg procedure", arXiv 2407.20683); Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from spiritsafe.errors import InputError, shown


def e_bh(evalues: Sequence[float], alpha: float) -> list[int]:
    """Which of a fixed set of hypotheses to report: their places, in order; their FDR is at most `alpha`.

    Reports the k largest for the largest k with k·e_(k) ≥ K/alpha (Wang and Ramdas 2022). Any dependence is allowed.
    To repeat it while e-processes run, hand in their values at one common stopping time, or `evalues.adjusted` suprema
    where what was once reported stays reported.

    Raises:
        InputError: alpha is no probability, or an e-value is negative or not a number.
    """
    return online_e_bh(evalues, [1 / len(evalues)] * len(evalues) if evalues else [], alpha)


def online_e_bh(evalues: Sequence[float], shares: Sequence[float], alpha: float) -> list[int]:
    """Which of the hypotheses that have arrived so far to report: their places, in order.

    Reports i where k·alpha·share_i·e_i ≥ 1, for the largest k that at least k of them reach (Fischer, Xu and Ramdas
    2024). More hypotheses or larger e-values never withdraw a report. Why it holds: at every time the share of false
    ones is at most alpha·Σ share_i·e_i over the true nulls, whose mean is at most alpha; so it holds for the worst time
    as well, provided that each e_i is bounded by one e-value over all times (a calibrated p-value that only falls, or
    `evalues.adjusted`).

    Args:
        evalues: one each, in order of arrival.
        shares: each hypothesis's part of `alpha`, fixed on arrival; together at most 1 over all that will ever arrive
            (`fading_share`, or 1/N where at most N will).
        alpha: the false discovery rate, 0 < alpha ≤ 1.

    Raises:
        InputError: alpha is no probability, shares do not fit, or an e-value is negative or not a number.
    """
    _check_alpha(alpha)
    # The tolerance is for the rounding of sums such as 10 × 1/10.
    if len(shares) != len(evalues) or not all(share > 0 for share in shares) or math.fsum(shares) > 1 + 1e-9:
        raise InputError(
            f"got {len(evalues)} e-values and {len(shares)} shares of alpha with the sum {math.fsum(shares):g}, "
            "wanted one positive share for each and a sum of at most 1"
        )
    wanted = [_reports_wanted(e, share * alpha) for e, share in zip(evalues, shares, strict=True)]
    ordered = sorted(wanted)
    reported = max((k for k, least in enumerate(ordered, 1) if least <= k), default=0)
    return [place for place, least in enumerate(wanted) if least <= reported]


def fading_share(place: int) -> float:
    """The part of `alpha` for the hypothesis that arrives at `place` (from 1), where no end of arrivals is known.

    1/log₂(place+1) − 1/log₂(place+2): over all places they sum to 1, and they fade about as slowly as such a sum can.

    Raises:
        InputError: the place is below 1.
    """
    if place < 1:
        raise InputError(f"got place {shown(place)}, wanted 1 for the first hypothesis, 2 for the second and so on")
    return 1 / math.log2(place + 1) - 1 / math.log2(place + 2)


def block_share(place: int, first: int) -> float:
    """The part of `alpha` for the hypothesis at `place` (from 1), where about `first` are expected and more may come.

    The first block of `first` hypotheses has the share of one, the next, ten times as large, that of two, and so on
    (`fading_share`), each divided evenly: within what was expected, early and late ones are treated alike.

    Raises:
        InputError: the place or the size of the first block is below 1.
    """
    if place < 1 or first < 1:
        raise InputError(f"got place {shown(place)} and a first block of {shown(first)}, wanted 1 or more of both")
    block, size, end = 1, first, first
    while place > end:
        block, size = block + 1, size * 10
        end += size
    return fading_share(block) / size


def reports_needed(largest: float, tested: int, alpha: float) -> int | None:
    """How many must be reported together before e-BH can report anything, if no e-value can exceed `largest`.

    None: even all of them together would not do, so that this gate cannot fire and has to be called void.

    Raises:
        InputError: alpha is no probability, fewer than one is tested, or `largest` is negative or not a number.
    """
    _check_alpha(alpha)
    if tested < 1:
        raise InputError(f"got {shown(tested)} tested hypotheses, wanted at least one")
    wanted = _reports_wanted(largest, alpha / tested)
    return math.ceil(wanted) if wanted <= tested else None


def boost(ladder: Sequence[float], tested: int, alpha: float) -> float:
    """A factor ≥ 1 by which every e-value may be multiplied before `e_bh`, if its null distribution is known.

    e-BH only asks whether e reaches tested/(alpha·k) for some k, so what lies between two such steps is wasted, and
    the factor b with E[T(alpha·b·e)] = alpha for the rounding down T to the steps gives it back (Wang and Ramdas 2022,
    section 4, for any dependence). For a conformal p-value of n accounts and a falling calibrator f the ladder is
    f(1/(n+1)), f(2/(n+1)), …, f(1).

    Args:
        ladder: the values e can take, each equally likely where nothing is wrong (or larger ones less likely).
        tested: how many hypotheses e-BH is given.
        alpha: its false discovery rate.

    Raises:
        InputError: alpha is no probability, fewer than one is tested, or the ladder is empty.
    """
    _check_alpha(alpha)
    if tested < 1 or not ladder:
        raise InputError(f"got {shown(tested)} tested and a ladder of {len(ladder)}, wanted at least one of each")
    smallest = min((e for e in ladder if e > 0), default=1.0)
    low, high = 1.0, 1 + tested / alpha / smallest
    for _ in range(60):
        middle = (low + high) / 2
        mean = math.fsum(_rounded_down(alpha * middle * e, tested) for e in ladder) / len(ladder)
        low, high = (middle, high) if mean <= alpha else (low, middle)
    return low


def holm(ps: Sequence[float], alpha: float) -> list[int]:
    """Which hypotheses to reject so that any false rejection has probability at most `alpha`, for any dependence.

    Holm 1979: the smallest p against alpha/K, the next against alpha/(K−1), up to the first that fails.

    Raises:
        InputError: alpha is no probability, or a p-value is not in [0, 1].
    """
    _check_alpha(alpha)
    if not all(0 <= p <= 1 for p in ps):
        raise InputError(f"got the p-values {shown(list(ps))}, wanted numbers from 0 to 1")
    ordered = sorted(range(len(ps)), key=ps.__getitem__)
    failing = (place for place, one in enumerate(ordered) if ps[one] > alpha / (len(ps) - place))
    return sorted(ordered[: next(failing, len(ps))])


def _reports_wanted(evalue: float, alpha: float) -> float:
    """The smallest k with k·alpha·e ≥ 1, as a real number; infinite for e = 0."""
    if not evalue >= 0:
        raise InputError(f"got the e-value {shown(evalue)}, wanted a number that is not negative")
    # A hair less, so that k·alpha·e = 1 in exact arithmetic counts as reached.
    return (1 - 1e-12) / evalue / alpha if evalue > 0 else math.inf


def _rounded_down(value: float, tested: int) -> float:
    """The largest of tested/tested, …, tested/2, tested/1 that is at most `value`; 0 below 1."""
    return tested / max(1, math.ceil(tested / value * (1 - 1e-12))) if value >= 1 else 0.0


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha <= 1:
        raise InputError(f"got alpha {shown(alpha)}, wanted a probability above 0 and at most 1")
