"""The space that prompts are placed in: what is learnt once, at calibration, and the same for every account after that.

An embedding has three readings: the nearest of some hundred centres that ordinary prompts gather around (its cell), its
Fourier features for the kernel two-sample distance, and its projections for coverage. All three are whole numbers, so
that no batch and no machine changes them.

Source: Arthur and Vassilvitskii 2007 for the start of k-means; Dhillon and Modha 2001 for k-means by direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.coverage import directions
from spiritsafe.stats.draws import bits, uniforms
from spiritsafe.stats.fixed_point import fixed_point
from spiritsafe.stats.fourier import AMPLITUDE, FourierMap
from spiritsafe.stats.mmd import median_distance

CELLS = 256
DIRECTIONS = 14
FREQUENCIES = 80
FEATURE_UNIT = AMPLITUDE * FREQUENCIES**0.5
"""Divides sums of features, so that the inner product of two prompts' features is about their kernel value."""

ROUNDS = 10
_SEED = 20_260_601


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """How prompts are placed.

    Attributes:
        centres_cd: fixed-point rows, a centre each.
        bandwidth: σ of the kernel, about the median distance between ordinary prompts.
        fourier: the map of that kernel.
        directions_dr: random signs.
    """

    centres_cd: NDArray[np.float32]
    bandwidth: float
    fourier: FourierMap
    directions_dr: NDArray[np.float32]

    @classmethod
    def of(cls, centres_cd: NDArray[np.float32], bandwidth: float) -> Space:
        """The space with these centres (whole numbers) and bandwidth."""
        dims = centres_cd.shape[1]
        fourier = FourierMap.of(dims, FREQUENCIES, (bandwidth, 2 * bandwidth), _SEED)
        return cls(centres_cd, bandwidth, fourier, directions(dims, DIRECTIONS, _SEED))

    @classmethod
    def learn(cls, x_nd: NDArray[np.float32], cells: int = CELLS) -> Space:
        """The space of ordinary prompts.

        Args:
            x_nd: embeddings of length 1, a row each, some from each account so that no account makes a cell of its own.
            cells: how many; fewer where there are not eight prompts for each.

        Raises:
            InputError: fewer than 16 prompts.
        """
        if len(x_nd) < 16:
            raise InputError(
                f"got {len(x_nd)} ordinary prompts with text, wanted at least 16: calibrate on a longer log"
            )
        sample = x_nd[np.argsort(bits(_SEED, len(x_nd)), kind="stable")[:1000]]
        return cls.of(_centres(fixed_point(x_nd), min(cells, len(x_nd) // 8)), max(0.2, median_distance(sample)))

    def cells(self, whole_nd: NDArray[np.float32]) -> NDArray[np.int64]:
        """The cell of each fixed-point row: its nearest centre by angle, of several the first."""
        # Centres have about the same length, which makes the largest product the smallest angle.
        nearest: NDArray[np.int64] = np.argmax(whole_nd @ self.centres_cd.T, axis=1)
        return nearest

    def to_bytes(self) -> bytes:
        """The space for `from_bytes`: 128 KB with 256 cells."""
        head = np.array([*self.centres_cd.shape], dtype="<u4").tobytes() + np.array([self.bandwidth], "<f8").tobytes()
        return head + self.centres_cd.astype("<i2").tobytes()

    @classmethod
    def from_bytes(cls, state: bytes) -> Space:
        """The space that `to_bytes` wrote.

        Raises:
            StoreError: the bytes are none.
        """
        count, dims = np.frombuffer(state[:8], "<u4") if len(state) >= 16 else (0, 0)
        if not count or len(state) != 16 + 2 * int(count) * int(dims):
            raise StoreError(f"got {len(state)} bytes that are no space of prompts: calibrate again")
        bandwidth = float(np.frombuffer(state[8:16], "<f8")[0])
        if not 0 < bandwidth < 1e6:
            raise StoreError(f"got a bandwidth of {bandwidth:g} in a space of prompts: calibrate again")
        centres = np.frombuffer(state, "<i2", offset=16).reshape(int(count), int(dims)).astype(np.float32)
        return cls.of(centres, bandwidth)


def _centres(whole_nd: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """k-means by direction, in whole numbers throughout: equal prompts give equal centres on every machine."""
    centres = whole_nd[_spread_out(whole_nd, count)]
    for _ in range(ROUNDS):
        nearest = np.argmax(whole_nd @ centres.T, axis=1)
        sums = np.zeros((count, whole_nd.shape[1]), dtype=np.int64)
        np.add.at(sums, nearest, whole_nd.astype(np.int64))
        filled = np.any(sums, axis=1)
        centres = np.where(filled[:, None], fixed_point(_unit(sums)), centres)
    return centres


def _spread_out(whole_nd: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Rows to start from, each drawn with a chance that grows with its distance from those before it."""
    draws = uniforms(_SEED, count)
    chosen = [int(draws[0] * len(whole_nd))]
    nearest = np.full(len(whole_nd), -np.inf)
    for draw in draws[1:]:
        nearest = np.maximum(nearest, (whole_nd @ whole_nd[chosen[-1]]).astype(np.float64))
        far = np.cumsum(np.maximum(0.0, float(1 << 20) - nearest))
        chosen.append(int(np.searchsorted(far, draw * far[-1], side="right").clip(0, len(whole_nd) - 1)))
    return np.array(chosen)


def _unit(sums_cd: NDArray[np.int64]) -> NDArray[np.float64]:
    lengths = np.sqrt(np.add.reduce(sums_cd * sums_cd, axis=1).astype(np.float64))
    unit: NDArray[np.float64] = sums_cd / np.maximum(lengths, 1.0)[:, None]
    return unit
