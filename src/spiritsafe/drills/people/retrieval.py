"""Retrieval: a fixed system prompt, passages from the company's own shelf, and a user's question about them."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts, side_by_side
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.texts.jobs import instructions
from spiritsafe.drills.texts.passages import passage
from spiritsafe.drills.texts.talk import opening
from spiritsafe.drills.world import Life, arrivals, interests
from spiritsafe.exchanges.record import Message, Sampling

REQUESTS_PER_DAY = 8_000.0
"""In the median over companies, before the world's volume."""

_SHELF = 300
_SAMPLING = Sampling(temperature=0.2, max_tokens=800)


def _act(life: Life) -> Acts:
    dice = life.dice
    about, shelf = interests(dice, 3), dice.fork("shelf")
    system = (Message("system", f"{instructions(dice)} Use only the passages given. Cite their numbers."),)
    per_day = max(1.0, REQUESTS_PER_DAY * life.volume * dice.lognormal(1.0, 0.9, 6.0))
    passages, sentences = 2 + dice.below(4), 3 + dice.below(5)

    def talk(at: float) -> Acts:
        topic = dice.pick(about)
        found = [shelf.fork(topic.name, dice.early(range(_SHELF))) for _ in range(passages)]
        texts = "\n".join(f"[{place}] {passage(one, topic, sentences)}" for place, one in enumerate(found, 1))
        first = f"Passages:\n{texts}\n\nQuestion: {opening(dice, topic)}"
        turns = 1 + dice.geometric(0.25)
        return conversation(
            life.who, dice, at, first, topic, turns=turns, chars=420.0, system=system, sampling=_SAMPLING
        )

    return side_by_side(arrivals(life, dice, "service", per_day, 0.9), talk)


RETRIEVAL = Customers(
    name="retrieval",
    says="a fixed system prompt, passages and a user's question",
    act=_act,
)
