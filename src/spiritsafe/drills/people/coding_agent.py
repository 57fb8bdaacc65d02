"""A coding agent: long sessions of many steps, with sub-agents that work side by side under the same key.

Three keys share an organisation and its card, as teams have it. The number of steps and the share of work in parallel
follow public traces of coding agents: few sessions have most of the requests.
"""

from __future__ import annotations

from collections.abc import Iterator

from spiritsafe.drills.acting import Acts, side_by_side
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.code import STEPS, TASKS, said, snippet
from spiritsafe.drills.texts.grammar import Topic, topic
from spiritsafe.drills.world import Life, arrivals
from spiritsafe.exchanges.record import Message, Sampling

_SYSTEM = (
    "You are a coding agent. You can read_file, edit_file, run and search. Work in small steps, run the tests after "
    "each change, and stop when the task is done."
)
_SAMPLING = Sampling(max_tokens=4096, other=(("tools", [{"type": "function", "function": {"name": "run"}}]),))
_MOST_STEPS = 60


def _step(dice: Dice, _: Topic) -> str:
    text = said(dice, STEPS)
    return f"{text}\n```\n{snippet(dice, 2 + dice.below(9))}\n```" if dice.chance(0.6) else text


def _act(life: Life) -> Acts:
    dice = life.dice
    about = topic(dice.pick(("python_code", "web_frontend", "databases", "devops")))
    system = (Message("system", _SYSTEM),)
    sessions_per_day = life.rate * dice.lognormal(3.0, 0.6, 12.0)
    parallel = dice.below(4)

    def starts() -> Iterator[float]:
        for at in arrivals(life, dice, "office", sessions_per_day):
            yield from sorted([at, *(at + dice.between(5.0, 90.0) for _ in range(parallel))])

    def session(at: float) -> Acts:
        first = f"{said(dice, TASKS)}\n```\n{snippet(dice, 3 + dice.below(12))}\n```"
        turns = min(_MOST_STEPS, 1 + int(dice.lognormal(5.0, 1.1)))
        return conversation(
            life.who,
            dice,
            at,
            first,
            about,
            turns=turns,
            chars=500.0,
            system=system,
            then=_step,
            sampling=_SAMPLING,
            think_s=6.0,
        )

    return side_by_side(_rising(starts()), session)


def _rising(starts: Iterator[float]) -> Iterator[float]:
    """`starts`, none before the one before it: a session may begin while another's sub-agents still start."""
    last = 0.0
    for at in starts:
        last = max(last, at)
        yield last


CODING_AGENT = Customers(
    name="coding_agent",
    says="long sessions with sub-agents side by side; three keys share an organisation",
    act=_act,
    group=3,
    shares=frozenset(("org", "payment", "email_domain", "country", "user_agent", "ja4")),
)
