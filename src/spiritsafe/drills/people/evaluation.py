"""An evaluation harness: a benchmark's questions with worked examples before them, run again for every model.

With the prompt sets at hand the questions are those of GSM8K and BIG-Bench Hard, without them word problems made here.
To a detector it looks like extraction: many distinct, hard, templated questions, none followed up.
"""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, Wanted, ask
from spiritsafe.drills.clock import rhythm
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import topic
from spiritsafe.drills.texts.maths import problem
from spiritsafe.drills.world import Life
from spiritsafe.exchanges.record import Message, Sampling

ITEMS = 1319
"""Of one run, as GSM8K's test set has; times ten times the world's volume where that is below one."""

_LEAST_ITEMS = 40
_ITEMS_A_SECOND = 1.5
_SAMPLING = Sampling(temperature=0.0, max_tokens=512)


def _act(life: Life) -> Acts:
    dice, hours = life.dice, rhythm("office", life.who.offset_h)
    items = _benchmark(life, dice.fork("benchmark"))
    shots = "\n\n".join(f"Question: {asked}\nAnswer: {answer}" for asked, answer in items[: dice.below(6)])
    runs_per_day, at = dice.between(0.4, 1.5), life.joins_at
    while (at := hours.after(at, dice.exponential() / runs_per_day)) < life.world.end:
        life.who.model = dice.pick(life.world.models)
        for asked, answer in items:
            yield at
            text = f"{shots}\n\nQuestion: {asked}\nAnswer:".lstrip()
            right = answer if dice.chance(0.8) else str(dice.below(900))
            wanted = Wanted(right) if len(right) > 40 else Wanted("", topic("school_maths"), 380)
            yield from ask(life.who.asks((Message("user", text),), wanted, sampling=_SAMPLING))
            at += dice.gamma(1.5) / _ITEMS_A_SECOND


def _benchmark(life: Life, dice: Dice) -> list[tuple[str, str]]:
    """The questions of this customer's benchmark, the same in every run."""
    count = max(_LEAST_ITEMS, int(ITEMS * min(1.0, 10.0 * life.volume)))
    if life.world.sets.problems:
        return dice.some(dice.pick(life.world.sets.problems), count)
    return [problem(dice) for _ in range(count)]


EVALUATION = Customers(
    name="evaluation",
    says="a benchmark with worked examples, run again and again",
    act=_act,
    segment="evaluation",
    declared=0.6,
)
