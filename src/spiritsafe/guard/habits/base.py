"""Habit: one number that says how strange the way is in which an account asks, worked out from its sketch alone.

A number is comparable with other accounts' numbers of the same habit and with nothing else; how often honest accounts
reach it is for calibration to say. All numbers grow with strangeness, and an account of few exchanges has small ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spiritsafe.guard.watch.sketches import Sketches

Slots = NDArray[np.int64]
Scores = NDArray[np.float64]

PRIOR = 30.0
"""Exchanges at which an account has half of its full weight."""


@dataclass(frozen=True, slots=True, eq=False)
class Ordinary:
    """What habits are compared with.

    Attributes:
        mean_F: the mean over ordinary accounts of their mean features.
        models_at: unix seconds at which each model was first used by anybody, by the hash of its name.
    """

    mean_F: NDArray[np.float64]
    models_at: dict[int, float]


@dataclass(frozen=True, slots=True)
class Habit:
    """One kind of strangeness of an account.

    Attributes:
        name: the word in alarms, policies and docs.
        says: what it looks for, as one phrase.
        scores: of the accounts at some slots.
        reason: of one account, in words and numbers for the operator; no text of a customer's.
    """

    name: str
    says: str
    scores: Callable[[Sketches, Slots, Ordinary], Scores]
    reason: Callable[[Sketches, int, Ordinary], str]


def weight(count: NDArray[Any]) -> Scores:
    """n / (n + `PRIOR`): how much a number from n exchanges counts."""
    n = count.astype(np.float64)
    return n / (n + PRIOR)


def within(sums_NF: Scores, count_N: Scores) -> Scores:
    """The mean kernel value between two different prompts of each account, from the sum of its features.

    A prompt's features have length 1, so n of the n² products are of a prompt with itself.
    """
    mean: Scores = (np.add.reduce(sums_NF * sums_NF, axis=1) - count_N) / np.maximum(count_N * (count_N - 1), 1)
    return mean


def told(sketches: Sketches, slots: Slots) -> NDArray[np.int64]:
    """How many exchanges with text each account had."""
    counts: NDArray[np.int64] = np.add.reduce(sketches.columns["counts"][slots], axis=1).astype(np.int64)
    return counts
