"""One customer's connection: requests come in one after the other, each is checked as early as can be.

The head decides most: a request that is not HTTP, brings no known key or announces too much is refused before its body
is read. A request that comes while another is being answered waits, with at most `MOST_AHEAD` others; beyond that the
connection ends. Of a chunked body every byte of framing is accounted for, so no chunk extension, no trailer and nothing
behind it goes unseen: llhttp passes over them silently.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httptools

from spiritsafe.guard.gateway.answers import refusal
from spiritsafe.guard.gateway.flow import Flow
from spiritsafe.guard.gateway.heads import MOST_HEAD_BYTES, BadRequest, Head, Headers, checked_head

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.book import Known
    from spiritsafe.guard.gateway.desk import Desk

MOST_AHEAD = 4
"""Requests that may wait on one connection behind the one that is being answered."""

LINGER_S = 2.0
"""How long what a refused customer still sends is read and thrown away: closed at once, it might never see why."""

MOST_WRITE_AHEAD_BYTES = 256 << 10
"""What may wait for a customer that reads slowly before its upstream is held back."""

NOT_HTTP = BadRequest(400, "got something that is not HTTP/1.1, wanted a request as the API's clients send it")

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEAD_END = b"\r\n\r\n"


class Customer(asyncio.Protocol):
    """The connection of one customer."""

    __slots__ = (
        "_account",
        "_ahead",
        "_bad",
        "_body",
        "_body_bytes",
        "_chunk_bytes",
        "_desk",
        "_fed_bytes",
        "_flow",
        "_framing_bytes",
        "_head",
        "_headers",
        "_is_gone",
        "_is_lingering",
        "_is_paused",
        "_is_slow",
        "_known",
        "_known_version",
        "_last_key",
        "_loop",
        "_parser",
        "_peer",
        "_raw",
        "_since_s",
        "_target",
        "_transport",
    )

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self._loop = loop
        self._flow: Flow | None = None
        self._ahead: deque[tuple[Head, Known, bytes]] = deque()
        self._bad: BadRequest | None = None
        self._is_gone = self._is_lingering = self._is_paused = self._is_slow = False
        self._known: Known | None = None
        self._last_key = b""
        self._known_version = -1
        self._peer = ""
        self._since_s = loop.time()
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        """Wait for the next request."""
        self._target = b""
        self._headers: Headers = []
        self._head: Head | None = None
        self._account: Known | None = None
        self._body: list[bytes] = []
        self._raw: list[bytes] = []
        self._body_bytes = self._chunk_bytes = self._framing_bytes = self._fed_bytes = 0

    # --- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A customer has connected."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream, as was asked for
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self._transport.set_write_buffer_limits(high=MOST_WRITE_AHEAD_BYTES)
        if not self._desk.arrived(self):
            self._say_no(BadRequest(503, "too many connections; try again soon", "overloaded"))

    def connection_lost(self, error: Exception | None) -> None:
        """The customer is gone: nothing more is written, and the upstream is let go."""
        self._is_gone = True
        self._desk.departed(self)
        self._ahead.clear()
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.customer_left()

    def eof_received(self) -> None:
        """The customer sends no more: it has left, as no HTTP client closes one side only."""

    def data_received(self, data: bytes) -> None:
        """What the customer sends."""
        if self._is_lingering or self._bad is not None:
            return
        if self._flow is not None and not self._is_paused:
            # Whoever sends ahead is read from again when its answer is out.
            self._is_paused = True
            self._transport.pause_reading()
        if self._fed_bytes == 0:
            self._since_s = self._loop.time()
        if self._head is None:
            self._raw.append(data)
        self._fed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, BadRequest):
                raise
            self._refuse(error.__context__)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(NOT_HTTP)
        else:
            if self._head is None and self._fed_bytes > MOST_HEAD_BYTES:
                self._refuse(_too_long_head())

    def pause_writing(self) -> None:
        """The customer reads slowly."""
        self._is_slow = True
        if self._flow is not None:
            self._flow.hold_back()

    def resume_writing(self) -> None:
        """The customer reads again."""
        self._is_slow = False
        if self._flow is not None:
            self._flow.go_on()

    # --- the parser's calls ------------------------------------------------------------------------------------------

    def on_url(self, target: bytes) -> None:
        """Parser: a piece of the request target."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header; after the head it is a trailer."""
        if self._head is not None:
            raise BadRequest(400, "got trailers behind the body, wanted none; send them as headers")
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Parser: the head is whole; refuse what can be refused without the body."""
        parser, desk = self._parser, self._desk
        head = checked_head(parser.get_method(), self._target, parser.get_http_version(), self._headers)
        self._head = head
        length = head.content_length
        if length is None:
            self._framing_bytes = self._head_length()
        elif length > desk.most_body_bytes:
            raise _too_long_body(desk.most_body_bytes)
        if not desk.is_health(head):
            self._account = self._account_of(head.key)
        if b"expect" in head.fields and self._flow is None and head.fields[b"expect"].lower() == b"100-continue":
            self._transport.write(_CONTINUE)

    def _account_of(self, key: bytes) -> Known:
        """Whose key it is; the one that came last on this connection is not looked up again while nothing changes."""
        book = self._desk.book
        known, last = self._known, self._last_key
        if known is None or key != last or self._known_version != book.version or known.ends_at is not None:
            self._known = known = self._desk.account_of(key)
            self._last_key, self._known_version = key, book.version
        return known

    def _head_length(self) -> int:
        """Bytes of the head as it was sent; it must be at the start of a read, with nothing before it."""
        raw = b"".join(self._raw)
        if not raw.startswith(self._parser.get_method() + b" " + self._target):
            raise BadRequest(
                400, "got a chunked request behind another, wanted it on its own; wait for the answer first"
            )
        return raw.index(_HEAD_END) + len(_HEAD_END)

    def on_chunk_header(self) -> None:
        """Parser: a chunk begins; the last one is empty."""
        self._chunk_bytes = 0

    def on_chunk_complete(self) -> None:
        """Parser: a chunk is whole: its size in hexadecimal and two line ends were around it."""
        self._framing_bytes += len(b"%x" % self._chunk_bytes) + 4

    def on_body(self, data: bytes) -> None:
        """Parser: a piece of the body."""
        self._body_bytes += len(data)
        self._chunk_bytes += len(data)
        if self._body_bytes > self._desk.most_body_bytes:
            raise _too_long_body(self._desk.most_body_bytes)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        head, account, body = self._head, self._account, b"".join(self._body)
        assert head is not None
        if head.content_length is None and self._fed_bytes != self._framing_bytes + self._body_bytes:
            raise BadRequest(400, "got a chunked body with extensions or something behind it; send plain chunks")
        self._begin()
        if self._flow is not None:
            if len(self._ahead) >= MOST_AHEAD or account is None:
                raise BadRequest(400, f"got more than {MOST_AHEAD} requests ahead of their answers; wait for these")
            self._ahead.append((head, account, body))
        elif account is None:
            self.write([self._desk.health(head)])
            self._after(keep_alive=head.keep_alive)
        else:
            self._start(head, account, body)

    # --- the answer --------------------------------------------------------------------------------------------------

    def _start(self, head: Head, account: Known, body: bytes) -> None:
        self._flow = flow = Flow(self._desk, self, head, account)
        flow.start(body)
        if self._is_slow:
            flow.hold_back()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Send pieces of an answer."""
        if self._is_gone:
            return
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)

    def next(self, *, keep_alive: bool) -> None:
        """The answer is out: on to the next request, or the end."""
        self._flow = None
        self._after(keep_alive=keep_alive)

    def _after(self, *, keep_alive: bool) -> None:
        if self._is_gone:
            return
        if not keep_alive:
            self._linger()
        elif self._ahead:
            self._start(*self._ahead.popleft())
        elif self._bad is not None:
            self._say_no(self._bad)
        else:
            self._since_s = self._loop.time()
            if self._is_paused:
                self._is_paused = False
                self._transport.resume_reading()

    def cut(self) -> None:
        """End the connection where an answer breaks off, so that nobody takes it for whole."""
        self._flow = None
        if not self._is_gone:
            self._transport.close()

    def client(self, head: Head) -> dict[str, Any]:
        """What is known of who asks, besides its account."""
        return self._desk.client_of(self._peer, head)

    def _refuse(self, refused: BadRequest) -> None:
        """Refuse what is no request of anybody, as soon as the answers before it are out."""
        self._desk.counters.now["unauthorised" if refused.status == 401 else "malformed"] += 1
        if self._flow is None:
            self._say_no(refused)
        else:
            self._bad = refused

    def _say_no(self, refused: BadRequest) -> None:
        api = "openai" if self._head is None else self._desk.api_of(self._head)
        self.write([refusal(api, refused.status, str(refused), refused.code, refused.headers, keep_alive=False)])
        self._linger()

    def _linger(self) -> None:
        """Say no more, and read on a little, so that what was said is not lost with a reset."""
        self._is_lingering = True
        self._since_s = self._loop.time()
        self._begin()
        if not self._is_gone:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            if self._is_paused:
                self._transport.resume_reading()

    # --- time --------------------------------------------------------------------------------------------------------

    def check_time(self, now_s: float) -> None:
        """End what takes too long; called every second or so with the loop's clock."""
        bounds, waited_s = self._desk.bounds, now_s - self._since_s
        if self._flow is not None:
            return
        if self._is_lingering:
            if waited_s > LINGER_S:
                self._transport.abort()
        elif self._fed_bytes == 0:
            if waited_s > bounds.idle_s:
                self._transport.close()
        elif waited_s > (bounds.head_s if self._head is None else bounds.body_s):
            self._say_no(BadRequest(408, "the request took too long to come; send it faster", "timeout"))

    def drain(self) -> None:
        """The gateway is stopping: go, unless an answer is on its way."""
        if self._flow is None:
            self._transport.close()
        else:
            self._flow.keep_alive = False
            self._ahead.clear()


def _too_long_head() -> BadRequest:
    return BadRequest(
        431, f"got a head of more than {MOST_HEAD_BYTES} bytes; send fewer and shorter headers", "too_large"
    )


def _too_long_body(most_bytes: int) -> BadRequest:
    return BadRequest(413, f"got a body of more than {most_bytes} bytes; send a smaller one", "too_large")
