"""Asking at all hours alike: people sleep, and schedules have their hours."""

from __future__ import annotations

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots, weight
from spiritsafe.guard.watch.sketches import Sketches

_MOST = float(np.log(24.0))


def evenness(hours_N24: np.ndarray[tuple[int, int], np.dtype[np.uint32]]) -> Scores:
    """The entropy of the hours of the day as a share of its maximum, its bias corrected (Miller 1955)."""
    counts = hours_N24.astype(np.float64)
    total = np.maximum(np.add.reduce(counts, axis=1), 1.0)
    shares = counts / total[:, None]
    entropy = -np.add.reduce(shares * np.log(np.maximum(shares, 1e-12)), axis=1)
    corrected = entropy + (np.count_nonzero(counts, axis=1) - 1) / (2 * total)
    even: Scores = np.minimum(corrected / _MOST, 1.0)
    return even


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """The evenness, weighed by how much there is to go by."""
    return evenness(sketches.columns["hours"][slots]) * weight(sketches.columns["seen"][slots])


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """The evenness in words."""
    hours = sketches.columns["hours"][slot]
    return f"it asks in {np.count_nonzero(hours)} of 24 hours, {evenness(hours[None])[0]:.0%} as evenly as can be"


ROUND_THE_CLOCK = Habit("round_the_clock", "asks at all hours alike", scores, reason)
