"""GroupCommit: many tasks store one record each, and one disk sync serves all that came within 20 ms.

    async with GroupCommit(ledger) as commit:
        await commit.add(exchange)      # on disk when this returns

Compressing and syncing are done in one worker thread, so the event loop never waits for the disk. Encoding is done by
the task, where the record still is in the cache; in the thread it would cost about 10 microseconds more a record. What
comes while a batch is being written makes up the next one.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.entries import Entry, Record, encode
from spiritsafe.exchanges.ledger import Ledger

Batch = list[tuple[tuple[bytes, Entry], asyncio.Future[None]]]


class GroupCommit:
    """Appends to `ledger` on behalf of the tasks of one event loop.

    Args:
        ledger: where records go; it stays open when this is closed.
        max_rows: a batch of so many is written at once.
        max_wait_s: a smaller one is written so long after its first record came, or after the batch before it.
    """

    def __init__(self, ledger: Ledger, max_rows: int = 256, max_wait_s: float = 0.02) -> None:
        self._ledger = ledger
        self._max_rows = max_rows
        self._max_wait_s = max_wait_s
        self._waiting: Batch = []
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spiritsafe-commit")
        self._closed = False

    async def add(self, record: Record) -> None:
        """Store `record`; when this returns it is on disk. A task that is cancelled here leaves it to be stored still.

        Raises:
            InputError: it is nothing that the ledger can hold.
            StoreError: the disk did not take its batch, or this is closed.
        """
        if self._closed:
            raise StoreError("got a record after the last commit; add before closing")
        encoded = encode(record)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((encoded, stored))
        self._schedule()
        await stored

    def _schedule(self) -> None:
        if self._writing is not None or not self._waiting:
            return
        if len(self._waiting) >= self._max_rows or self._closed:
            self._write()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._max_wait_s, self._write)

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting[: self._max_rows], self._waiting[self._max_rows :]
        encoded = [one for one, _ in batch]
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.append_encoded, encoded)
        self._writing.add_done_callback(partial(self._written, batch))

    def _written(self, batch: Batch, writing: asyncio.Future[None]) -> None:
        self._writing = None
        error = writing.exception()
        for _, stored in batch:
            if stored.done():
                continue  # its task was cancelled
            if error is None:
                stored.set_result(None)
            else:
                stored.set_exception(error)
        self._schedule()

    async def close(self) -> None:
        """Write what is waiting and take no more; the errors go to those who wait."""
        self._closed = True
        try:
            self._schedule()
            while self._writing is not None:
                await asyncio.wait([self._writing])
        finally:
            self._thread.shutdown(wait=False)

    async def __aenter__(self) -> GroupCommit:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
