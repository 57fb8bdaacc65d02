"""A class on one assignment: thirty accounts behind one address ask the same five questions before the same evening."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts
from spiritsafe.drills.clock import DAY_S, HOUR_S
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.people.ordinary import chat
from spiritsafe.drills.texts.grammar import Topic, topic
from spiritsafe.drills.texts.talk import opening
from spiritsafe.drills.world import Life

SUBJECTS = ("school_maths", "physics", "chemistry", "biology", "history", "geography", "literature", "python_code")
QUESTIONS = 5

_WEEK_S = 7 * DAY_S
_EARLIEST_S = 60 * HOUR_S
_CHAT_SHARE = 0.25


def _act(life: Life) -> Acts:
    """Works on each week's assignment; a few also chat about other things."""
    if life.dice.chance(_CHAT_SHARE):
        return chat(life)
    return _assignments(life)


def _assignments(life: Life) -> Acts:
    dice, group, world = life.dice, life.group, life.world
    subject = topic(group.fork("subject").pick(SUBJECTS))
    first_due = world.start + group.fork("due").between(0.5, min(7.0, max(world.days, 1.0))) * DAY_S
    week, at = -1, life.joins_at
    while (due := first_due + (week := week + 1) * _WEEK_S) < world.end + _WEEK_S:
        questions = _assignment(group.fork("assignment", week), subject)
        at = max(at, due - _EARLIEST_S)
        if at >= due:
            continue
        # most start late: the hours left shrink towards the deadline
        at = due - (due - at) * dice.unit() ** 2.5
        for question in dice.some(questions, 1 + dice.below(QUESTIONS)):
            if at >= world.end:
                return
            own = question if dice.chance(0.6) else f"{question} {opening(dice, subject)}"
            talked = yield from conversation(
                life.who,
                dice,
                at,
                life.who.voice.says(own),
                subject,
                turns=1 + dice.geometric(0.9),
                chars=600.0,
                place=0 if dice.chance(0.8) else 1,
            )
            at = talked.at
            at += dice.lognormal(300.0, 1.0, 4.0 * HOUR_S)


def _assignment(dice: Dice, subject: Topic) -> list[str]:
    return [f"{opening(dice, subject)} Show your working." for _ in range(QUESTIONS)]


COURSEWORK = Customers(
    name="coursework",
    says="a class of thirty behind one address, on one assignment",
    act=_act,
    is_company=False,
    group=30,
    shares=frozenset(("ip", "asn", "country", "email_domain")),
    newcomers=0.6,
)
