"""Graded answers: a student's own answers sent for grades, from which a reward model is trained."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions, aims
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import topic
from spiritsafe.drills.texts.jobs import judging
from spiritsafe.drills.texts.lessons import task
from spiritsafe.drills.texts.passages import passage
from spiritsafe.drills.world import World


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    wanted = aims(plan, dice)
    rubric = judging(dice, topic(wanted[0].topics[0]))

    def question(number: int) -> Question:
        own = dice.fork("query", number)
        name, text = task(own, own.pick(wanted))
        about = topic(name)
        answers = "\n\n".join(f"Answer {mark}: {passage(own, about, 2 + own.geometric(3.0))}" for mark in "AB")
        return Question(rubric.system, rubric.prompt(f"Question: {text}\n\n{answers}"), about, 60.0)

    return question


GRADED = Asks("graded", "a student's answers sent for grades by a rubric", _make)
