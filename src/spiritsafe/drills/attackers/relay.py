"""A relay: the campaign passes on what its own users ask, so that its queries are those of ordinary people.

By content alone nobody can tell them apart, here by construction: they come from where ordinary questions come from.
"""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.end_users import EndUser
from spiritsafe.drills.world import World

USERS = 50_000


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    def question(number: int) -> Question:
        own = dice.fork("query", number)
        user = EndUser.of(dice, own.below(USERS))
        topic, text = user.asks(own, world.sets)
        return Question("", text, topic, 700.0, user.voice)

    return question


RELAY = Asks("relay", "what real users of another service ask", _make)
