"""Seeded resampling of counted outcomes: the only randomness `stats` has, and it is a function of its seed.

A bootstrap of n items draws n items with replacement. When items fall into a few distinct cells (eight, for three
models that are each right or wrong), such a draw is one multinomial draw of the cell counts, and a multinomial is a
chain of binomials. Each binomial is one look-up in a cumulative table, so the cost of a resample depends on the number
of cells and not on the number of items: 10,000 resamples of 500 items take about a quarter of a second in plain Python.

Source: the generator is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

_MASK = (1 << 64) - 1
_NEGLIGIBLE = 1e-20  # of the mode's mass: far below what a 53-bit uniform can reach


def splitmix64(seed: int) -> Iterator[int]:
    """Endless 64-bit integers that depend on `seed` alone."""
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        yield z ^ (z >> 31)


def uniforms(seed: int) -> Iterator[float]:
    """Endless floats in [0, 1), 53 bits each."""
    return (value * 2.0**-53 for value in (bits >> 11 for bits in splitmix64(seed)))


def binomial_table(n: int, p: float) -> tuple[int, list[float]]:
    """The distribution of Binomial(n, p) as (first count, cumulative probabilities from there on).

    Counts whose mass is negligible beside the mode's are left out, so the table has some twenty standard deviations and
    neither underflows nor grows with n. Wants n ≥ 0 and 0 < p < 1.
    """
    mode = min(n, int((n + 1) * p))
    odds = p / (1.0 - p)
    down = _tail(1.0, range(mode, 0, -1), lambda k: k / ((n - k + 1) * odds))
    up = _tail(1.0, range(mode + 1, n + 1), lambda k: (n - k + 1) * odds / k)
    masses = [*reversed(down), 1.0, *up]
    total = math.fsum(masses)
    return mode - len(down), [value / total for value in accumulate(masses)]


def _tail(mass: float, counts: range, ratio: Callable[[int], float]) -> list[float]:
    """Masses relative to the mode's, walking away from it until they no longer matter."""
    masses: list[float] = []
    for k in counts:
        mass *= ratio(k)
        if mass < _NEGLIGIBLE:
            break
        masses.append(mass)
    return masses


def resampled_counts(counts: Sequence[int], resamples: int, seed: int) -> Iterator[list[int]]:
    """Counts of each cell in `resamples` bootstrap draws of the sum of `counts` items.

    Yields the same list object each time, overwritten: read it before asking for the next.

    Args:
        counts: how many items fell into each cell; at least one is positive.
        resamples: how many draws.
        seed: any integer; equal seeds give equal draws.
    """
    filled = [cell for cell, count in enumerate(counts) if count > 0]
    left = [sum(counts[later] for later in filled[place:]) for place in range(len(filled))]
    chain = [(cell, counts[cell] / rest) for cell, rest in zip(filled[:-1], left, strict=False)]
    tables: dict[tuple[int, int], tuple[int, list[float]]] = {}
    draw = uniforms(seed).__next__
    drawn = [0] * len(counts)
    for _ in range(resamples):
        rest = left[0]
        for cell, share in chain:
            table = tables.get((cell, rest))
            if table is None:
                table = tables[cell, rest] = binomial_table(rest, share)
            first, cumulative = table
            drawn[cell] = first + min(bisect_right(cumulative, draw()), len(cumulative) - 1)
            rest -= drawn[cell]
        drawn[filled[-1]] = rest
        yield drawn
