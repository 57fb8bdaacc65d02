"""Spread TCP connections over servers that all answer alike.

Input: the addresses of the servers. Each new connection goes to the server with the fewest open ones, the next in turn
among equals, and stays there; its bytes are passed on untouched. A client that keeps its connections therefore loads
the servers evenly, however long each answer takes.

Limits: a connection is never moved; a server that does not take it costs the client a closed connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

BLOCK_BYTES = 1 << 16

Address = tuple[str, int]
"""Host and port."""


def least_busy(open_counts: Sequence[int], last: int) -> int:
    """The index with the fewest open connections; among equals the first one after `last`, going round."""
    count = len(open_counts)
    return min(range(count), key=lambda index: (open_counts[index], (index - last - 1) % count))


class Balancer:
    """Hands connections on to `backends`.

    Attributes:
        open_counts: connections open now, one number a backend.
    """

    def __init__(self, backends: Sequence[Address]) -> None:
        self._backends = tuple(backends)
        self._last = len(self._backends) - 1
        self.open_counts = [0] * len(self._backends)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes = b"") -> None:
        """Serve one connection to its end; what `asyncio.start_server` calls. `head` goes before all that is read."""
        index = self._last = least_busy(self.open_counts, self._last)
        self.open_counts[index] += 1
        try:
            with suppress(OSError):
                await _joined(reader, writer, self._backends[index], head)
        finally:
            self.open_counts[index] -= 1
            writer.close()


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, backend: Address, head: bytes) -> None:
    """Pass bytes both ways until the backend has said its last or the client takes no more."""
    back_reader, back_writer = await asyncio.open_connection(*backend)
    back_writer.write(head)
    forward = asyncio.create_task(_pump(reader, back_writer))
    try:
        await _pump(back_reader, writer)
    finally:
        forward.cancel()
        back_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on all bytes, then the end; a broken connection counts as an end."""
    with suppress(OSError):
        while block := await source.read(BLOCK_BYTES):
            sink.write(block)
            await sink.drain()
        sink.write_eof()
