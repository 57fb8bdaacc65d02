"""Labelling: the same question about every record, answered in a word, in runs on working days."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, Wanted, ask
from spiritsafe.drills.clock import rhythm
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.texts.grammar import topics
from spiritsafe.drills.texts.jobs import labelling
from spiritsafe.drills.world import Life
from spiritsafe.exchanges.record import Message, Sampling

RECORDS = 20_000
"""Of one run, before the world's volume."""

_LEAST_RECORDS = 15
_RECORDS_A_SECOND = 4.0


def _act(life: Life) -> Acts:
    dice, hours = life.dice, rhythm("office", life.who.offset_h)
    task = labelling(dice, dice.pick(topics()), dice.between(0.5, 3.0))
    runs_per_day, skew = dice.between(0.5, 2.5), dice.between(1.0, 2.5)
    system = (Message("system", task.system),) if task.system else ()
    sampling = Sampling(temperature=0.0, max_tokens=dice.pick((3, 5, 8, 10)))
    at = life.joins_at
    while (at := hours.after(at, dice.exponential() / runs_per_day)) < life.world.end:
        for _ in range(max(_LEAST_RECORDS, int(RECORDS * life.volume * dice.lognormal(1.0, 0.6, 4.0)))):
            yield at
            prompt = Message("user", task.prompt(task.record(dice)))
            wanted = Wanted(dice.early(task.labels, skew))
            yield from ask(life.who.asks((*system, prompt), wanted, sampling=sampling))
            at += dice.gamma(0.7) / _RECORDS_A_SECOND


LABELLING = Customers(
    name="labelling",
    says="one question about every record, answered in a word",
    act=_act,
    segment="batch",
    declared=0.6,
)
