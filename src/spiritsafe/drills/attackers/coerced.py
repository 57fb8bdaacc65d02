"""Coerced reasoning: tasks together with a demand for the model's hidden reasoning, a fixed one or ever new ones."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions, aims
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.coercion import FAMILIES, coercion
from spiritsafe.drills.texts.grammar import topic
from spiritsafe.drills.texts.lessons import task
from spiritsafe.drills.world import World


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    wanted = aims(plan, dice)
    family = dice.below(len(FAMILIES))
    fixed, is_system = coercion(dice, family), dice.chance(0.5)

    def question(number: int) -> Question:
        own = dice.fork("query", number)
        name, text = task(own, own.pick(wanted))
        demand = coercion(own) if own.chance(plan.paraphrase) else fixed
        if is_system:
            return Question(demand, text, topic(name), 2400.0)
        return Question("", f"{demand}\n\n{text}", topic(name), 2400.0)

    return question


COERCED = Asks("coerced", "tasks with a demand for hidden reasoning", _make)
