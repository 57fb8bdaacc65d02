"""Seeded random arrays, the same on every machine and in every version of numpy: a counter through SplitMix64.

Number i of a seed is a function of (seed, i) alone, so a caller may draw in pieces of any size. `resample.splitmix64`
gives the same numbers one by one; numpy's own generators do not promise theirs across versions (NEP 19).

Source: Steele, Lea and Flood 2014 ("Fast splittable pseudorandom number generators"); Box and Muller 1958.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)


def bits(seed: int, count: int, start: int = 0) -> NDArray[np.uint64]:
    """The 64-bit numbers `start`, …, `start + count − 1` of a seed."""
    places = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    z = np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + places * _STEP
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniforms(seed: int, count: int, start: int = 0) -> NDArray[np.float64]:
    """Floats in [0, 1), 53 bits each."""
    return (bits(seed, count, start) >> np.uint64(11)).astype(np.float64) * np.float64(2.0**-53)


def normals(seed: int, count: int) -> NDArray[np.float64]:
    """Standard normal floats."""
    one, two = uniforms(seed, 2 * count).reshape(2, count)
    drawn: NDArray[np.float64] = np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * two)
    return drawn


def signs(seed: int, count: int) -> NDArray[np.float32]:
    """−1 or 1, each with the same chance."""
    return np.where(bits(seed, count) >> np.uint64(63), np.float32(1), np.float32(-1))


def subsets(seed: int, rows: int, of: int, size: int, start: int = 0) -> NDArray[np.bool_]:
    """Random subsets of {0, …, of − 1}, `size` members each: a row a subset, from row `start` of the seed on."""
    keys = bits(seed, rows * of, start * of).reshape(rows, of)
    chosen = np.zeros((rows, of), dtype=np.bool_)
    np.put_along_axis(chosen, np.argsort(keys, axis=1, kind="stable")[:, :size], True, axis=1)
    return chosen
