"""A play: all actors of a cast, one ask after the other in the order of time.

    while (cue := play.take()) is not None:
        play.give(cue, reply_to(cue.ask))

An actor is asked what it wants only when its time has come, so it knows what was answered before. Several cues may be
out at once, each of another actor. Memory: one entry an actor, however long the play is.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import NamedTuple

from spiritsafe.drills.acting import Acts, Ask, Reply
from spiritsafe.drills.clock import exact

PATIENCE = 5
"""Refusals in a row after which somebody goes away for good."""


class Actor:
    """Somebody at work.

    Args:
        key: its name, 16 bytes; makes the ids of its exchanges and breaks ties in time.
        acts: what it does.
        gives_up: whether it goes away after `PATIENCE` refusals; a campaign's lanes decide that by themselves.
    """

    __slots__ = ("acts", "asked", "gives_up", "key", "refusals")

    def __init__(self, key: bytes, acts: Acts, *, gives_up: bool = True) -> None:
        self.key = key
        self.acts = acts
        self.gives_up = gives_up
        self.asked = 0
        self.refusals = 0


class Cue(NamedTuple):
    """An ask whose time has come: unix seconds, the exchange's id, the request, and who waits for the reply."""

    at: float
    id: str
    ask: Ask
    actor: Actor


class Play:
    """The actors of `cast` at work until `end`, in unix seconds."""

    def __init__(self, cast: Iterable[Actor], end: float) -> None:
        self._end = end
        self._waiting = [(0.0, actor.key, actor) for actor in cast]
        heapify(self._waiting)

    @property
    def next_at(self) -> float:
        """Unix seconds before which nobody asks; infinite when the play is over, or all who are left await a reply."""
        at = self._waiting[0][0] if self._waiting else inf
        return at if at < self._end else inf

    def take(self, until: float = inf) -> Cue | None:
        """The next ask, if its time is `until` or earlier; None too when all who are left await a reply."""
        waiting = self._waiting
        while waiting:
            at, key, actor = waiting[0]
            if at >= self._end or at > until:
                return None
            step = next(actor.acts, None)
            if isinstance(step, Ask):
                heappop(waiting)
                return Cue(at, self._id(actor), step, actor)
            if step is None:
                heappop(waiting)
            else:
                heapreplace(waiting, (exact(max(at, step)), key, actor))
        return None

    def _id(self, actor: Actor) -> str:
        actor.asked += 1
        return blake2b(actor.asked.to_bytes(8, "little"), digest_size=16, key=actor.key).hexdigest()

    def give(self, cue: Cue, reply: Reply) -> None:
        """Tell the actor of `cue` what came back; it goes on from there."""
        actor = cue.actor
        actor.refusals = actor.refusals + 1 if reply.is_refused else 0
        if actor.gives_up and actor.refusals >= PATIENCE:
            return
        try:
            step = actor.acts.send(reply)
        except StopIteration:
            return
        assert isinstance(step, float), "an actor waits before it asks"
        heappush(self._waiting, (exact(max(cue.at, step)), actor.key, actor))
