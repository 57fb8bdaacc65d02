"""Licensed distillation: a student is trained on the model's answers under a contract that allows it.

It asks what campaigns ask, in the same way, and tells the operator so.
"""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, Wanted, ask
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.texts.grammar import topic
from spiritsafe.drills.texts.lessons import CAPABILITIES, frame, task
from spiritsafe.drills.world import Life, arrivals
from spiritsafe.exchanges.record import Message, Sampling

REQUESTS_PER_DAY = 40_000.0
"""In the median over licensees, before the world's volume."""

_SAMPLING = Sampling(temperature=0.7, max_tokens=2048)


def _act(life: Life) -> Acts:
    dice = life.dice
    aim = dice.pick(CAPABILITIES)
    around = frame(dice, aim)
    per_day = max(20.0, REQUESTS_PER_DAY * life.volume * dice.lognormal(1.0, 0.5, 4.0))
    for at in arrivals(life, dice, dice.pick(("flat", "night", "office")), per_day, 0.8):
        yield at
        name, text = task(dice, aim)
        wanted = Wanted("", topic(name), int(dice.lognormal(1600.0, 0.5, 8000.0)))
        yield from ask(life.who.asks((Message("user", around.around(text)),), wanted, sampling=_SAMPLING))


LICENSED = Customers(
    name="licensed",
    says="distillation under a contract",
    act=_act,
    segment="licensed",
)
