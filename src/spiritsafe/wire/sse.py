"""Server-sent events: a stream of bytes, cut anywhere, split into its events.

Line ends may be LF, CRLF or CR; the events come out with LF. A byte order mark at the start is passed over. An event
ends with a blank line, so what comes after the last one is no event, as clients read it too.

Source: WHATWG, HTML Living Standard, section 9.2 "Server-sent events".
"""

from __future__ import annotations

EVENT_LIMIT = 8 << 20
"""Bytes of one event that are kept; a longer one is dropped."""

_BOM = b"\xef\xbb\xbf"
_FIELD = b"data: "


class Splitter:
    """Splits one stream into events; holds no more than one unfinished event of at most `limit` bytes.

    Attributes:
        dropped: events that were longer than the limit.
    """

    __slots__ = ("_after_cr", "_held", "_is_dropping", "_is_first", "_limit", "_size", "dropped")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.dropped = 0
        self._limit = limit
        self._held: list[bytes] = []
        self._size = 0
        self._is_dropping = False
        self._is_first = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events that end in `data`, each without the blank lines around it."""
        return events_in(self.block(data))

    def block(self, data: bytes) -> bytes:
        """The events that end in `data` as they stand in the stream, blank lines between them."""
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        end = data.rfind(b"\n\n")
        if end >= 0:
            block, rest = b"".join((*self._held, data[:end])), data[end + 2 :]
        elif self._held and data[:1] == b"\n" == self._held[-1][-1:]:  # the blank line was cut in two
            block, rest = b"".join(self._held), data[1:]
        else:
            self._hold(data)
            return b""
        if self._is_first or self._is_dropping or len(block) > self._limit:
            block = self._kept(block)
        self._held.clear()
        self._size = 0
        self._hold(rest)
        return block

    def rest(self) -> bytes:
        """What came of an event that has not ended."""
        return b"".join(self._held)

    def _with_lf(self, data: bytes) -> bytes:
        """`data` with LF for every line end; a CR at its end counts at once, and a LF that follows it does not."""
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _kept(self, block: bytes) -> bytes:
        """`block` without a byte order mark, without the end of an event that is dropped, without what is too long."""
        if self._is_first:
            self._is_first = False
            block = block.removeprefix(_BOM)
        if self._is_dropping:
            self._is_dropping = False
            block = block.partition(b"\n\n")[2]
        if len(block) <= self._limit:
            return block
        events = events_in(block)
        short = [event for event in events if len(event) <= self._limit]
        self.dropped += len(events) - len(short)
        return b"\n\n".join(short)

    def _hold(self, rest: bytes) -> None:
        if not self._held:
            rest = rest.lstrip(b"\n")
        if not rest:
            return
        self._held.append(rest)
        self._size += len(rest)
        if self._is_dropping or self._size > self._limit + 1:  # a last line end may turn out to be the blank line's
            self.dropped += not self._is_dropping
            self._is_dropping = True
            self._held[:] = [rest[-1:]]
            self._size = 1


def events_in(block: bytes) -> list[bytes]:
    """The events of a block that `Splitter.block` gave."""
    return [event for part in block.split(b"\n\n") if (event := part.strip(b"\n"))]


def data_of(event: bytes) -> bytes | None:
    """The data of an event: its data lines, joined by LF; None where it has none (a comment, a name alone)."""
    if event.startswith(_FIELD) and b"\n" not in event:
        return event[6:]
    name, _, rest = event.partition(b"\n")
    if rest.startswith(_FIELD) and name.startswith(b"event:") and b"\n" not in rest:
        return rest[6:]
    values = [value for line in event.split(b"\n") if (value := _value_of(line)) is not None]
    return b"\n".join(values) if values else None


def _value_of(line: bytes) -> bytes | None:
    """What a data line holds; one space after the colon is not part of it."""
    name, _, value = line.partition(b":")
    return value.removeprefix(b" ") if name == b"data" else None
