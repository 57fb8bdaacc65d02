"""One text with slots, filled in a great many ways."""

from __future__ import annotations

from collections import Counter

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots
from spiritsafe.guard.watch.sketches import NO_PROMPT, SAMPLED, Sketches
from spiritsafe.stats.intervals import wilson
from spiritsafe.text.distinct import HASHES
from spiritsafe.text.templates import ANCHORS

FEWEST = 3


def template(sketches: Sketches, slot: int) -> tuple[int, int, float]:
    """(prompts sampled, those of its commonest template, about how many distinct prompts it has asked)."""
    prompts, notes = sketches.columns["prompts"][slot], sketches.columns["notes"][slot]
    there = prompts != NO_PROMPT
    anchors = Counter(int(one) for own in notes[there][:, :ANCHORS] for one in set(own.tolist()) if one)
    return int(there.sum()), max(anchors.values(), default=0), sum(map(distinct, prompts))


def distinct(prompts: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> float:
    """About how many distinct prompts a half has: exact while its sample is not full."""
    if prompts[-1] == NO_PROMPT:
        return float(np.count_nonzero(prompts != NO_PROMPT))
    return (SAMPLED - 1) * HASHES / (float(prompts[-1]) + 1)


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """ln(1 + fillings) times the lower end of the 95 % interval of the template's share."""
    found = np.zeros(len(slots))
    for place, slot in enumerate(slots):
        sampled, mine, asked = template(sketches, int(slot))
        if mine >= FEWEST:
            found[place] = wilson(mine, sampled).low * np.log1p(asked * mine / sampled)
    return found


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """Share and fillings in words."""
    sampled, mine, asked = template(sketches, slot)
    return f"{mine} of {sampled} sampled prompts are one template, filled in about {asked * mine / sampled:,.0f} ways"


ONE_TEMPLATE = Habit("one_template", "one template with many different fillings", scores, reason)
