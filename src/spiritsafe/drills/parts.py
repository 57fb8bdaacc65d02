"""A play in parts: each process plays every n-th unit of the cast, and the parts are merged into the order of time.

What comes out is the same to the byte, however many processes there are: a unit depends on nothing outside itself, and
exchanges are ordered by time and, where that is the same, by the key of who asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from spiritsafe.drills.cast import cast
from spiritsafe.drills.key import AnswerKey
from spiritsafe.drills.logged import played
from spiritsafe.drills.scenario import Scenario
from spiritsafe.errors import SpiritSafeError, StoreError
from spiritsafe.exchanges.line import dumps

BATCH = 500
"""Lines that cross between processes at a time."""


class Line(NamedTuple):
    """One exchange as its line, with what orders it, its id, and the campaign whose own query it was."""

    at: float
    actor: bytes
    line: bytes
    id: str
    campaign: str


def lines(scenario: Scenario, key: AnswerKey, part: int = 0, parts: int = 1) -> Iterator[Line]:
    """The lines of one part; fills `key` with the part's accounts, counted once the last line is out."""
    made = cast(scenario, part, parts)
    key.update(made.key)
    for cue, exchange in played(made, scenario.ends_at):
        yield Line(cue.at, cue.actor.key, dumps(exchange), cue.id, cue.ask.campaign)


def lines_by(scenario: Scenario, key: AnswerKey, processes: int) -> Iterator[Line]:
    """The lines of all parts, one process a part; with one process, this one.

    Raises:
        InputError: prompt sets or questions cannot be read.
        StoreError: a process ended before its part did.
    """
    if processes == 1:
        yield from lines(scenario, key)
        return
    context = get_context("spawn")
    ours, workers = [], []
    for part in range(processes):
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(there, scenario, part, processes), daemon=True)
        worker.start()
        there.close()
        ours.append(here)
        workers.append(worker)
    try:
        yield from merge(*(received(pipe, key) for pipe in ours), key=lambda line: line[:2])
    finally:
        _end(workers)


def work(pipe: Connection, scenario: Scenario, part: int, parts: int) -> None:
    """Play one part and send it through `pipe`: its lines in batches, then its key; or the error that came instead."""
    key, batch = AnswerKey(), []
    try:
        for line in lines(scenario, key, part, parts):
            batch.append(line)
            if len(batch) == BATCH:
                pipe.send(batch)
                batch = []
    except SpiritSafeError as error:
        pipe.send(error)
        return
    pipe.send(batch)
    pipe.send(key)


def received(pipe: Connection, key: AnswerKey) -> Iterator[Line]:
    """The lines of a part from `pipe`; its accounts go into `key`.

    Raises:
        SpiritSafeError: what the other process met.
        StoreError: the other process ended before its part did.
    """
    try:
        while not isinstance(batch := pipe.recv(), AnswerKey):
            if isinstance(batch, SpiritSafeError):
                raise batch
            yield from batch
    except EOFError:
        raise StoreError("a process of the play ended before its part did; play it with one process") from None
    key.update(batch)


def _end(workers: Iterable[BaseProcess]) -> None:
    for worker in workers:
        worker.terminate()
        worker.join()
