"""One connection to an upstream, and the pool of them.

A connection serves one request at a time and goes back to the pool when its answer is whole. What it reads goes to a
`Sink` as it comes: nothing is collected here. Addresses come from the configuration alone; a redirect is an answer
like any other and is followed by nobody.

Whatever comes behind an answer was asked for by nobody: it is thrown away and the connection is not kept, as the next
answer on it could be another customer's.

A kept connection may be closed by the other side at any moment. If that happens before one byte of the answer, the
request is sent once more, over a new connection: the upstream has closed an idle connection, as servers do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from ssl import SSLContext
from typing import Protocol

import httptools

from spiritsafe.guard.gateway.answers import Header

IDLE_S = 4.0
"""How long a connection is kept without use: less than the 5 s after which common servers close it."""

MOST_HEAD_BYTES = 64 << 10

SINGLE = (b"transfer-encoding", b"content-length", b"content-encoding", b"content-type")
"""Headers that an answer may have once."""


class Sink(Protocol):
    """Where an answer goes."""

    def answer_comes_over(self, connection: Connection) -> bool:
        """A new connection is there for the request; False where nobody waits for the answer any more."""
        ...

    def answer_begins(self, status: int, fields: dict[bytes, bytes], headers: list[Header], length: int | None) -> None:
        """The head has come, by name and as it came; `length` as announced, None for a chunked or unframed body."""

    def answer_data(self, data: bytes) -> None:
        """A piece of the body has come, all that one read held of it."""

    def answer_pieces(self, pieces: list[bytes]) -> None:
        """Several have come in one read."""

    def answer_flush(self) -> None:
        """A read held nothing of the body: time to write what there is."""

    def answer_ends(self) -> None:
        """The body is whole."""

    def answer_breaks(self, why: str) -> None:
        """There will be no more: `why` is "refused", "broken_off" or "malformed"."""


class Surplus(Exception):
    """An upstream sends what was not asked for: an answer behind the answer, or a coding."""


class Connection(asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_head_bytes",
        "_headers",
        "_is_reused",
        "_is_until_close",
        "_keeps_alive",
        "_parser",
        "_pieces",
        "_pool",
        "_request",
        "idle_since_s",
        "is_closed",
        "is_done",
        "on_body",
        "sink",
        "transport",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.sink: Sink | None = None
        self.idle_since_s = 0.0
        self.is_closed = False
        self.is_done = False
        self._pieces: list[bytes] = []
        # The parser's call for a piece of the body is a list's own method: a stream's event costs no frame for it.
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self._is_reused = False
        self._is_until_close = self._keeps_alive = False
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream, as was asked for

    def send(self, request: bytes, sink: Sink, *, is_reused: bool) -> None:
        """Send a whole request; its answer goes to `sink`."""
        self.sink = sink
        self.is_done = self._is_until_close = False
        self._is_reused = is_reused
        self._request = request if is_reused else b""
        self._headers: list[Header] = []
        self._head_bytes = 0
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """What the upstream sends."""
        sink = self.sink
        if sink is None:
            self.transport.close()  # it answers what nobody asked
            return
        self._request = b""
        pieces = self._pieces
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keeps_alive = False
            if not self.is_done:
                self._hand_over(sink)
                self._break("malformed")
                return
        if self.is_done:
            self._finish(sink)
        elif len(pieces) == 1:
            sink.answer_data(pieces.pop())
        else:
            self._hand_over(sink)
            sink.answer_flush()

    def _hand_over(self, sink: Sink) -> None:
        """Give out what has been read of the body."""
        if self._pieces:
            sink.answer_pieces(self._pieces)
            self._pieces.clear()

    def on_message_begin(self) -> None:
        """Parser: an answer begins."""
        if self.is_done:
            raise Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MOST_HEAD_BYTES:
            raise Surplus
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Parser: the head is whole."""
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if status < 100:
            raise Surplus
        if status >= 200 and self.sink is not None:
            fields = dict(headers)
            if len(fields) < len(headers):
                _check_repeated([name for name, _ in headers])
            if fields.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
                raise Surplus
            length = fields.get(b"content-length")
            self._is_until_close = length is None and b"transfer-encoding" not in fields
            self.sink.answer_begins(status, fields, headers, None if length is None else int(length))

    def on_message_complete(self) -> None:
        """Parser: the body is whole; after an interim answer (100, 103) the real one is still to come."""
        self.is_done = self._parser.get_status_code() >= 200
        self._keeps_alive = self._parser.should_keep_alive()  # later it knows no more

    def eof_received(self) -> None:
        """The upstream sends no more."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.is_closed = True
        self._pool.forget(self)
        sink, self.sink = self.sink, None
        if sink is None:
            return
        if self._is_reused and self._request:
            self._pool.send_anew(self._request, sink)
        elif self._is_until_close and error is None:
            sink.answer_ends()
        else:
            sink.answer_breaks("broken_off")

    def pause_writing(self) -> None:
        """The upstream reads slowly: the request is whole already, so there is nobody to hold back."""

    def resume_writing(self) -> None:
        """It reads again."""

    def let_go(self) -> None:
        """End the request, whatever has come of the answer; the upstream sees its client leave."""
        self.sink = None
        self.transport.abort()

    def _finish(self, sink: Sink) -> None:
        self._hand_over(sink)
        if self.sink is None:
            return
        self.sink = None
        if self._keeps_alive and not self.transport.get_write_buffer_size():
            self._pool.put_back(self)
        else:
            self.transport.close()
            self._pool.forget(self)
        sink.answer_ends()

    def _break(self, why: str) -> None:
        sink, self.sink = self.sink, None
        self.transport.abort()
        if sink is not None:
            sink.answer_breaks(why)


def _check_repeated(names: list[bytes]) -> None:
    """Refuse two headers that say how the body is to be read: a customer's client might read the other one."""
    if any(names.count(name) > 1 for name in SINGLE):
        raise Surplus


class Pool:
    """Connections to one upstream.

    Args:
        loop: the worker's.
        host, port: where it is.
        tls: how to encrypt; None for plain text.
        connect_s: how long a new connection may take.
        most: connections at once; a request beyond them breaks with "refused".
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        tls: SSLContext | None,
        connect_s: float,
        most: int,
    ) -> None:
        self._loop = loop
        self._address = (host, port)
        self._tls = tls
        self._connect_s = connect_s
        self._most = most
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._being_made = 0

    @property
    def in_use(self) -> int:
        """Connections that carry a request, or are being made for one."""
        return len(self._all) - len(self._idle) + self._being_made

    def send(self, request: bytes, sink: Sink) -> Connection | None:
        """Send `request` over a kept connection, which is returned, or a new one, which `sink` is told of."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed and not connection.transport.is_closing():
                connection.send(request, sink, is_reused=True)
                return connection
        self.send_anew(request, sink)
        return None

    def send_anew(self, request: bytes, sink: Sink) -> None:
        """Send `request` over a new connection."""
        if self.in_use >= self._most:
            self._loop.call_soon(sink.answer_breaks, "refused")
            return
        self._being_made += 1
        task = self._loop.create_task(self._open(request, sink))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, request: bytes, sink: Sink) -> None:
        host, port = self._address
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self), host, port, ssl=self._tls, server_hostname=host if self._tls else None
                )
        except (OSError, TimeoutError):
            sink.answer_breaks("refused")
            return
        finally:
            self._being_made -= 1
        self._all.add(connection)
        if sink.answer_comes_over(connection):
            connection.send(request, sink, is_reused=False)
        else:
            self.put_back(connection)

    def put_back(self, connection: Connection) -> None:
        """Keep a connection whose answer is whole for the next request."""
        connection.idle_since_s = self._loop.time()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """Count a connection out that is gone."""
        self._all.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)

    def sweep(self) -> None:
        """Close what has not been used for `IDLE_S`."""
        oldest_s = self._loop.time() - IDLE_S
        while self._idle and self._idle[0].idle_since_s < oldest_s:
            connection = self._idle.popleft()
            self._all.discard(connection)  # what is closed is not in use until that is through
            connection.transport.close()

    def close(self) -> None:
        """Close what carries no request."""
        while self._idle:
            self._idle.popleft().transport.close()
