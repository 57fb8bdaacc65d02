"""A nightly batch: one template and a hundred thousand records, every night at the same hour."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, Wanted, ask
from spiritsafe.drills.clock import HOUR_S, weekday
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.texts.grammar import topics
from spiritsafe.drills.texts.jobs import job
from spiritsafe.drills.world import Life, daily
from spiritsafe.exchanges.record import Message, Sampling

RECORDS = 100_000
"""Of one night, before the world's volume."""

_LEAST_RECORDS = 20
_NIGHTS_A_VERSION = 21
_SAMPLING = Sampling(temperature=0.0, max_tokens=512)


def _act(life: Life) -> Acts:
    dice, topic = life.dice, life.dice.pick(topics())
    records = max(_LEAST_RECORDS, int(RECORDS * life.volume * dice.lognormal(1.0, 0.5, 4.0)))
    works_weekends, sentences = dice.chance(0.7), dice.between(1.0, 9.0)
    public = dice.pick(life.world.sets.templates) if life.world.sets.templates and dice.chance(0.4) else ()
    for night, start in enumerate(daily(life, dice.between(0.0, 5.0))):
        if not works_weekends and weekday(start, life.who.offset_h) > 4:
            continue
        # a template lives for weeks, then somebody improves it
        task = job(dice.fork("template", night // _NIGHTS_A_VERSION), topic, sentences)
        system = (Message("system", task.system),) if task.system and not public else ()
        at, gap_s = start, dice.between(1.0, 3.5) * HOUR_S / records
        for _ in range(records):
            yield at
            text = dice.pick(public) if public else task.prompt(task.record(dice))
            wanted = Wanted("", topic, int(dice.lognormal(260.0, 0.5, 2000.0)))
            yield from ask(life.who.asks((*system, Message("user", text)), wanted, sampling=_SAMPLING))
            at += gap_s * dice.gamma(0.8)


NIGHTLY_BATCH = Customers(
    name="nightly_batch",
    says="one template and 100,000 records (times the volume), every night",
    act=_act,
    segment="batch",
    declared=0.7,
)
