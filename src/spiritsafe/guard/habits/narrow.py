"""How narrow what an account asks is: little coverage that does not grow however much it asks.

The total variance of its prompts times their effective rank (`stats.coverage`), on a logarithmic scale.
"""

from __future__ import annotations

import math

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots, told, weight
from spiritsafe.guard.watch.sketches import Sketches
from spiritsafe.guard.watch.space import DIRECTIONS
from spiritsafe.stats.coverage import Moments, effective_rank, spread

FEWEST = 8
_WIDE = 100.0
_LEAST = 1e-3


def coverage(sketches: Sketches, slot: int) -> tuple[float, float]:
    """(total variance, effective rank) of an account's prompts."""
    numbers = sketches.columns["moments"][slot]
    count = int(np.add.reduce(sketches.columns["counts"][slot]))
    moments = Moments(count, numbers[:DIRECTIONS], numbers[DIRECTIONS:])
    return spread(moments), effective_rank(moments)


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """ln(100 / (variance × rank)), weighed by how much there is to go by."""
    counts = told(sketches, slots)
    found = np.zeros(len(slots))
    for place in np.nonzero(counts >= FEWEST)[0]:
        variance, rank = coverage(sketches, int(slots[place]))
        found[place] = math.log(_WIDE / max(_LEAST, variance * max(rank, 1.0)))
    return found * weight(counts)


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """Variance and rank in words."""
    variance, rank = coverage(sketches, slot)
    return f"its prompts vary by {variance:.2f} of 1 in about {rank:.1f} directions"


NARROW = Habit("narrow", "little coverage, however much is asked", scores, reason)
