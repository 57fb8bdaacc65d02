"""What a campaign asks: the contract that every file of `attackers.ASKS` fulfils.

A campaign's queries are numbered, and a query's number says all of it: so accounts can share a set of queries out among
themselves, ask one again, and nothing has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import Topic, topic
from spiritsafe.drills.texts.lessons import CAPABILITIES, Capability, capability, task
from spiritsafe.drills.texts.passages import passage
from spiritsafe.drills.texts.talk import Voice
from spiritsafe.drills.world import World


class Question(NamedTuple):
    """One query.

    Attributes:
        system: the system prompt; "" for none.
        text: what is asked.
        topic: what it is about.
        chars: how long answers are, in the median.
        voice: of whoever says what comes after; the account's own unless given.
    """

    system: str
    text: str
    topic: Topic
    chars: float = 1600.0
    voice: Voice | None = None


Questions = Callable[[int], Question]
"""The query with that number."""


@dataclass(frozen=True, slots=True)
class Asks:
    """A way of asking.

    Attributes:
        name: its name in plans.
        says: what it is, in one line.
        make: the queries of one campaign; the dice name it.
    """

    name: str
    says: str
    make: Callable[[Plan, World, Dice], Questions]


def exercise(plan: Plan, dice: Dice, aim: Capability) -> tuple[Topic, str]:
    """(topic, task): one task of `aim`, with as much material as the plan says."""
    name, text = task(dice, aim)
    about = topic(name)
    sentences = dice.geometric(plan.context)
    return about, f"{text}\n\n{passage(dice, about, sentences)}" if sentences else text


def aims(plan: Plan, dice: Dice) -> list[Capability]:
    """The capabilities that a campaign is after, the one named in its plan first."""
    first = capability(plan.capability) if plan.capability else dice.pick(CAPABILITIES)
    others = [one for one in CAPABILITIES if one is not first]
    return [first, *dice.some(others, plan.capabilities - 1)]
