"""One template, many slots: the same frame around every task, tens of thousands of times."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions, aims, exercise
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.lessons import frame
from spiritsafe.drills.world import World


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    wanted = aims(plan, dice)
    frames = [frame(dice, aim) for aim in wanted]

    def question(number: int) -> Question:
        own = dice.fork("query", number)
        at = own.below(len(wanted))
        about, text = exercise(plan, own, wanted[at])
        around = frame(own, wanted[at]) if own.chance(plan.paraphrase) else frames[at]
        return Question("", around.around(text), about)

    return question


ONE_TEMPLATE = Asks("one_template", "the same frame around every task", _make)
