"""A sudden move: an account with a past that has gone over to a new model almost entirely, soon after it came out."""

from __future__ import annotations

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.watch.sketches import NO_PROMPT, Sketches

_FEWEST = 10


def moved(sketches: Sketches, slot: int, ordinary: Ordinary) -> tuple[float, int]:
    """(ln of the exchanges with the new model, its hash); (0, 0) where the account has not moved.

    It has moved to a model if it used others for a day before, none of them from a day after the first use on, and
    if that first use was within a day of the model's first use by anybody.
    """
    own = sketches.columns
    best = (0.0, 0)
    for place in np.nonzero(own["models"][slot] != NO_PROMPT)[0]:
        model, first_at = int(own["models"][slot, place]), float(own["model_first"][slot, place])
        count = int(own["model_counts"][slot, place])
        others_last = np.delete(own["model_last"][slot], place).max()
        had_past = first_at - float(own["first_at"][slot]) >= DAY_S
        is_new = first_at - ordinary.models_at.get(model, first_at) <= DAY_S
        if count >= _FEWEST and had_past and is_new and others_last <= first_at + DAY_S:
            best = max(best, (float(np.log(count)), model))
    return best


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """ln of the exchanges with the new model, of accounts that moved to it."""
    return np.array([moved(sketches, int(slot), ordinary)[0] for slot in slots])


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """The move in words."""
    count = round(float(np.exp(moved(sketches, slot, ordinary)[0])))
    return f"it moved to a new model within a day of its release, {count:,} exchanges so far"


PIVOT = Habit("pivot", "moved to a new model at once", scores, reason)
