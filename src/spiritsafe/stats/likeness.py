"""Do the accounts of a group resemble each other more than accounts do? A permutation test whose unit is the account.

The statistic is the mean inner product between the mean features (`fourier`) of *different* accounts of the group: what
accounts have in common adds up over pairs, what each has to itself does not. Accounts change sides whole, so customers
with strong habits of their own do not look like a campaign. A `Metric` learned from further ordinary accounts weakens
the directions in which ordinary accounts differ anyway; it is what makes small and camouflaged groups visible.

Sources: Gretton et al. 2012 for mean embeddings; Mahalanobis 1936 for the metric; Good 2005 for permuting whole units;
Phipson and Smyth 2010 for the p-value that is never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.draws import subsets
from spiritsafe.stats.fourier import FourierMap, MeanSketch

_CHUNK = 64  # permutations at once: 13 MB of keys for 25,000 accounts
_FINE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A linear map of mean features, in whole numbers so that its products are exact.

    Attributes:
        key: of the feature map.
        whole_ff: the matrix, its largest entry 2²⁰.
    """

    key: int
    whole_ff: NDArray[np.float64]

    @classmethod
    def of(cls, ordinary: Sequence[MeanSketch], ridge: float = 0.1) -> Metric:
        """The metric (C + ridge·mean variance)^(−½) for the covariance C of ordinary accounts' mean features.

        Args:
            ordinary: accounts that are in no test this metric is used for, or the test is no longer exact.
            ridge: how much of the mean variance is added in every direction; small trusts the estimate more.

        Raises:
            InputError: fewer than two accounts, an empty sketch, different maps, or no ridge.
        """
        if len(ordinary) < 2 or ridge <= 0:
            raise InputError(f"got {len(ordinary)} accounts and ridge {ridge:g}, wanted at least two and more than 0")
        values, vectors = np.linalg.eigh(np.cov(_means(ordinary).T))
        added = ridge * max(float(np.mean(values)), 1e-12)
        matrix = (vectors / np.sqrt(np.maximum(values, 0.0) + added)) @ vectors.T
        return cls(ordinary[0].key, np.rint(matrix / np.max(np.abs(matrix)) * _FINE))

    def to_bytes(self) -> bytes:
        """The state; 1 MB for 256 frequencies."""
        return self.key.to_bytes(4, "little") + self.whole_ff.astype("<i4").tobytes()

    @classmethod
    def from_bytes(cls, state: bytes, made_by: FourierMap) -> Metric:
        """The metric that `to_bytes` wrote.

        Raises:
            StoreError: the bytes are cut short or of another feature map.
        """
        size = 2 * made_by.turns_df.shape[1]
        if len(state) != 4 + 4 * size * size or int.from_bytes(state[:4], "little") != made_by.key:
            raise StoreError(f"got {len(state)} bytes of a metric, wanted one of this feature map: calibrate again")
        return cls(made_by.key, np.frombuffer(state, "<i4", offset=4).reshape(size, size).astype(np.float64))


def group_p(
    members: Sequence[MeanSketch],
    others: Sequence[MeanSketch],
    *,
    metric: Metric | None = None,
    draws: int = 999,
    seed: int = 0,
    prior: float = 30.0,
) -> float:
    """The p-value of "the members could be any of these accounts"; small where they resemble each other.

    An account counts with n/(n + prior) for its n exchanges, so that one with all the traffic counts once, and one with
    a single prompt hardly. Exact whatever the metric and the prior: weights change places with their accounts.

    Args:
        members: sketches of a group's accounts, none empty; chosen without looking at these exchanges.
        others: sketches of ordinary accounts of the same segment. The order of both is part of the seed: sort them by
            account for repeatable results.
        metric: learned from still other accounts. None: plain inner products.
        draws: random groups of the same size; p is at least 1/(draws + 1).
        seed: equal seeds give equal p-values.
        prior: exchanges at which an account has half of its full weight.

    Raises:
        InputError: fewer than two members, no others, an empty sketch, different maps, or no draws.
    """
    if len(members) < 2 or not others or draws < 1 or prior < 0:
        raise InputError(
            f"got {len(members)} members, {len(others)} others, {draws} draws and a prior of {prior:g}, "
            "wanted at least two, one and one, and a prior that is not negative"
        )
    sketches = [*members, *others]
    counts = np.array([sketch.count for sketch in sketches], dtype=np.float64)
    weights = np.maximum(1.0, np.rint(counts / (counts + prior) * 256))
    points = _points(sketches, weights, metric)
    observed = _likeness(np.arange(len(points))[None] < len(members), weights, points)[0]
    beyond = 1
    for start in range(0, draws, _CHUNK):
        chosen = subsets(seed, min(_CHUNK, draws - start), len(points), len(members), start)
        beyond += int(np.count_nonzero(_likeness(chosen, weights, points) >= observed))
    return beyond / (draws + 1)


def _means(sketches: Sequence[MeanSketch]) -> NDArray[np.float64]:
    if len({(sketch.key, len(sketch.sums)) for sketch in sketches}) != 1:
        raise InputError("got sketches of different feature maps, wanted one map: calibrate and replay again")
    return np.array([sketch.mean() for sketch in sketches])


def _points(
    sketches: Sequence[MeanSketch], weights_n: NDArray[np.float64], metric: Metric | None
) -> NDArray[np.float64]:
    """Each account's centred and weighted mean, as whole numbers small enough for every sum to be exact."""
    points = np.rint(_means(sketches) * _FINE)
    if metric is not None:
        if metric.key != sketches[0].key:
            raise InputError("got a metric of another feature map, wanted one map: calibrate and replay again")
        points = points @ metric.whole_ff
        largest = max(float(np.max(np.abs(points))), 1.0)
        points = np.rint(points * 2.0 ** (20 - math.ceil(math.log2(largest))))
    points -= np.rint((weights_n @ points) / np.add.reduce(weights_n))
    return points * weights_n[:, None]


def _likeness(
    chosen_bn: NDArray[np.bool_], weights_n: NDArray[np.float64], points_nf: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weighted mean inner product between different accounts among the chosen, for each row."""
    sides = chosen_bn.astype(np.float64)
    weight, point = sides @ weights_n, sides @ points_nf
    own = np.add.reduce(np.where(chosen_bn, np.add.reduce(points_nf * points_nf, axis=1), 0.0), axis=1)
    pairs: NDArray[np.float64] = weight * weight - sides @ (weights_n * weights_n)
    between: NDArray[np.float64] = (np.add.reduce(point * point, axis=1) - own) / pairs
    return between
