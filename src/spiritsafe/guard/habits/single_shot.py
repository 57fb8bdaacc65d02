"""Never asking again and never following up: each answer is taken, and the next question is another one."""

from __future__ import annotations

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots, told
from spiritsafe.guard.habits.one_template import distinct
from spiritsafe.guard.watch.sketches import Sketches
from spiritsafe.stats.intervals import wilson


def single(sketches: Sketches, slot: int, asked: int) -> float:
    """About which share of an account's `asked` exchanges is a first turn and a prompt of its own."""
    if not asked:
        return 0.0
    fresh = min(1.0, sum(map(distinct, sketches.columns["prompts"][slot])) / asked)
    return fresh * (1.0 - float(sketches.columns["follows"][slot]) / float(sketches.columns["seen"][slot]))


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """ln(1 + exchanges) times the lower end of the 95 % interval of that share."""
    found = np.zeros(len(slots))
    for place, (slot, asked) in enumerate(zip(slots.tolist(), told(sketches, slots).tolist(), strict=True)):
        if asked:
            found[place] = np.log1p(asked) * wilson(round(single(sketches, slot, asked) * asked), asked).low
    return found


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """The share in words."""
    share = single(sketches, slot, int(told(sketches, np.array([slot]))[0]))
    return f"about {share:.0%} of its exchanges are first turns with a prompt of their own"


SINGLE_SHOT = Habit("single_shot", "never asks again and never follows up", scores, reason)
