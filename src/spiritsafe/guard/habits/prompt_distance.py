"""How far an account's prompts are from those of ordinary accounts: the kernel two-sample distance of two sketches.

Unbiased squared maximum mean discrepancy (Gretton et al. 2012, lemma 6) in random Fourier features, from the account's
mean feature to the mean over ordinary accounts, each of which counts once.

Limit: honest accounts of one narrow interest are as far away as a campaign's; ranked among them, a single account
hardly ever stands out by this.
"""

from __future__ import annotations

import numpy as np

from spiritsafe.guard.habits.base import Habit, Ordinary, Scores, Slots, told, weight, within
from spiritsafe.guard.watch.sketches import Sketches
from spiritsafe.guard.watch.space import FEATURE_UNIT


def scores(sketches: Sketches, slots: Slots, ordinary: Ordinary) -> Scores:
    """The distance, weighed by how much there is to go by."""
    n = told(sketches, slots).astype(np.float64)
    sums = sketches.columns["sums"][slots] / FEATURE_UNIT
    across = np.add.reduce(sums * ordinary.mean_F, axis=1) / np.maximum(n, 1)
    distance = within(sums, n) - 2 * across + float(np.add.reduce(ordinary.mean_F**2))
    return np.where(n > 1, distance * weight(n), 0.0)


def reason(sketches: Sketches, slot: int, ordinary: Ordinary) -> str:
    """The distance in words."""
    score = float(scores(sketches, np.array([slot]), ordinary)[0])
    return f"its prompts are at a squared kernel distance of {score:.3f} from those of ordinary accounts"


PROMPT_DISTANCE = Habit("prompt_distance", "prompts unlike those of ordinary accounts", scores, reason)
