"""The published windowed detector, as a baseline to compare with: MMD of a window of queries against one pool.

The protocol of arXiv 2606.05725 (Liu, Guo and Dong 2026), written from its description: windows of 1,500 queries, the
mean of four Gaussian kernels around the median distance, a threshold at the 95th percentile of the distance between two
disjoint windows of the pool, and as a window's score the mean distance to 20 random windows of the pool.

What it promises is narrow: its null is "these queries were drawn from this very pool". Another honest customer is not
such a draw. `conformal` ranks accounts instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError
from spiritsafe.stats.draws import bits, subsets
from spiritsafe.stats.mmd import kernel, median_distance

SCALES = (0.5, 1.0, 2.0, 4.0)
"""Bandwidths, in median distances."""

_ROWS = 500  # of the pool's kernel matrix at once: 40 MB for a pool of 10,000


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A calibrated baseline.

    Attributes:
        pool_nd: ordinary queries.
        bandwidths: of the four kernels.
        references_rn: how often each pool row is in each reference window; rows sum to the window's size.
        within_r: the mean kernel value inside each reference window.
        threshold: a window whose score is above it is flagged.
    """

    pool_nd: NDArray[np.floating]
    bandwidths: tuple[float, ...]
    references_rn: NDArray[np.float64]
    within_r: NDArray[np.float64]
    threshold: float

    @classmethod
    def calibrate(
        cls,
        pool_nd: NDArray[np.floating],
        *,
        window: int = 1500,
        draws: int = 1000,
        references: int = 20,
        percentile: float = 95.0,
        seed: int = 0,
    ) -> Windows:
        """Set the threshold from pairs of disjoint windows of the pool.

        Args:
            pool_nd: embeddings of ordinary queries; the kernel matrix is made in pieces, so 10,000 rows are fine.
            window: queries in a window; the paper's 1,500.
            draws: pairs for the threshold.
            references: windows that a score is averaged over.
            percentile: of the pairs' distances.
            seed: equal seeds give equal thresholds.

        Raises:
            InputError: the pool does not hold two disjoint windows.
        """
        if window < 2 or len(pool_nd) < 2 * window or min(draws, references) < 1:
            raise InputError(
                f"got a pool of {len(pool_nd)} queries for windows of {window}, wanted at least two disjoint windows"
            )
        sigma = median_distance(pool_nd[np.argsort(bits(seed, len(pool_nd)), kind="stable")[:2000]])
        bandwidths = tuple(scale * sigma for scale in SCALES)
        firsts, seconds = _disjoint_pairs(len(pool_nd), window, draws, seed + 1)
        chosen = subsets(seed + 2, references, len(pool_nd), window).astype(np.float64)
        drawn = np.concatenate([firsts, seconds, chosen])
        sums = _pooled_sums(pool_nd, bandwidths, drawn)
        within = (np.einsum("rn,rn->r", sums, drawn) - window) / (window * (window - 1))
        across = np.einsum("rn,rn->r", sums[:draws], seconds) / window**2
        nulls = within[:draws] + within[draws : 2 * draws] - 2 * across
        return cls(pool_nd, bandwidths, chosen, within[2 * draws :], float(np.percentile(nulls, percentile)))

    def score(self, window_nd: NDArray[np.floating]) -> float:
        """The mean unbiased squared distance of a window to the reference windows; above `threshold` is flagged.

        Raises:
            InputError: fewer than two queries.
        """
        n = len(window_nd)
        if n < 2:
            raise InputError(f"got a window of {n} queries, wanted at least two")
        inside = kernel(window_nd, window_nd, self.bandwidths).sum(dtype=np.float64)
        own = (float(inside) - n) / (n * (n - 1))
        across = self.references_rn @ kernel(self.pool_nd, window_nd, self.bandwidths).sum(axis=1, dtype=np.float64)
        size = float(self.references_rn[0].sum())
        return own + float(np.mean(self.within_r - 2 * across / (n * size)))


def _disjoint_pairs(pool: int, window: int, draws: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each draw, which pool rows are in the first window and which in the second; no row in both."""
    order = np.argsort(bits(seed, draws * pool).reshape(draws, pool), axis=1, kind="stable")
    pair = np.zeros((2, draws, pool))
    np.put_along_axis(pair[0], order[:, :window], 1.0, axis=1)
    np.put_along_axis(pair[1], order[:, window : 2 * window], 1.0, axis=1)
    return pair[0], pair[1]


def _pooled_sums(
    pool_nd: NDArray[np.floating], bandwidths: Sequence[float], weights_rn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each row of weights, the weighted sum of kernel values between the pool and every pool row."""
    # float32 rounds each of these sums by 1e-7 of itself; their errors cancel to far below the threshold.
    weights = weights_rn.astype(np.float32)
    sums = np.empty_like(weights)
    for start in range(0, len(pool_nd), _ROWS):
        piece = slice(start, start + _ROWS)
        sums[:, piece] = weights @ kernel(pool_nd, pool_nd[piece], bandwidths).astype(np.float32)
    return sums.astype(np.float64)
