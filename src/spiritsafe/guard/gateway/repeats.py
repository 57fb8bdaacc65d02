"""A head that comes again on the same connection, byte for byte but for the number in Content-Length. Pure.

A client sends the same head with every request, as long as nothing in it changes. What was read from it and checked
once holds for its repetition: neither the parser nor the checks see it again, which saves a third of a request's cost.
Whatever differs in one byte is read and checked anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from spiritsafe.guard.gateway.callers import Caller
from spiritsafe.guard.gateway.heads import HEAD_END

MOST_KEPT_BYTES = 4096
"""A longer head is read anew each time, so that idle connections hold no more than this."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})\r\n", re.IGNORECASE)
_MOST_DIGITS = 15


class Repeat(NamedTuple):
    """A head whose repetition is known without being parsed.

    Attributes:
        before: its bytes before the digits of Content-Length.
        after: its bytes behind them.
    """

    before: bytes
    after: bytes

    def body_in(self, data: bytes) -> tuple[int, bytes] | None:
        """The length announced and what has come of the body, where `data` is this head again and a body; else None.

        None also where there is more than the body: only the parser cuts one request from the next.
        """
        before, after = self
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        if end < 0:
            return None
        digits = data[start:end]
        if not digits.isdigit() or not data.startswith(after, end):
            return None
        length, body = int(digits), data[end + len(after) :]
        return None if len(body) > length else (length, body)


ONCE = Repeat(b"", b"")
"""Of a head that is read anew when it comes again."""


def repeat_of(raw: bytes, head_bytes: int, length: int) -> Repeat | None:
    """What the next request is compared with, after one whose head was checked.

    Args:
        raw: what was sent, from the head's first byte on.
        head_bytes: how long the head was.
        length: what it announced, in the one Content-Length that there may be.

    Returns:
        None where the head is too long to be kept, or its end or the number is not where it is looked for.
    """
    if head_bytes > MOST_KEPT_BYTES or raw.find(HEAD_END) + len(HEAD_END) != head_bytes:
        return None
    found = _LENGTH.search(raw, 0, head_bytes)
    if found is None or int(found.group(1)) != length:
        return None
    return Repeat(raw[: found.start(1)], raw[found.end(1) : head_bytes])


@dataclass(slots=True)
class Again:
    """Takes the requests of one connection that repeat a head.

    Attributes:
        repeat: how it is known.
        caller: what follows from it.
        version: of the accounts, as of which it does.
        missing_bytes: of the body that is coming; 0 between two requests.
    """

    repeat: Repeat
    caller: Caller
    version: int
    missing_bytes: int = 0
    _pieces: list[bytes] = field(default_factory=list)

    def begin(self, data: bytes, version: int, most_body_bytes: int) -> bytes | None:
        """What has come of the body, where `data` begins such a request; else None, and nothing has happened."""
        found = self.repeat.body_in(data) if version == self.version else None
        if found is None or found[0] > most_body_bytes:
            return None
        length, body = found
        if len(body) < length:
            self.missing_bytes, self._pieces = length - len(body), [body]
        return body

    def add(self, data: bytes) -> tuple[bytes, bytes]:
        """Another piece. Once nothing is missing: the whole body, and what came behind it; nothing before."""
        missing_bytes = self.missing_bytes
        self._pieces.append(data[:missing_bytes])
        self.missing_bytes = max(missing_bytes - len(data), 0)
        if self.missing_bytes:
            return b"", b""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces), data[missing_bytes:]


def again_after(caller: Caller, version: int, raw: bytes, head_bytes: int) -> Again | None:
    """What takes the requests that begin as this one did; None where each has to be read anew.

    Args:
        caller: what followed from its head.
        version: of the accounts at that time.
        raw, head_bytes: see `repeat_of`.
    """
    head = caller.head
    if head.content_length is None or not head.keep_alive or b"expect" in head.fields:
        return None
    if caller.account.ends_at is not None:
        return None
    repeat = repeat_of(raw, head_bytes, head.content_length)
    return None if repeat is None else Again(repeat, caller, version)
