"""Maximum mean discrepancy: how far the prompts of two groups are from one distribution.

`exact_mmd2` is the unbiased quadratic estimate over all pairs, the reference. `distance` is the same estimate from two
sketches (`fourier`), in time that does not depend on the number of exchanges. Neither is a test of an account by
itself: honest customers differ from each other far more than samples of one distribution do, so a distance has to be
ranked among those of ordinary accounts (`conformal`), and groups of accounts are tested by `likeness`.

Source: Gretton, Borgwardt, Rasch, Schölkopf and Smola 2012 ("A kernel two-sample test", lemma 6).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError
from spiritsafe.stats.fourier import AMPLITUDE, MeanSketch


def kernel(x_nd: NDArray[np.floating], y_md: NDArray[np.floating], bandwidths: Sequence[float]) -> NDArray[np.floating]:
    """The mean of the Gaussian kernels exp(−d²/2σ²) between all rows of x and of y; shape [n, m], in their precision.

    Raises:
        InputError: no bandwidth, or one that is not positive.
    """
    if not bandwidths or min(bandwidths) <= 0:
        raise InputError(f"got the bandwidths {list(bandwidths)}, wanted positive numbers")
    squares = _squared_distances(x_nd, y_md)
    total = np.zeros_like(squares)
    for sigma in bandwidths:
        total += np.exp(squares * (-0.5 / sigma**2))
    return total / len(bandwidths)


def exact_mmd2(x_nd: NDArray[np.floating], y_md: NDArray[np.floating], bandwidths: Sequence[float]) -> float:
    """The unbiased estimate of the squared distance, over all pairs: about 0 for one distribution, and below it half
    of the time.

    Raises:
        InputError: either has fewer than two rows, or a bandwidth is not positive.
    """
    n, m = len(x_nd), len(y_md)
    if min(n, m) < 2:
        raise InputError(f"got {n} and {m} rows, wanted at least two of each")
    x, y = x_nd.astype(np.float64), y_md.astype(np.float64)
    within_x = float(kernel(x, x, bandwidths).sum()) - n
    within_y = float(kernel(y, y, bandwidths).sum()) - m
    across = float(kernel(x, y, bandwidths).sum())
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)


def median_distance(x_nd: NDArray[np.floating]) -> float:
    """The median distance between different rows: the usual bandwidth. Quadratic: hand in at most a few thousand rows.

    Raises:
        InputError: fewer than two rows, or more than half of all pairs are equal.
    """
    if len(x_nd) < 2:
        raise InputError(f"got {len(x_nd)} rows, wanted at least two")
    squares = _squared_distances(x_nd.astype(np.float64), x_nd.astype(np.float64))
    median = float(np.median(np.sqrt(squares[np.triu_indices(len(x_nd), 1)])))
    if median < 1e-6:
        raise InputError("got rows of which most are equal, wanted varied prompts to measure a bandwidth on")
    return median


def self_similarity(sketch: MeanSketch) -> float:
    """The mean kernel value between two different exchanges of a sketch: 1 where all are one prompt, near 0 where wide.

    Its inverse counts how many kinds of prompt there are, as the order-2 Vendi score does (Friedman and Dieng 2023).

    Raises:
        InputError: fewer than two exchanges.
    """
    if sketch.count < 2:
        raise InputError(f"got a sketch of {sketch.count} exchanges, wanted at least two")
    mean = sketch.mean()
    return (sketch.count * float(np.add.reduce(mean * mean)) - 1) / (sketch.count - 1)


def distance(mine: MeanSketch, ordinary: MeanSketch) -> float:
    """The unbiased estimate of the squared distance from two sketches; what `exact_mmd2` gives, but for the features.

    Raises:
        InputError: fewer than two exchanges in either, or sketches of different maps.
    """
    _same_map(mine, ordinary)
    across = float(np.add.reduce(mine.mean() * ordinary.mean()))
    return self_similarity(mine) + self_similarity(ordinary) - 2 * across


def witness(features_nf: NDArray[np.int16], mine: MeanSketch, ordinary: MeanSketch) -> NDArray[np.float64]:
    """How much each exchange speaks for the distance: high where an account is dense and ordinary ones are not.

    The exchanges with the largest values are the ones to show to a person.

    Raises:
        InputError: an empty sketch, or sketches of different maps.
    """
    _same_map(mine, ordinary)
    towards = mine.mean() - ordinary.mean()
    found: NDArray[np.float64] = np.add.reduce(features_nf * towards, axis=1) / (AMPLITUDE * np.sqrt(len(towards) / 2))
    return found


def _squared_distances(x_nd: NDArray[np.floating], y_md: NDArray[np.floating]) -> NDArray[np.floating]:
    lengths = np.einsum("nd,nd->n", x_nd, x_nd)[:, None] + np.einsum("md,md->m", y_md, y_md)
    squares: NDArray[np.floating] = np.maximum(lengths - 2 * (x_nd @ y_md.T), 0)
    return squares


def _same_map(*sketches: MeanSketch) -> None:
    if len({(sketch.key, len(sketch.sums)) for sketch in sketches}) != 1:
        raise InputError("got sketches of different feature maps, wanted one map: calibrate and replay again")
