"""How an actor acts: it waits, it asks, it hears the answer.

Whoever asks is a generator: it yields unix seconds to wait until then, and an `Ask` to ask; asking gives it the
`Reply`. So it reads from top to bottom like what it does, and whoever plays it decides what an answer is: a script
(`play_log`) or a gateway at an address. It waits before every ask, and may wait again.

    def curious(who: Persona, at: float) -> Acts:
        yield at
        reply = yield from ask(who.asks((Message("user", "What is a spirit safe?"),), Wanted("A locked box.")))
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Any, NamedTuple

from spiritsafe.drills.texts.grammar import Topic
from spiritsafe.exchanges.record import Message, Sampling


class Wanted(NamedTuple):
    """What a scripted model is to answer: `text`, or where that is "", about `chars` characters about `topic`."""

    text: str = ""
    topic: Topic | None = None
    chars: int = 0


class Reply(NamedTuple):
    """What came back.

    Attributes:
        text: the answer.
        is_refused: the gateway said no to the account, and will say so again.
    """

    text: str
    is_refused: bool = False


class Ask(NamedTuple):
    """A request that is about to be sent.

    Attributes:
        account, segment, dialect: whose it is, under which contract, in which API format.
        client: what a gateway sees of where it comes from.
        model, messages, sampling: the request.
        wanted: what a scripted model is to answer.
        campaign: the campaign whose own query it is; "" for all else. It goes into the answer key and nowhere else.
    """

    account: str
    segment: str
    dialect: str
    client: Mapping[str, str]
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    wanted: Wanted
    campaign: str = ""


Acts = Generator[float | Ask, Reply | None, Any]
"""An actor at work; what it gives at its end is nobody's business but its caller's."""

Asking = Generator[Ask, Reply | None, Reply]


def ask(what: Ask) -> Asking:
    """Ask, and give the reply."""
    reply = yield what
    assert reply is not None, "an ask is answered by a reply"
    return reply


def side_by_side(starts: Iterator[float], begin: Callable[[float], Acts]) -> Acts:
    """Several acts of one actor at a time, each begun at one of `starts`, which rise; they do not wait for one another.

    Args:
        starts: unix seconds.
        begin: makes the act that starts then; called at that moment, so that it knows what has happened before.
    """
    going: list[tuple[float, int, Acts]] = []
    begun, now, start = 0, -inf, next(starts, inf)
    while going or start < inf:
        at = min(start, going[0][0]) if going else start
        if at > now:
            yield at
            now = at
        if start <= at:
            acts = begin(start)
            if (step := next(acts, None)) is not None:
                heappush(going, (_time(step), begun, acts))
            begun, start = begun + 1, next(starts, inf)
            continue
        _, number, acts = going[0]
        try:
            step = next(acts)
            if isinstance(step, Ask):
                # the next ask needs a wait of its own, even for the same moment
                now = -inf
                step = acts.send((yield step))
            heapreplace(going, (_time(step), number, acts))
        except StopIteration:
            heappop(going)


def _time(step: float | Ask) -> float:
    assert isinstance(step, float), "an actor waits before it asks"
    return step
