"""A conversation: a question, an answer, and what somebody says to that."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple

from spiritsafe.drills.acting import Ask, Reply, Wanted, ask
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.persona import Persona
from spiritsafe.drills.texts.grammar import Topic
from spiritsafe.drills.texts.talk import Voice, follow_up
from spiritsafe.exchanges.record import Message, Sampling

REMEMBERED = 8
"""Turns that are sent along; older ones are left out, as chat programs do."""


class Talked(NamedTuple):
    """How a conversation ended: unix seconds at which it was over, and whether because the gateway said no."""

    at: float
    is_refused: bool


Talking = Generator[float | Ask, Reply | None, Talked]

NextTurn = Callable[[Dice, Topic], str]


def conversation(
    who: Persona,
    dice: Dice,
    at: float,
    first: str,
    topic: Topic,
    *,
    turns: int,
    chars: float,
    system: tuple[Message, ...] = (),
    voice: Voice | None = None,
    then: NextTurn = follow_up,
    sampling: Sampling | None = None,
    think_s: float = 45.0,
    place: int = 0,
    campaign: str = "",
) -> Talking:
    """Talk about `topic` from `at` on.

    Args:
        first: what is said first; the `turns - 1` later turns come from `then`.
        chars: how long the answers are, in the median.
        system: the system prompt's message, if there is one.
        voice: whose words the later turns are in; the persona's own unless given.
        think_s: the median pause before a further turn.
        place: which of the persona's places it talks from.
        campaign: the campaign whose query the first turn is.
    """
    speaker = voice or who.voice
    said: tuple[Message, ...] = (Message("user", first),)
    for turn in range(turns):
        yield at
        wanted = Wanted("", topic, int(dice.lognormal(chars, 0.7, 8000.0)))
        reply = yield from ask(
            who.asks(system + said, wanted, sampling=sampling, place=place, campaign="" if turn else campaign)
        )
        if reply.is_refused:
            return Talked(at, True)
        if turn + 1 < turns:
            at += 4.0 + len(reply.text) / 90.0 + dice.lognormal(think_s, 0.9, 3600.0)
            further = Message("user", speaker.goes_on(then(dice, topic)))
            said = (*said, Message("assistant", reply.text), further)[-REMEMBERED - 1 :]
    return Talked(at, False)
