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
from typing import TYPE_CHECKING

import httptools

from spiritsafe.guard.gateway.answers import refusal
from spiritsafe.guard.gateway.flow import Flow
from spiritsafe.guard.gateway.heads import (
    BEHIND_OFFER,
    MOST_HEAD_BYTES,
    NOT_HTTP,
    SURPLUS,
    BadRequest,
    Head,
    Headers,
    checked_head,
    head_length,
    too_long_body,
    too_long_head,
)
from spiritsafe.guard.gateway.repeats import ONCE, Again, again_after

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.callers import Caller
    from spiritsafe.guard.gateway.desk import Desk

MOST_AHEAD = 4
"""Requests that may wait on one connection behind the one that is being answered."""

LINGER_S = 2.0
"""How long what a refused customer still sends is read and thrown away: closed at once, it might never see why."""

MOST_WRITE_AHEAD_BYTES = 256 << 10
"""What may wait for a customer that reads slowly before its upstream is held back."""

MOST_FRAMING_BYTES = 64 << 10
"""Of a chunked body, beyond as much as it has of body: chunks of a byte each cost far more than what they bring."""

MOST_SIZE_LINE = 32
"""Bytes of a chunk's size and line ends that have come before the chunk is whole; what is longer is an extension."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Customer(asyncio.Protocol):
    """The connection of one customer.

    Attributes:
        transport: where its answers go.
    """

    __slots__ = (
        "_again",
        "_ahead",
        "_bad",
        "_body",
        "_body_bytes",
        "_caller",
        "_chunk_bytes",
        "_desk",
        "_fed_bytes",
        "_flow",
        "_framing_bytes",
        "_head",
        "_headers",
        "_is_amid",
        "_is_gone",
        "_is_lingering",
        "_is_paused",
        "_is_slow",
        "_loop",
        "_parser",
        "_peer",
        "_raw",
        "_since_s",
        "_target",
        "_unread_bytes",
        "_version",
        "transport",
    )

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self._desk = desk
        self._loop = loop
        self._flow: Flow | None = None
        self._ahead: deque[tuple[Caller, bytes]] = deque()
        self._bad: BadRequest | None = None
        self._is_amid = self._is_gone = self._is_lingering = self._is_paused = self._is_slow = False
        self._again: Again | None = None
        self._version = -1
        self._unread_bytes = 0
        self._peer = ""
        self._since_s = loop.time()
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        """Wait for the next request."""
        self._target = b""
        self._headers: Headers = []
        self._head: Head | None = None
        self._caller: Caller | None = None
        self._body: list[bytes] = []
        self._raw: list[bytes] | None = None  # what was sent from the head's first byte on, where a read began with it
        self._body_bytes = self._chunk_bytes = self._framing_bytes = self._fed_bytes = 0

    # --- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A customer has connected."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream, as was asked for
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self.transport.set_write_buffer_limits(high=MOST_WRITE_AHEAD_BYTES)
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
        if self._flow is not None:
            if not self._is_paused:
                # Whoever sends ahead is read from again when its answer is out.
                self._is_paused = True
                self.transport.pause_reading()
        elif self._again is not None and not self._is_amid and self._is_taken(data, self._again):
            return
        self._parse(data)

    def _is_taken(self, data: bytes, again: Again) -> bool:
        """Take `data` without the parser, where it goes on with a request or begins one as the last one began."""
        if again.missing_bytes:
            self._go_on(again, data)
            return True
        body = again.begin(data, self._desk.book.version, self._desk.most_body_bytes)
        if body is None:
            return False
        if again.missing_bytes:
            self._since_s, self._head, self._fed_bytes = self._loop.time(), again.caller.head, len(data)
        else:
            self._start(again.caller, body)
        return True

    def _go_on(self, again: Again, data: bytes) -> None:
        body, behind = again.add(data)
        if again.missing_bytes:
            return
        self._begin()
        self._start(again.caller, body)
        if behind and again.repeat is ONCE:
            self._refuse(BEHIND_OFFER)
        elif behind:
            self.data_received(behind)

    def _parse(self, data: bytes) -> None:
        if self._fed_bytes == 0:
            self._since_s = self._loop.time()
        if not self._is_amid:
            self._raw = []
        if self._head is None and self._raw is not None:
            self._raw.append(data)
        self._fed_bytes += len(data)
        offer_ends = -1  # gone on with below: what is raised in a handler would seem to come of the offer
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, BadRequest):
                raise
            self._refuse(error.__context__)
        except httptools.HttpParserUpgrade as offered:
            offer_ends = offered.args[0]
        except httptools.HttpParserError:
            self._refuse(NOT_HTTP)
        else:
            self._check_size()
        if offer_ends >= 0:
            self._without_upgrade(data[offer_ends:])

    def _without_upgrade(self, behind: bytes) -> None:
        """Go on without the protocol that the head offered. llhttp stops at the head's end: `behind` it is the body."""
        head, caller = self._head, self._caller
        self._parser, self._is_amid = httptools.HttpRequestParser(self), False
        if head is not None and caller is not None and self._flow is None:
            self._again = Again(ONCE, caller, -1, head.content_length or 0)
            self._go_on(self._again, behind)
        elif head is not None or behind:
            self._refuse(BEHIND_OFFER)

    def _check_size(self) -> None:
        """Refuse what is too long already, though it has not ended."""
        if self._head is None:
            if self._fed_bytes > MOST_HEAD_BYTES:
                self._refuse(too_long_head())
        elif self._head.content_length is None and self._surplus_bytes > MOST_SIZE_LINE:
            self._refuse(SURPLUS)

    @property
    def _is_deaf(self) -> bool:
        """Whether what still comes is thrown away."""
        return self._is_lingering or self._bad is not None

    @property
    def _surplus_bytes(self) -> int:
        """Bytes of a chunked request that are neither its head nor its body nor the plain framing of a whole chunk."""
        return self._fed_bytes - self._framing_bytes - self._body_bytes

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

    def on_message_begin(self) -> None:
        """Parser: the first byte of a request."""
        self._is_amid = True

    def on_url(self, target: bytes) -> None:
        """Parser: a piece of the request target."""
        if self._is_deaf:
            raise NOT_HTTP
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
            self._framing_bytes = head_length(self._raw or (), parser.get_method() + b" " + self._target)
        elif length > desk.most_body_bytes:
            raise too_long_body(desk.most_body_bytes)
        if desk.is_health(head):
            if length != 0:
                raise BadRequest(400, "got a body with a GET, wanted none; remove it")
        else:
            self._version = desk.book.version
            self._caller = desk.caller(head, desk.account_of(head.key), self._peer)
        if b"expect" in head.fields and self._flow is None and head.fields[b"expect"].lower() == b"100-continue":
            self.transport.write(_CONTINUE)

    def on_chunk_header(self) -> None:
        """Parser: a chunk begins; the last one is empty."""
        self._chunk_bytes = 0

    def on_chunk_complete(self) -> None:
        """Parser: a chunk is whole: its size in hexadecimal and two line ends were around it."""
        self._framing_bytes += len(b"%x" % self._chunk_bytes) + 4
        if self._framing_bytes > self._body_bytes + MOST_FRAMING_BYTES:
            raise BadRequest(400, "got a body in tiny chunks; send larger ones")

    def on_body(self, data: bytes) -> None:
        """Parser: a piece of the body."""
        self._body_bytes += len(data)
        self._chunk_bytes += len(data)
        if self._body_bytes > self._desk.most_body_bytes:
            raise too_long_body(self._desk.most_body_bytes)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        head, caller, body = self._head, self._caller, b"".join(self._body)
        assert head is not None
        if head.offers_upgrade and head.content_length:
            return
        if head.content_length is None and self._surplus_bytes:
            raise SURPLUS
        self._again = None
        if caller is not None and self._raw is not None:
            self._again = again_after(caller, self._version, b"".join(self._raw), self._fed_bytes - self._body_bytes)
        self._is_amid = False
        self._begin()
        if self._flow is not None:
            if len(self._ahead) >= MOST_AHEAD or caller is None:
                raise BadRequest(400, f"got more than {MOST_AHEAD} requests ahead of their answers; wait for these")
            self._ahead.append((caller, body))
        elif caller is None:
            self.write([self._desk.health(head)])
            self._after(keep_alive=head.keep_alive)
        else:
            self._start(caller, body)

    # --- the answer --------------------------------------------------------------------------------------------------

    def _start(self, caller: Caller, body: bytes) -> None:
        self._flow = flow = Flow(self._desk, self, caller)
        flow.start(body)
        if self._is_slow:
            flow.hold_back()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Send pieces of an answer."""
        if self._is_gone:
            return
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        else:
            self.transport.writelines(pieces)

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
                self.transport.resume_reading()

    def cut(self) -> None:
        """End the connection where an answer breaks off, so that nobody takes it for whole."""
        self._flow = None
        self._since_s = self._loop.time()
        if not self._is_gone:
            self.transport.close()

    def _refuse(self, refused: BadRequest) -> None:
        """Refuse what is no request of anybody, as soon as the answers before it are out."""
        if self._is_deaf:
            return
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
            if self.transport.can_write_eof():
                self.transport.write_eof()
            if self._is_paused:
                self.transport.resume_reading()

    # --- time --------------------------------------------------------------------------------------------------------

    def check_time(self, now_s: float) -> None:
        """End what takes too long; called every second or so with the loop's clock."""
        if self._flow is not None:
            return
        bounds = self._desk.bounds
        if self._is_lingering or self._fed_bytes == 0:
            self._end_idle(now_s)
        elif now_s - self._since_s > (bounds.head_s if self._head is None else bounds.body_s):
            self._say_no(BadRequest(408, "the request took too long to come; send it faster", "timeout"))

    def _end_idle(self, now_s: float) -> None:
        """End a connection on which no request comes; one that has still to read waits longer, while it reads."""
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes != self._unread_bytes:
            self._unread_bytes, self._since_s = unread_bytes, now_s
        bounds = self._desk.bounds
        patience_s = bounds.stall_s if unread_bytes else LINGER_S if self._is_lingering else bounds.idle_s
        if now_s - self._since_s > patience_s:
            self.transport.abort()  # to close would be to wait for one who reads nothing

    def drain(self) -> None:
        """The gateway is stopping: go, unless an answer is on its way."""
        if self._flow is None:
            self.transport.close()
        else:
            self._flow.keep_alive = False
            self._ahead.clear()
