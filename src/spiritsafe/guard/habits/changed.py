"""An account against its own past: the kernel two-sample distance of its newest day from all its days before.

Limit: growth and honest changes of use change an account as much; this says that it changed and not why.
"""

from __future__ import annotations

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots, told, weight, within
from spiritsafe.guard.watch.sketches import MOST_TODAY, Sketches
from spiritsafe.guard.watch.space import FEATURE_UNIT

_FEWEST = 5


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """The unbiased squared distance, weighed by the smaller of the two numbers of exchanges; 0 of a day of too many."""
    now = sketches.columns["recent_count"][slots].astype(np.float64)
    before = told(sketches, slots) - now
    recent = sketches.columns["recent"][slots] / FEATURE_UNIT
    past = sketches.columns["sums"][slots] / FEATURE_UNIT - recent
    distance = within(recent, now) + within(past, before)
    distance -= 2 * np.add.reduce(recent * past, axis=1) / np.maximum(now * before, 1)
    least = np.minimum(now, before)
    return np.where((least >= _FEWEST) & (now <= MOST_TODAY), distance * weight(least), 0.0)


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """The distance in words."""
    score = float(scores(sketches, np.array([slot]), ordinary)[0])
    return f"its newest day is at a squared kernel distance of {score:.3f} from its days before"


CHANGED = Habit("changed", "asks today what it did not ask before", scores, reason)
