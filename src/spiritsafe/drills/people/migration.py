"""An honest migration: a company with a product moves to the new model within a day of its release.

First it runs its stored prompts against both models, then it moves its traffic over. Without a new model in the
scenario it stays what it is: a company with a product.
"""

from __future__ import annotations

from collections.abc import Iterator

from spiritsafe.drills.acting import Acts, Wanted, ask
from spiritsafe.drills.clock import HOUR_S
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import topics
from spiritsafe.drills.texts.jobs import Job, job
from spiritsafe.drills.world import Life, arrivals
from spiritsafe.exchanges.record import Message

REQUESTS_PER_DAY = 15_000.0
"""In the median over companies, before the world's volume."""

STORED = 60
"""Prompts that are compared on both models."""


def _act(life: Life) -> Acts:
    dice, world = life.dice, life.world
    task = job(dice, dice.pick(topics()), dice.between(1.0, 6.0))
    per_day = max(10.0, REQUESTS_PER_DAY * life.volume * dice.lognormal(1.0, 0.6, 4.0))
    moves_at = world.released_at + dice.between(2.0, 24.0) * HOUR_S
    compared = False
    for at in arrivals(life, dice, dice.pick(("service", "office")), per_day, 0.7):
        if at >= moves_at and not compared:
            compared = True
            yield from _compare(life, task, at)
            life.who.model = world.new_model
            continue
        yield at
        yield from _one(life, task, task.record(dice))


def _one(life: Life, task: Job, record: str) -> Acts:
    system = (Message("system", task.system),) if task.system else ()
    wanted = Wanted("", task.topic, int(life.dice.lognormal(500.0, 0.6, 4000.0)))
    yield from ask(life.who.asks((*system, Message("user", task.prompt(record))), wanted))


def _compare(life: Life, task: Job, at: float) -> Acts:
    """The same stored prompts, first on the old model and then on the new one; all within seconds."""
    old = life.who.model
    for model in (old, life.world.new_model):
        life.who.model = model
        for record in _stored(life.dice.fork("stored"), task):
            yield at
            yield from _one(life, task, record)


def _stored(dice: Dice, task: Job) -> Iterator[str]:
    for _ in range(STORED):
        yield task.record(dice)


MIGRATION = Customers(
    name="migration",
    says="a company that moves to the new model within a day of its release",
    act=_act,
    newcomers=0.0,
)
