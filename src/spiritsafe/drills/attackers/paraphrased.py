"""Paraphrased: frame and task are worded anew for every query, as if another model had rewritten them."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions, aims, exercise
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.lessons import frame
from spiritsafe.drills.texts.talk import Voice
from spiritsafe.drills.world import World

_WORDS = (
    (" the task below ", (" this ", " the following ", " what follows ", " the task at the end ")),
    ("step by step", ("one step at a time", "in small steps", "carefully and in order", "piece by piece")),
    ("You are ", ("Consider yourself ", "For now you are ", "Be ", "Think of yourself as ")),
    ("result", ("outcome", "answer", "conclusion")),
    ("Give ", ("Provide ", "Offer ", "Present ")),
    (" wants to ", (" would like to ", " intends to ", " is about to ", " hopes to ")),
    ("Explain ", ("Describe ", "Clarify ", "Set out ")),
    ("show ", ("lay open ", "write out ", "present ")),
)


def reworded(dice: Dice, text: str) -> str:
    """`text` with other words for what can be said in several ways."""
    for word, others in _WORDS:
        if word in text and dice.chance(0.8):
            text = text.replace(word, dice.pick(others))
    return text


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    wanted = aims(plan, dice)

    def question(number: int) -> Question:
        own = dice.fork("query", number)
        aim = own.pick(wanted)
        about, text = exercise(plan, own, aim)
        return Question("", Voice.of(own).says(reworded(own, frame(own, aim).around(text))), about)

    return question


PARAPHRASED = Asks("paraphrased", "every task in a frame and in words of its own", _make)
