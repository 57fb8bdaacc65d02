"""A kernel two-sample distance that merges: the mean of random Fourier features.

A Gaussian kernel is the mean over random frequencies w of cos(w·(x − y)) (Rahimi and Recht 2007), so the mean of
(cos w·x, sin w·x) over an account's prompts holds all that the kernel distance (maximum mean discrepancy, Gretton et
al. 2012) needs of them. Means merge by addition: over batches, over the accounts of a campaign, over the replicas of a
gateway.

Everything is whole numbers (`fixed_point`): phases are exact, and cosine and sine come from a table. So a sketch is the
same bits however its exchanges were split and in whatever order parts were merged.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.draws import normals
from spiritsafe.stats.fixed_point import EXACT, UNIT, fixed_point, longest_row

_TURN = 4096  # entries of the table: a phase is rounded to 0.09 degrees
AMPLITUDE = 256
"""What a cosine of 1 is stored as; its rounding is 600 times smaller than the spread of one prompt's features."""

_COSINE = np.rint(AMPLITUDE * np.cos((np.arange(_TURN) + 0.5) * (2 * np.pi / _TURN))).astype(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class FourierMap:
    """Random frequencies, made from a seed; the same arguments give the same map everywhere.

    Attributes:
        turns_df: whole numbers as float32; a product with a fixed-point row is a phase in units of 2⁻ˢʰⁱᶠᵗ turns.
        shift: that exponent.
        key: stands for the arguments; sketches of different maps do not merge.
    """

    turns_df: NDArray[np.float32]
    shift: int
    key: int

    @classmethod
    def of(cls, dims: int, frequencies: int, bandwidths: Sequence[float], seed: int) -> FourierMap:
        """The map for the mean of Gaussian kernels exp(−d²/2σ²), one for each bandwidth σ, in equal parts.

        Args:
            dims: of an embedding.
            frequencies: how many; a sketch has two numbers for each. A multiple of the number of bandwidths.
            bandwidths: σ, in the unit of the embeddings; about the median distance between prompts is usual.
            seed: any integer. Keep it secret where an attacker could craft prompts that cancel in known features.

        Raises:
            InputError: a bandwidth is not positive, or the numbers do not fit each other.
        """
        if not bandwidths or min(bandwidths) <= 0 or frequencies < 1 or frequencies % len(bandwidths) or dims < 1:
            raise InputError(
                f"got {frequencies} frequencies for {len(bandwidths)} bandwidths in {dims} dimensions, "
                "wanted positive bandwidths and a multiple of their number"
            )
        sigmas = np.tile(np.asarray(bandwidths, dtype=np.float64), frequencies // len(bandwidths))
        turns = normals(seed, dims * frequencies).reshape(dims, frequencies) / (2 * np.pi * sigmas)
        longest = float(np.sqrt(np.max(np.sum(turns * turns, axis=0))))
        # As fine as float32 products stay exact: length of a row × length of a column < 2²⁴ bounds every partial sum.
        fine = math.floor(math.log2((EXACT / longest_row(dims) - 0.5 * dims**0.5) / longest))
        if fine < 4:
            raise InputError(
                f"got the bandwidth {min(bandwidths):g}, wanted one nearer to the distances between prompts"
            )
        said = f"{dims} {frequencies} {[float(one) for one in bandwidths]} {seed}"
        return cls(
            np.rint(turns * 2.0**fine).astype(np.float32), fine + UNIT.bit_length() - 1, zlib.crc32(said.encode())
        )

    def features(self, x_nd: NDArray[np.floating]) -> NDArray[np.int16]:
        """The features of each embedding: cosines, then sines, times `AMPLITUDE`; shape [n, 2·frequencies].

        Raises:
            InputError: the embeddings are not finite rows of length 1 of the map's dimensions.
        """
        if x_nd.ndim != 2 or x_nd.shape[1] != len(self.turns_df):
            raise InputError(f"got embeddings of shape {x_nd.shape}, wanted rows of {len(self.turns_df)} numbers")
        phases = (fixed_point(x_nd) @ self.turns_df).astype(np.int32) >> (self.shift - _TURN.bit_length() + 1)
        return np.concatenate([_COSINE[phases & (_TURN - 1)], _COSINE[(phases - _TURN // 4) & (_TURN - 1)]], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class MeanSketch:
    """The sum of the features of some exchanges. At most 4 KB as bytes with 500 frequencies, up to 8 million exchanges.

    Attributes:
        key: of the map.
        count: exchanges.
        sums: of their features, whole numbers; divide by `AMPLITUDE · count` for the mean.
    """

    key: int
    count: int
    sums: NDArray[np.int64]

    @classmethod
    def empty(cls, made_by: FourierMap) -> MeanSketch:
        """The sketch of no exchange."""
        return cls(made_by.key, 0, np.zeros(2 * made_by.turns_df.shape[1], dtype=np.int64))

    def update(self, features_nf: NDArray[np.int16]) -> MeanSketch:
        """The sketch with more exchanges, given their features."""
        return MeanSketch(self.key, self.count + len(features_nf), self.sums + features_nf.sum(axis=0, dtype=np.int64))

    def merge(self, other: MeanSketch) -> MeanSketch:
        """The sketch of both; exact, in any order.

        Raises:
            InputError: they were made by different maps.
        """
        if self.key != other.key or len(self.sums) != len(other.sums):
            raise InputError("got sketches of two different feature maps, wanted one map: calibrate and replay again")
        return MeanSketch(self.key, self.count + other.count, self.sums + other.sums)

    def mean(self) -> NDArray[np.float64]:
        """The mean feature, scaled so that the inner product of two means is the mean kernel value between them.

        Raises:
            InputError: there is no exchange.
        """
        if self.count < 1:
            raise InputError("got a sketch of no exchange, wanted at least one")
        return self.sums / (self.count * AMPLITUDE * math.sqrt(len(self.sums) / 2))

    def to_bytes(self) -> bytes:
        """The state, in the narrowest whole numbers that hold it: 2, 4 or 8 bytes a feature."""
        width = next(w for w in (2, 4, 8) if self.count * AMPLITUDE < 1 << (8 * w - 1))
        head = self.key.to_bytes(4, "little") + self.count.to_bytes(8, "little")
        return head + self.sums.astype(f"<i{width}").tobytes()

    @classmethod
    def from_bytes(cls, state: bytes, made_by: FourierMap) -> MeanSketch:
        """The sketch that `to_bytes` wrote.

        Raises:
            StoreError: the bytes are cut short or of another map.
        """
        features = 2 * made_by.turns_df.shape[1]
        width, rest = divmod(len(state) - 12, features)
        if width not in (2, 4, 8) or rest or int.from_bytes(state[:4], "little") != made_by.key:
            raise StoreError(
                f"got {len(state)} bytes of a prompt sketch, "
                f"wanted the state of this map of {features} features: replay again"
            )
        sums = np.frombuffer(state, dtype=f"<i{width}", offset=12).astype(np.int64)
        return cls(made_by.key, int.from_bytes(state[4:12], "little"), sums)


def grouped(features_nf: NDArray[np.int16], groups_n: NDArray[np.integer]) -> tuple[NDArray[np.integer], ...]:
    """The sums of a batch by account: (the accounts' numbers, rising; their counts; their sums, a row each)."""
    order = np.argsort(groups_n, kind="stable")
    found, starts, counts = np.unique(groups_n[order], return_index=True, return_counts=True)
    return found, counts, np.add.reduceat(features_nf[order].astype(np.int64), starts, axis=0)
