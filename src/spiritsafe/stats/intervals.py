"""Intervals: how far an estimate from a few items can be trusted. Numbers in, numbers out.

- `wilson`: a share, such as an accuracy (Wilson 1927).
- `paired_difference`: the difference of two shares on the same items.
- `recovered`: recovered capability, (student − base) / (teacher − base) on the same items.

The last two are paired percentile bootstraps (Efron and Tibshirani 1993, ch. 13): items are resampled whole, so that an
item which is hard for every model stays hard for every model in each resample. Limits: they describe the draw of items
and nothing else (not the training seed, not the prompt's wording), and a few dozen items give intervals that are too
narrow.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from spiritsafe.errors import InputError
from spiritsafe.stats.resample import resampled_counts


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the interval around it, in the estimate's own unit."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """Recovered capability of a student, as a share of the gap between its base and its teacher.

    Attributes:
        estimate, low, high: the share and its interval (1 is the teacher, 0 the base; above 1 and below 0 can happen);
            None where it cannot be estimated.
        gap_low, gap_high: the interval of teacher − base, in accuracy.
        estimable: whether that interval lies above 0.
        reason: why it is not estimable; empty where it is.
    """

    estimate: float | None
    low: float | None
    high: float | None
    gap_low: float
    gap_high: float
    estimable: bool
    reason: str = ""


def wilson(right: int, total: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of the share `right` / `total`.

    Unlike the textbook interval it stays inside [0, 1] and does not collapse at 0 or all right.

    Raises:
        InputError: there are no items, or more right ones than items.
    """
    if not 0 <= right <= total or total == 0:
        raise InputError(
            f"got {right} right of {total} items, wanted at least one item and no more right than there are"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = right / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def paired_difference(
    first: Sequence[bool],
    second: Sequence[bool],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The accuracy of `first` minus that of `second` on the same items, with its paired bootstrap interval.

    Raises:
        InputError: the two are not equally long, or empty.
    """
    patterns, counts = _cells(first, second)
    items = len(first)
    lead = [int(a) - int(b) for a, b in patterns]
    leads = sorted(_dot(lead, drawn) / items for drawn in resampled_counts(counts, resamples, seed))
    return _around(_dot(lead, counts) / items, leads, confidence)


def recovered(
    base: Sequence[bool],
    student: Sequence[bool],
    teacher: Sequence[bool],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Recovered:
    """(student − base) / (teacher − base) in accuracy on the same items, with its paired bootstrap interval.

    A resample in which the teacher is no better than the base has no finite ratio; it counts as beyond every finite
    one, on the side of the student's own gain. Where the gap's interval lies above 0 these are too few to reach an end.

    Args:
        base, student, teacher: whether each was right, item by item in the same order.
        confidence: of the interval, e.g. 0.95.
        resamples: bootstrap draws.
        seed: equal seeds give equal results.

    Raises:
        InputError: the three are not equally long, or empty.
    """
    patterns, counts = _cells(base, student, teacher)
    gain = [int(s) - int(b) for b, s, _ in patterns]
    gap = [int(t) - int(b) for b, _, t in patterns]
    pairs = [(_dot(gain, drawn), _dot(gap, drawn)) for drawn in resampled_counts(counts, resamples, seed)]
    whole_gap = _dot(gap, counts)
    gaps = _around(whole_gap / len(base), sorted(g / len(base) for _, g in pairs), confidence)
    if gaps.low <= 0:
        return Recovered(None, None, None, gaps.low, gaps.high, False, _why_not(gaps, confidence))
    found = _around(_dot(gain, counts) / whole_gap, sorted(_ratio(*pair) for pair in pairs), confidence)
    return Recovered(found.estimate, found.low, found.high, gaps.low, gaps.high, True)


def _why_not(gap: Interval, confidence: float) -> str:
    found, low, high = (f"{100 * share:+.1f}" for share in (gap.estimate, gap.low, gap.high))
    span = f"teacher minus base is {found} points, {confidence:.0%} interval {low} to {high}"
    if gap.high < 0:
        return f"the teacher is worse than the untrained base on these items ({span}), so there is nothing to recover"
    return f"these items do not show that the teacher is better than the untrained base ({span}, which contains 0)"


def _ratio(gain: int, gap: int) -> float:
    """gain / gap; where the gap is not positive, infinity with the sign of `gain`, or 0 where nothing was gained."""
    if gap > 0:
        return gain / gap
    return math.copysign(math.inf, gain) if gain else 0.0


def _around(estimate: float, ordered: Sequence[float], confidence: float) -> Interval:
    """The percentile interval of sorted bootstrap values, widened to hold the estimate where it does not."""
    # The small addend keeps floor(0.025 * 200) at 5 where the product comes out a hair below it.
    cut = min((len(ordered) - 1) // 2, math.floor((1 - confidence) / 2 * len(ordered) + 1e-9))
    return Interval(estimate, min(estimate, ordered[cut]), max(estimate, ordered[len(ordered) - 1 - cut]))


def _dot(weights: Sequence[int], counts: Sequence[int]) -> int:
    return sum(map(int.__mul__, weights, counts))


def _cells(*models: Sequence[bool]) -> tuple[list[tuple[bool, ...]], list[int]]:
    """The distinct patterns of right and wrong, in an order of their own, and how many items show each."""
    lengths = [len(one) for one in models]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise InputError(f"got {lengths} judged items, wanted the same items, at least one, for every model")
    cells = sorted(Counter(zip(*models, strict=True)).items())
    return [pattern for pattern, _ in cells], [count for _, count in cells]
