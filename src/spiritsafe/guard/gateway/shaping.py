"""Answers that must not pass as they are: edits are applied to the body, or to each event of a stream.

What they do not change goes on as the bytes that came; of a changed event only its data is written anew. What has to
be edited and cannot be read does not pass: an answer with a NaN or half a character in it is read as clients read it.
"""

from __future__ import annotations

from typing import Any

from spiritsafe.guard.gateway.edits import Edits
from spiritsafe.wire.folding import DONE, dumped
from spiritsafe.wire.shapes import loaded

MOST_EVENT_BYTES = 8 << 20
"""An event that is longer ends the answer: what cannot be looked at does not pass."""


_BOM = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """A body that has to be edited is no JSON."""


class TooLong(Exception):
    """An event is longer than what can be looked at."""


def edited_body(edits: Edits, body: bytes) -> bytes:
    """`body` after the edits; one that is JSON but no object has nothing to edit.

    Raises:
        Unreadable: it is no JSON.
    """
    if not body or not edits.concerns(body):
        return body
    try:
        data = loaded(body)
    except ValueError:
        raise Unreadable from None
    return dumped(data) if isinstance(data, dict) and edits.edit(data) else body


class StreamShaper:
    """Applies edits to a stream, event by event; an event leaves when it is whole."""

    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """What of the stream may leave now.

        Raises:
            TooLong: an event has no end.
        """
        pending = self._pending + data
        end = _end_of_events(pending)
        if end == 0 and len(pending) > MOST_EVENT_BYTES:
            raise TooLong
        self._pending = pending[end:]
        whole = pending[:end]
        return b"".join(map(self._edited, _events(whole))) if whole and self._edits.concerns(whole) else whole

    def rest(self) -> bytes:
        """What is left at the end of the stream: an event without its empty line, looked at like the others."""
        pending, self._pending = self._pending, b""
        return self._edited(pending) if pending else b""

    def _edited(self, event: bytes) -> bytes:
        """One event, with the ones that must come before it; nothing for one that says what nobody can read."""
        lines = event.removeprefix(_BOM).splitlines(keepends=True)  # with it, the first line's name is another
        data = b"\n".join(line.rstrip(b"\r\n")[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if not data or data.startswith(DONE) or not self._edits.concerns(data):
            return event
        try:
            value = loaded(data)
        except ValueError:
            return b""
        if not isinstance(value, dict):
            return event
        is_changed = self._edits.edit_event(value)
        ahead = b"".join(_written(one, lines) for one in self._edits.take_ahead())
        return ahead + (_written(value, lines) if is_changed else event)


def _end_of_events(data: bytes) -> int:
    """Where the last whole event of `data` ends; 0 where none does."""
    return max(
        (at + len(end) for end in (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n") if (at := data.rfind(end)) >= 0), default=0
    )


def _events(data: bytes) -> list[bytes]:
    """The events of `data`, each with the empty line that ends it."""
    events: list[bytes] = []
    lines: list[bytes] = []
    for line in data.splitlines(keepends=True):
        lines.append(line)
        if not line.strip(b"\r\n"):
            events.append(b"".join(lines))
            lines = []
    return [*events, b"".join(lines)] if lines else events


def _written(value: dict[str, Any], lines: list[bytes]) -> bytes:
    """The event with other data: its other lines stay, but for a name that the data contradicts."""
    kept = [line for line in lines if not line.startswith(b"data:") and line.strip(b"\r\n")]
    kind = value.get("type")
    if isinstance(kind, str):
        kept = [b"event: %b\n" % kind.encode() if line.startswith(b"event:") else line for line in kept]
    return b"".join([*kept, b"data: ", dumped(value), b"\n\n"])
