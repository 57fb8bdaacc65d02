"""A judge: answers of another system graded or compared, in runs that follow that system's changes."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, Wanted, ask
from spiritsafe.drills.clock import rhythm
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.texts.jobs import judging, pair
from spiritsafe.drills.world import Life, interests
from spiritsafe.exchanges.record import Message, Sampling

PAIRS = 4_000
"""Of one run, before the world's volume."""

_LEAST_PAIRS = 10
_PAIRS_A_SECOND = 2.0
_SAMPLING = Sampling(temperature=0.0, max_tokens=16)


def _act(life: Life) -> Acts:
    dice, hours = life.dice, rhythm("office", life.who.offset_h)
    about = interests(dice, 12)
    task = judging(dice, about[0])
    system = (Message("system", task.system),)
    runs_per_day, at = dice.between(1.0, 5.0), life.joins_at
    while (at := hours.after(at, dice.exponential() / runs_per_day)) < life.world.end:
        for _ in range(max(_LEAST_PAIRS, int(PAIRS * life.volume * dice.lognormal(1.0, 0.5, 4.0)))):
            yield at
            prompt = Message("user", task.prompt(pair(dice, dice.pick(about))))
            wanted = Wanted(dice.pick(task.labels))
            yield from ask(life.who.asks((*system, prompt), wanted, sampling=_SAMPLING))
            at += dice.gamma(0.8) / _PAIRS_A_SECOND


JUDGE = Customers(
    name="judge",
    says="answers of another system graded or compared by a rubric",
    act=_act,
    segment="evaluation",
    declared=0.5,
)
