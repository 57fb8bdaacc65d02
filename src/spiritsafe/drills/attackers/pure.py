"""Pure extraction: bare tasks of one capability, no frame around them, one after the other."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions, aims, exercise
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.lessons import AIMS
from spiritsafe.drills.world import World

_ASKS_FOR_WORKING = 0.5


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    wanted = aims(plan, dice)

    def question(number: int) -> Question:
        own = dice.fork("query", number)
        about, text = exercise(plan, own, own.pick(wanted))
        asked = f"{text} {own.pick(AIMS)}" if own.chance(_ASKS_FOR_WORKING) else text
        return Question("", asked, about)

    return question


PURE = Asks("pure", "bare tasks of one capability", _make)
