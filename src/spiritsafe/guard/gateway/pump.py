"""The answer on its way: from an upstream's connection to the customer's, with a copy teed for the log.

Bytes pass as they come. Where they have to be edited, a stream is edited event by event and a body when it is
whole. Where the log is strict, a piece that may be the last is held until the record is on disk; when another piece
follows, it was not the last and goes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from spiritsafe.guard.gateway.answers import Header, head_of, passed_on
from spiritsafe.guard.gateway.shaping import StreamShaper, TooLong, Unreadable, edited_body
from spiritsafe.guard.gateway.tee import FOLD_BYTES, StreamTee, Tee, WholeTee
from spiritsafe.guard.gateway.upstream import Connection

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.desk import Plan
    from spiritsafe.guard.gateway.flow import Flow

LAST_CHUNK = b"0\r\n\r\n"

STREAM_SHARE = 8
"""So many times longer than an answer in one piece may be a stream that the log keeps whole: it has more around it."""

OPERATORS_FAULTS = (401, 407)
"""Answers about the operator's own key, which may show a part of it; a customer would take its own for wrong."""

MOST_JOINED_BYTES = 32 << 10
"""To copy a short answer costs less than to hand the kernel a list of its pieces."""

BODILESS = (204, 304)
"""Answers that end with their head: a chunk behind it would be read as an answer. Source: RFC 9112, section 6.3."""


class Pump:
    """Passes one answer on; a `gateway.upstream.Sink`.

    Args:
        flow: the request that is answered; it is told how the answer ended.
        plan: what was decided about it.
        is_strict: whether the end waits for the record.

    Attributes:
        status: of the upstream's answer; 0 before it began.
        first_byte_at_s: by `time.perf_counter`, when the first byte of the body came; None before.
        moved_at_s: when the last one came, as of the last `has_moved` that was seen.
        has_moved: whether one has come since `moved_at_s`; a clock a second is cheaper than one an event.
        tee: what the log keeps.
        has_written: whether the customer has been sent anything.
    """

    __slots__ = (
        "_connection",
        "_editor_body",
        "_flow",
        "_framing",
        "_head",
        "_held",
        "_is_chunked",
        "_is_paused",
        "_is_strict",
        "_out",
        "_plan",
        "_shaper",
        "_stream",
        "_write",
        "first_byte_at_s",
        "has_moved",
        "has_written",
        "moved_at_s",
        "status",
        "tee",
    )

    def __init__(self, flow: Flow, plan: Plan, *, is_strict: bool) -> None:
        self._flow = flow
        self._plan = plan
        self._is_strict = is_strict
        self._connection: Connection | None = None
        self._head: list[Header] = []
        self._out: list[bytes] = []
        self._held: list[bytes] = []
        self._is_chunked = self._is_paused = False
        self._shaper: StreamShaper | None = None
        self._editor_body: WholeTee | None = None
        self.status = 0
        self.first_byte_at_s: float | None = None
        self.moved_at_s = time.perf_counter()
        self.has_moved = False
        self.tee: Tee | None = None
        self.has_written = False
        self._stream: StreamTee | None = None
        self._write: Callable[[bytes], None]

    def send(self) -> None:
        """Send the request on its way."""
        self._connection = self._plan.pool.send(self._plan.request, self)

    # --- the sink ----------------------------------------------------------------------------------------------------

    def answer_comes_over(self, connection: Connection) -> bool:
        """The connection that the request goes out on; False where the customer has left."""
        if self._flow.is_over:
            return False
        self._connection = connection
        return True

    def answer_begins(self, status: int, fields: dict[bytes, bytes], headers: list[Header], length: int | None) -> None:
        """Choose how the body is kept and passed on, and write the head."""
        if fields.get(b"content-encoding", b"identity").lower() != b"identity":
            self._fail("compressed")
            return
        if status in OPERATORS_FAULTS:
            self._fail("unauthorised")
            return
        self.status = status
        self._head = passed_on(headers)
        surface = self._plan.surface
        is_stream = surface.fold is not None and _is_event_stream(fields)
        whole = WholeTee(self._plan.most_answer_bytes)
        most_bytes = STREAM_SHARE * self._plan.most_answer_bytes
        self.tee = StreamTee(surface.fold(), most_bytes) if is_stream and surface.fold is not None else whole
        if self._plan.edits is not None and status < 300:
            if is_stream:
                self._shaper = StreamShaper(self._plan.edits)
                length = None
            else:
                self._editor_body = whole
        if self._is_paused:
            self.hold_back()
        if self._editor_body is None:
            self._write_head(length)

    def answer_data(self, data: bytes) -> None:
        """Keep a copy and pass it on."""
        self.has_moved = True
        stream = self._stream
        if stream is None:
            self._answer_data(data)
            return
        # An ordinary event: what `_answer_data` does of it, in one frame, as it is most of the work for a stream.
        stream.parts.append(data)
        stream.size += len(data)
        if stream.size >= FOLD_BYTES:
            stream.fold_now()
        self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def answer_pieces(self, pieces: list[bytes]) -> None:
        """As one piece, unless the last has to be held alone."""
        for data in pieces if self._is_strict else (b"".join(pieces),):
            self.answer_data(data)

    def _answer_data(self, data: bytes) -> None:
        tee = self.tee
        if tee is None:
            return
        if self.first_byte_at_s is None:
            self.first_byte_at_s = time.perf_counter()
        tee.add(data)
        if self._editor_body is not None:
            return
        if self._is_strict:
            self._hold_or_pass(data, tee)
        else:
            self._pass(data, self._out)
            if self._shaper is None and isinstance(tee, StreamTee):
                self._stream = tee
                self._write = self._flow.customer.transport.write
        self.answer_flush()

    def _hold_or_pass(self, data: bytes, tee: Tee) -> None:
        self.release()
        self._pass(data, self._held if tee.may_end(data) else self._out)

    def _pass(self, data: bytes, to: list[bytes]) -> None:
        try:
            passed = data if self._shaper is None else self._shaper.feed(data)
        except TooLong:
            self._fail("too_large")
            return
        if passed:
            to.append(self._framed(passed))

    def answer_flush(self) -> None:
        """Write what has come."""
        out = self._out
        if out:
            self._out = []
            self.has_written = True
            is_short = len(out) > 1 and sum([len(piece) for piece in out]) <= MOST_JOINED_BYTES
            self._flow.customer.write([b"".join(out)] if is_short else out)

    def answer_ends(self) -> None:
        """The body is whole: end it for the customer too, at once or when it is on disk."""
        self._connection = None
        if self._editor_body is not None and not self._edit_whole(self._editor_body):
            return
        if self._shaper is not None and (rest := self._shaper.rest()):
            self._held.append(self._framed(rest))
        if self._is_chunked:
            self._held.append(LAST_CHUNK)
        if not self._is_strict:
            self.release()
        self.answer_flush()
        self._flow.answered()

    def answer_breaks(self, why: str) -> None:
        """There will be no more of it."""
        self._connection = None
        self.release()
        self.answer_flush()
        self._flow.broken(why)

    # --- the parts ---------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Let what was held go out with the next flush."""
        self._out += self._held
        self._held = []

    def drop(self) -> None:
        """Let go of the upstream, in the middle of whatever it does."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.let_go()

    def hold_back(self) -> None:
        """The customer reads slowly: read no more from the upstream."""
        self._is_paused = True
        if self._connection is not None:
            self._connection.transport.pause_reading()

    def go_on(self) -> None:
        """The customer reads again."""
        self._is_paused = False
        self.moved_at_s = time.perf_counter()
        if self._connection is not None:
            self._connection.transport.resume_reading()

    def _write_head(self, length: int | None) -> None:
        flow = self._flow
        framing = b""
        if self.status in BODILESS:
            pass
        elif length is not None:
            framing = b"content-length: %d\r\n" % length
        elif flow.caller.head.is_versioned:
            self._is_chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            flow.keep_alive = False
        connection = b"keep-alive" if flow.keep_alive else b"close"
        lines = b"%b%bconnection: %b\r\n" % (flow.own_lines(), framing, connection)
        self._out.append(head_of(self.status, self._head, lines))

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data

    def _edit_whole(self, whole: WholeTee) -> bool:
        """Write head and body of an answer that was read whole; False where that cannot be."""
        if whole.is_cut:
            self._fail("too_large")
            return False
        assert self._plan.edits is not None
        try:
            body = edited_body(self._plan.edits, whole.body())
        except Unreadable:
            self._flow.broken("unreadable")  # it has come whole, and the log keeps it
            return False
        self._write_head(len(body))
        self._held.append(body)
        return True

    def _fail(self, why: str) -> None:
        self.drop()
        self.tee = self._stream = None
        self._out = []
        self._flow.broken(why)


def _is_event_stream(fields: dict[bytes, bytes]) -> bool:
    return fields.get(b"content-type", b"").lower().startswith(b"text/event-stream")
