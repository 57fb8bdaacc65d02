"""The log of one worker: records from the event loop, committed in groups by a thread.

An exchange has an `Entry`. `received` writes it down when it is handed to an upstream, `ended` when it is over; one
that is over before its first record was written gets a single record with both. What came while a batch was being
synced makes up the next one.

A disk that takes nothing loses nothing at once: the batch waits and is tried again every second, and `is_failing` says
so. Beyond `most_waiting_bytes` the oldest are let go and counted as dropped; whoever promised a customer that they are
on disk refuses new work long before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from spiritsafe.guard.log.records import encode_ended, encode_received, encode_whole

MOST_ROWS = 512

_FIELDS_BYTES = 512

Append = Callable[[Sequence[bytes]], object]


class Entry:
    """What the log is to say of one exchange; filled in by its flow.

    Attributes:
        received: the fields of its first record, but for the request.
        request: the body as it was sent; let go once it is on its way to the disk.
        request_bytes: how long it was.
        kept: the body once more, where a trace shall hold it.
        is_counted: it was admitted and counts against its account's limits.
        is_taken: the first record is on its way to the disk or there.
        last: the last record, encoded, or both in one; None while the exchange is going on.
        when_durable: called once with whether the last record is on disk.
    """

    __slots__ = (
        "is_counted",
        "is_taken",
        "is_waiting",
        "kept",
        "last",
        "received",
        "request",
        "request_bytes",
        "size",
        "when_durable",
    )

    def __init__(self, received: dict[str, Any], request: bytes | None) -> None:
        self.received = received
        self.request = request
        self.request_bytes = 0
        self.kept: bytes | None = None
        self.is_counted = False
        self.is_taken = False
        self.last: bytes | None = None
        self.when_durable: Callable[[bool], None] | None = None
        self.is_waiting = False
        self.size = 0


@dataclass(slots=True)
class _Record:
    entry: Entry
    data: bytes
    is_last: bool
    size: int


class Journal:
    """Writes entries with `append`, which returns when they are on disk.

    Args:
        loop: the worker's.
        append: writes a batch of records durably, or raises StoreError; called in a thread.
        interval_s: how long the first record of a batch waits for others.
        most_waiting_bytes: what may wait in memory while the disk takes nothing.
        retry_s: how long a batch that the disk did not take waits for another try.

    Attributes:
        is_failing: the last batch was not taken.
        last_error: why; empty while all is well.
        waiting_bytes: what is not on disk yet.
        durable: exchanges whose last record is on disk.
        dropped: exchanges whose last record was let go.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        append: Append,
        interval_s: float,
        most_waiting_bytes: int,
        retry_s: float = 1.0,
    ) -> None:
        self._loop = loop
        self._append = append
        self._interval_s = interval_s
        self._most_waiting_bytes = most_waiting_bytes
        self._retry_s = retry_s
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="spiritsafe-journal")
        self._waiting: deque[Entry] = deque()
        self._again: list[_Record] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[object] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._is_closed = False
        self.is_failing = False
        self.last_error = ""
        self.waiting_bytes = 0
        self.durable = 0
        self.dropped = 0

    @property
    def is_full(self) -> bool:
        """Whether half of what may wait is waiting: time to refuse new work."""
        return self.waiting_bytes > self._most_waiting_bytes // 2

    def received(self, entry: Entry) -> None:
        """Have its first record written with the next batch."""
        self._wait(entry, len(entry.request or b"") + _FIELDS_BYTES)

    def ended(self, entry: Entry, ended: dict[str, Any], response: bytes | None) -> None:
        """Have its last record written with the next batch."""
        if entry.is_taken:
            entry.last = encode_ended(ended, response)
        else:
            entry.last = encode_whole(entry.received, entry.request, ended, response)
        entry.request = None
        self._wait(entry, len(entry.last))

    def _wait(self, entry: Entry, size: int) -> None:
        if entry.is_waiting:
            self.waiting_bytes += size - entry.size
        else:
            entry.is_waiting = True
            self._waiting.append(entry)
            self.waiting_bytes += size
        entry.size = size
        if self._timer is None and self._writing is None and not self._is_closed:
            self._timer = self._loop.call_later(self._interval_s, self._write)

    def _write(self) -> None:
        self._timer = None
        batch, self._again = self._again, []
        while self._waiting and len(batch) < MOST_ROWS:
            batch.append(_taken(self._waiting.popleft()))
        self._writing = self._loop.run_in_executor(self._writer, self._append, [record.data for record in batch])
        self._writing.add_done_callback(partial(self._written, batch))

    def _written(self, batch: list[_Record], writing: asyncio.Future[object]) -> None:
        self._writing = None
        error = writing.exception()
        if error is None:
            self.is_failing, self.last_error = False, ""
            for record in batch:
                self._settle(record, is_durable=True)
        else:
            self.is_failing, self.last_error = True, str(error)
            self._again = batch
            self._let_go()
        self._go_on()

    def _settle(self, record: _Record, *, is_durable: bool) -> None:
        self.waiting_bytes -= record.size
        if not record.is_last:
            return
        if is_durable:
            self.durable += 1
        else:
            self.dropped += 1
        if record.entry.when_durable is not None:
            record.entry.when_durable(is_durable)

    def _let_go(self) -> None:
        """Drop the oldest of what the disk did not take, where more is waiting than may."""
        gone = 0
        while gone < len(self._again) and self.waiting_bytes > self._most_waiting_bytes:
            self._settle(self._again[gone], is_durable=False)
            gone += 1
        del self._again[:gone]

    def _go_on(self) -> None:
        if self._is_closed:
            self._give_up()
        elif self._again or self._waiting:
            if self._timer is None:
                self._timer = self._loop.call_later(self._pause_s(), self._write)
        elif self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    def _pause_s(self) -> float:
        if self.is_failing:
            return self._retry_s
        return 0.0 if self._closing is not None or len(self._waiting) >= MOST_ROWS else self._interval_s

    async def close(self, patience_s: float) -> None:
        """Write what is waiting, for at most `patience_s` seconds; what the disk has not taken then is dropped."""
        if self._is_closed:
            return
        self._closing = self._loop.create_future()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is None:
            self._go_on()
        await asyncio.wait([self._closing], timeout=patience_s)
        self._is_closed = True
        self._give_up()
        self._writer.shutdown(wait=False)

    def _give_up(self) -> None:
        """Drop what the disk has not taken."""
        for record in [*self._again, *map(_taken, self._waiting)]:
            self._settle(record, is_durable=False)
        self._again = []
        self._waiting.clear()


def _taken(entry: Entry) -> _Record:
    """The record that `entry` has to give now."""
    entry.is_waiting = False
    if entry.last is not None:
        return _Record(entry, entry.last, True, entry.size)
    entry.is_taken = True
    record = _Record(entry, encode_received(entry.received, entry.request), False, entry.size)
    entry.request = None
    return record
