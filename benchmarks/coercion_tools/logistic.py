"""Logistic regression on sparse counts: as many passes as it takes, all of the data at once, the same on every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sparse:
    """Counts, a row a text: the columns of all rows in a line, each as often as it counts, and where rows begin."""

    columns: np.ndarray
    starts: np.ndarray
    width: int

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], width: int) -> Sparse:
        lengths = np.array([len(row) for row in rows])
        columns = np.fromiter((column for row in rows for column in row), dtype=np.int64, count=int(lengths.sum()))
        return cls(columns, np.concatenate([[0], np.cumsum(lengths)]), width)

    def times(self, weights: np.ndarray) -> np.ndarray:
        sums = np.concatenate([[0.0], np.cumsum(weights[self.columns])])
        return sums[self.starts[1:]] - sums[self.starts[:-1]]

    def transposed(self, values: np.ndarray) -> np.ndarray:
        repeated = np.repeat(values, np.diff(self.starts))
        return np.bincount(self.columns, weights=repeated, minlength=self.width)


def fit(
    x: Sparse, y: np.ndarray, importance: np.ndarray, penalty: np.ndarray, passes: int = 150
) -> tuple[np.ndarray, float]:
    """(weights, bias) by Adam on the mean log loss and half of `penalty`, a number a weight, times their squares."""
    w, first, second = np.zeros(x.width + 1), np.zeros(x.width + 1), np.zeros(x.width + 1)
    share, whole_penalty = importance / importance.sum(), np.append(penalty, 0.0)
    for step in range(1, passes + 1):
        z = x.times(w[:-1]) + w[-1]
        off = (1 / (1 + np.exp(-np.clip(z, -30, 30))) - y) * share
        slope = np.append(x.transposed(off), off.sum()) + whole_penalty * w
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        rate = 0.05 * min(1.0, 3 * (1 - step / (passes + 1)))
        w -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-9)
    return w[:-1], float(w[-1])
