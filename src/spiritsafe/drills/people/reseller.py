"""A reseller: thousands of end users behind one key, whose conversations run side by side."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, side_by_side
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.end_users import EndUser
from spiritsafe.drills.world import Life, arrivals

REQUESTS_PER_DAY = 60_000.0
"""In the median over resellers, before the world's volume."""

USERS = 4_000

_TURNS = 2.2


def resell(life: Life, requests_per_day: float | None = None) -> Acts:
    """Pass on what end users ask, `requests_per_day` times a day."""
    dice, company = life.dice, life.dice.fork("company")
    asked = requests_per_day or max(20.0, REQUESTS_PER_DAY * life.volume * dice.lognormal(1.0, 0.7, 4.0))
    tags = dice.chance(0.5)

    def talk(at: float) -> Acts:
        user = EndUser.of(company, dice.below(USERS))
        topic, first = user.asks(dice, life.world.sets)
        return conversation(
            life.who,
            dice,
            at,
            first,
            topic,
            turns=1 + dice.geometric(_TURNS - 1.0),
            chars=600.0,
            voice=user.voice,
            sampling=user.tagged(life.who.sampling) if tags else None,
        )

    return side_by_side(arrivals(life, dice, "service", asked / _TURNS), talk)


RESELLER = Customers(
    name="reseller",
    says="thousands of end users behind one key",
    act=resell,
)
