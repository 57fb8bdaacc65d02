"""Parsing of large answers in a process of its own, so that the event loop is never held up.

An answer with 300 tokens and 20 alternatives each is 570 kB of JSON and takes 15 to 30 ms to read and pack, in which no
other answer could be received. The process is started with the first such answer and ends with `close`. It is spawned,
not forked: a fork would copy the transport's threads in whatever state they are. So a script that uses this needs the
usual `if __name__ == "__main__":`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor, Executor

from spiritsafe.wire.base import Answer, Dialect

LARGE_BYTES = 32 << 10
"""Below this, sending a body to another process costs more than reading it here: about a millisecond either way."""


class Parsers:
    """A lazily started pool of `workers` processes."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: Executor | None = None

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return self._pool is not None

    async def parse(self, dialect: Dialect, body: bytes) -> Answer:
        """`dialect.parse(body)`, elsewhere; in a thread of this process if the other one is killed.

        Raises:
            UpstreamError: as `Dialect.parse`.
        """
        pool = self._pool
        if pool is None:
            pool = self._pool = _spawned(self.workers)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, dialect.parse, body)
        except BrokenExecutor:
            if self._pool is pool:
                self._pool = None
            return await asyncio.to_thread(dialect.parse, body)

    def close(self) -> None:
        """End the processes; a later `parse` starts them again."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _spawned(workers: int) -> Executor:
    # Imported here: a megabyte and some milliseconds that only answers with log-probabilities need.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
