"""How wide an account's prompts are: a covariance that merges, and the effective rank of it.

Embeddings are projected onto a few random sign vectors and the products of the projections are summed: 20 directions
make 231 whole numbers, 1.8 KB, exact under merging in any order (frequent directions, the usual alternative, is not:
its result depends on the order of merges). The squared length of the full covariance is still estimated without bias
from the products of different directions, so the effective rank is not capped at the number of directions.

Sources: Achlioptas 2003 (random sign projections); Alon, Matias and Szegedy 1996 (squared lengths from random signs);
Roy and Vetterli 2007 for effective rank, here in its order-2 form tr(C)² / tr(C²), the participation ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.draws import signs
from spiritsafe.stats.fixed_point import UNIT, fixed_point


def directions(dims: int, count: int = 20, seed: int = 0) -> NDArray[np.float32]:
    """Random sign vectors, a column each: what `project` projects onto.

    Raises:
        InputError: fewer than two directions, or no dimensions.
    """
    if count < 2 or dims < 1:
        raise InputError(f"got {count} directions in {dims} dimensions, wanted at least two and at least one")
    return signs(seed, dims * count).reshape(dims, count)


def project(x_nd: NDArray[np.floating], directions_dr: NDArray[np.float32]) -> NDArray[np.float64]:
    """The projections of embeddings, whole numbers in units of 1/1024; shape [n, directions].

    Raises:
        InputError: the embeddings are not finite rows of length 1 of the directions' dimensions.
    """
    if x_nd.ndim != 2 or x_nd.shape[1] != len(directions_dr):
        raise InputError(f"got embeddings of shape {x_nd.shape}, wanted rows of {len(directions_dr)} numbers")
    return (fixed_point(x_nd) @ directions_dr).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums and products of projections of some exchanges.

    Attributes:
        count: exchanges.
        sums_r: of projections.
        products: of pairs of projections, the upper triangle row by row.
    """

    count: int
    sums_r: NDArray[np.int64]
    products: NDArray[np.int64]

    @classmethod
    def empty(cls, directions: int = 20) -> Moments:
        """The moments of no exchange."""
        pairs = directions * (directions + 1) // 2
        return cls(0, np.zeros(directions, dtype=np.int64), np.zeros(pairs, dtype=np.int64))

    def update(self, projections_nr: NDArray[np.float64]) -> Moments:
        """The moments with more exchanges, given their projections."""
        # Products are below 2²⁸ each, so float64 adds 30 million of them without rounding.
        products = (projections_nr.T @ projections_nr)[np.triu_indices(len(self.sums_r))]
        return Moments(
            self.count + len(projections_nr),
            self.sums_r + projections_nr.sum(axis=0).astype(np.int64),
            self.products + products.astype(np.int64),
        )

    def merge(self, other: Moments) -> Moments:
        """The moments of both; exact, in any order.

        Raises:
            InputError: they have different numbers of directions.
        """
        if len(self.sums_r) != len(other.sums_r):
            raise InputError(
                f"got moments of {len(self.sums_r)} and {len(other.sums_r)} directions, wanted the same: replay again"
            )
        return Moments(self.count + other.count, self.sums_r + other.sums_r, self.products + other.products)

    def to_bytes(self) -> bytes:
        """The state; 1,848 bytes for 20 directions."""
        return np.concatenate([[self.count], self.sums_r, self.products]).astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, state: bytes, directions: int = 20) -> Moments:
        """The moments that `to_bytes` wrote.

        Raises:
            StoreError: the bytes are of another length.
        """
        empty = cls.empty(directions)
        if len(state) != len(empty.to_bytes()):
            raise StoreError(
                f"got {len(state)} bytes of a coverage sketch, "
                f"wanted {len(empty.to_bytes())} for {directions} directions: replay again"
            )
        numbers = np.frombuffer(state, dtype="<i8").astype(np.int64)
        return cls(int(numbers[0]), numbers[1 : directions + 1], numbers[directions + 1 :])


def covariance(moments: Moments) -> NDArray[np.float64]:
    """The unbiased covariance of the projections, scaled so that each diagonal entry estimates the total variance.

    Raises:
        InputError: fewer than two exchanges.
    """
    if moments.count < 2:
        raise InputError(f"got a sketch of {moments.count} exchanges, wanted at least two")
    size = len(moments.sums_r)
    full = np.zeros((size, size))
    full[np.triu_indices(size)] = moments.products
    full = full + np.triu(full, 1).T
    sums = moments.sums_r.astype(np.float64)
    return (full - np.outer(sums, sums) / moments.count) / ((moments.count - 1) * UNIT**2)


def spread(moments: Moments) -> float:
    """The total variance of the embeddings around their mean: 0 where all are one prompt, near 1 where very wide.

    Raises:
        InputError: fewer than two exchanges.
    """
    return float(np.mean(np.diagonal(covariance(moments))))


def effective_rank(moments: Moments) -> float:
    """In how many directions the prompts vary, tr(C)² / tr(C²): from 1 up to exchanges − 1; 0 where they do not vary.

    With 20 directions its error is about a tenth; what a small sample adds to tr(C²) is taken off again (exact for
    normal data).

    Raises:
        InputError: fewer than three exchanges.
    """
    if moments.count < 3:
        raise InputError(f"got a sketch of {moments.count} exchanges, wanted at least three")
    projected = covariance(moments)
    size, free = len(projected), moments.count - 1
    trace = float(np.mean(np.diagonal(projected)))
    if trace <= 0:
        return 0.0
    squared = float(np.sum(np.triu(projected, 1) ** 2)) * 2 / (size * (size - 1))
    unbiased = (squared - trace**2 / free) / (1 + 1 / free)
    return min(float(free), max(1.0, trace**2 / max(unbiased, 1e-300)))
