"""Plays a scenario against a gateway at a loopback address, in time made shorter: a customer's view, over HTTP.

    OUT/run/asked.jsonl         of each exchange: id, account, simulated time `at`, real time, status
    OUT/run/run.json            how fast it was played, how far it fell behind, how often which status came
    OUT/key/accounts.jsonl      what each account was, and how many exchanges it had
    OUT/key/own.jsonl           id, campaign and prompt of each exchange that was a campaign's own query
    OUT/key/scenario.json       the scenario in full

Everybody asks one thing at a time and hears the answer before the next, as the scenario has it; different actors ask at
the same time. Where the gateway is slower than the simulated clock, asks are sent late, never left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import IO, Any

import orjson

from spiritsafe.drills.acting import Ask, Reply
from spiritsafe.drills.cast import cast
from spiritsafe.drills.key import AnswerKey
from spiritsafe.drills.play import Cue, Play
from spiritsafe.drills.play_log import OWN, write_key
from spiritsafe.drills.scenario import Scenario
from spiritsafe.drills.score import REFUSED
from spiritsafe.drills.sending import Sent
from spiritsafe.exchanges.atomic import replacing

ASKED = Path("run", "asked.jsonl")
RUN = Path("run", "run.json")

IN_FLIGHT = 64
"""Requests at once; customers of a real gateway are more, but one gateway on this machine has no more to gain."""

_LEAST_WAIT_S = 0.001

Send = Callable[[Ask], Awaitable[Sent]]
"""Asks the gateway."""


@dataclass(slots=True)
class Ran:
    """What was played.

    Attributes:
        exchanges, own: how many, and how many of them were campaigns' own queries.
        late_s: real seconds by which the last of all asks was sent late, at the most.
        statuses: how often which status came; 0 is no whole answer.
        faults: how often which trouble came, by the words of `UpstreamError.kind`.
        is_whole: whether it was played to its end.
        key: what every account was.
    """

    exchanges: int = 0
    own: int = 0
    late_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    is_whole: bool = True
    key: AnswerKey = field(default_factory=AnswerKey)


class Clock:
    """Simulated time: `speed` simulated seconds pass in a real one, from the first ask on.

    Args:
        at: unix seconds of the first ask.
        speed: above 0.
    """

    def __init__(self, at: float, speed: float) -> None:
        self._at, self._speed, self._began = at, speed, time.monotonic()

    def now(self) -> float:
        """Simulated unix seconds."""
        return self._at + (time.monotonic() - self._began) * self._speed

    def wait_s(self, at: float) -> float:
        """Real seconds until `at`; negative once it is past."""
        return (at - self.now()) / self._speed


async def play_over(scenario: Scenario, out: Path, send: Send, *, speed: float, most_in_flight: int = IN_FLIGHT) -> Ran:
    """Play `scenario` through `send` into the folder `out`; see the head of this module for its files.

    Cancelled, it ends with what has been answered.

    Args:
        scenario: what is played; the blocks of its plans are not, since the gateway is the operator here.
        out: the folder.
        send: asks the gateway.
        speed: simulated seconds in a real one.
        most_in_flight: requests at once.

    Raises:
        InputError: prompt sets or questions cannot be read, or an account has no key.
        UpstreamError: nothing listens at the gateway's address.
        StoreError: the disk did not take it.
    """
    made = cast(scenario)
    ran = Ran(key=made.key)
    with ExitStack() as files:
        asked, own = (files.enter_context(replacing(out / name)) for name in (ASKED, OWN))
        stage = _Stage(Play(made.actors, scenario.ends_at), send, ran, _Paper(asked, own, ran), speed, most_in_flight)
        try:
            await stage.go()
        except asyncio.CancelledError:
            ran.is_whole = False
        finally:
            await stage.clear()
        write_key(scenario, made.key, out)
    with replacing(out / RUN) as file:
        file.write(orjson.dumps(_facts(ran, speed), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n")
    return ran


@dataclass(frozen=True, slots=True)
class _Heard:
    """A cue, the real unix seconds at which it was sent, how long the answer took, and what it was."""

    cue: Cue
    real: float
    took_s: float
    sent: Sent


class _Paper:
    """Writes down what was asked, and apart from it what belongs to a campaign."""

    def __init__(self, asked: IO[bytes], own: IO[bytes], ran: Ran) -> None:
        self._asked, self._own, self._ran = asked, own, ran

    def note(self, heard: _Heard) -> None:
        """One more exchange."""
        cue, sent, ran = heard.cue, heard.sent, self._ran
        campaign = cue.ask.campaign
        row = {"id": cue.id, "account": cue.ask.account, "at": cue.at, "real": heard.real, "took_s": heard.took_s}
        self._asked.write(orjson.dumps({**row, "status": sent.status, "fault": sent.fault or None}) + b"\n")
        if campaign:
            mine = {"id": cue.id, "campaign": campaign, "prompt": cue.ask.messages[-1].content}
            self._own.write(orjson.dumps(mine) + b"\n")
        ran.exchanges += 1
        ran.own += bool(campaign)
        ran.statuses[sent.status] += 1
        if sent.fault:
            ran.faults[sent.fault] += 1
        ran.key.count(cue.ask.account, is_own=bool(campaign))


class _Stage:
    """A play under way: who waits for an answer, and whose time has come."""

    def __init__(self, play: Play, send: Send, ran: Ran, paper: _Paper, speed: float, most_in_flight: int) -> None:
        self._play, self._send, self._ran, self._paper = play, send, ran, paper
        self._speed, self._most = speed, most_in_flight
        self._clock = Clock(0.0, speed)
        self._out: set[asyncio.Task[_Heard]] = set()

    async def go(self) -> None:
        """Play to the end."""
        cue = self._play.take()
        if cue is None:
            return
        self._clock = Clock(cue.at, self._speed)
        self._begin(cue)
        while self._out or self._play.next_at < inf:
            is_full = len(self._out) >= self._most
            cue = None if is_full else self._play.take(self._clock.now())
            if cue is not None:
                self._begin(cue)
                continue
            await self._news(None if is_full else self._clock.wait_s(self._play.next_at))

    async def clear(self) -> None:
        """Let go of whoever still waits."""
        for task in self._out:
            task.cancel()
        await asyncio.gather(*self._out, return_exceptions=True)

    def _begin(self, cue: Cue) -> None:
        self._ran.late_s = max(self._ran.late_s, -self._clock.wait_s(cue.at))
        self._out.add(asyncio.create_task(self._ask(cue)))

    async def _ask(self, cue: Cue) -> _Heard:
        real, began = time.time(), time.monotonic()
        sent = await self._send(cue.ask)
        return _Heard(cue, real, time.monotonic() - began, sent)

    async def _news(self, wait_s: float | None) -> None:
        """Wait for an answer, or for the time of the next ask."""
        if wait_s is not None:
            wait_s = None if wait_s == inf else max(wait_s, _LEAST_WAIT_S)
        if not self._out:
            await asyncio.sleep(wait_s or 0.0)
            return
        done, self._out = await asyncio.wait(self._out, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        # asked of all of them, for asyncio complains of an error that nobody looked at
        for error in [task.exception() for task in done]:
            if error is not None:
                raise error
        # by the time of sending, so that a row's place in the file says no more than that time does
        for heard in sorted((task.result() for task in done), key=lambda one: one.real):
            self._paper.note(heard)
            self._play.give(heard.cue, Reply(heard.sent.text, heard.sent.status in REFUSED))


def _facts(ran: Ran, speed: float) -> dict[str, Any]:
    counts = {"exchanges": ran.exchanges, "own": ran.own, "statuses": dict(sorted(ran.statuses.items()))}
    return {"v": 1, "speed": speed, "late_s": ran.late_s, "is_whole": ran.is_whole, **counts, "faults": ran.faults}
