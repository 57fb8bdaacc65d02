"""A hackathon: forty new accounts on one promotional card, behind one address, at full speed for a weekend."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts
from spiritsafe.drills.clock import DAY_S, HOUR_S, weekday
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.code import IDEAS, said, snippet
from spiritsafe.drills.texts.grammar import Topic, topic
from spiritsafe.drills.world import Life

LASTS_S = 50 * HOUR_S
"""From Friday evening to Sunday evening."""

_SLEEP_S = 6 * HOUR_S


def _further(dice: Dice, _: Topic) -> str:
    text = said(dice, IDEAS)
    return f"{text}\n{snippet(dice, 3 + dice.below(8))}" if dice.chance(0.5) else text


def _act(life: Life) -> Acts:
    dice, group = life.dice, life.group.fork("event")
    about = topic(group.pick(("web_frontend", "python_code", "machine_learning", "agent_workflows", "environment")))
    opens = _friday(life, group)
    at = opens + dice.between(0.0, 4.0) * HOUR_S
    until, nights, pause_s = min(opens + LASTS_S, life.world.end), 0, dice.between(300.0, 2400.0)
    while at < until:
        talked = yield from conversation(
            life.who, dice, at, said(dice, IDEAS), about, turns=1 + dice.geometric(3.0), chars=900.0, then=_further
        )
        at = talked.at
        at += dice.lognormal(pause_s, 0.8, 3.0 * HOUR_S)
        if at > opens + (8.0 + 24.0 * nights) * HOUR_S:
            nights += 1
            at += _SLEEP_S * dice.between(0.2, 1.2)


def _friday(life: Life, group: Dice) -> float:
    """17 o'clock on one of the world's Fridays; on its first day where it has none."""
    evening = life.world.start + (17.0 - life.who.offset_h) % 24.0 * HOUR_S
    days = [evening + day * DAY_S for day in range(max(1, int(life.world.days)))]
    fridays = [at for at in days if weekday(at, life.who.offset_h) == 4]
    return group.pick(fridays or days[:1])


HACKATHON = Customers(
    name="hackathon",
    says="forty new accounts on one promotional card, behind one address, for a weekend",
    act=_act,
    is_company=False,
    group=40,
    shares=frozenset(("ip", "asn", "country", "payment")),
    newcomers=1.0,
)
