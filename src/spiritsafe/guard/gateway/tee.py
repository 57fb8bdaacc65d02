"""What the log keeps of an answer while it passes by: the body, or the stream put together again."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.folding import Fold

FOLD_BYTES = 16 << 10
"""A stream is put together in pieces of this size: a piece costs less than its events one by one."""

ENDS = (b"[DONE]", b"message_stop", b"response.completed", b"response.incomplete", b"response.failed")
"""What the last event of a stream holds, in one dialect or another."""


MOST_TOKENS = 1 << 40
"""An upstream that counts more in one answer has not counted: sums of such numbers would outgrow their 64 bits."""

_UNREAD = object()


class Tee(Protocol):
    """Keeps what passes by."""

    def add(self, data: bytes) -> None:
        """A piece of the body."""
        ...

    def response(self) -> bytes | None:
        """The body as JSON; None where it is none, then `text` has it."""
        ...

    def text(self) -> str | None:
        """The body where it is no JSON, or its beginning where it was too long."""
        ...

    def tokens(self) -> tuple[int, int] | None:
        """(input, output) tokens as the upstream counted them; None where it did not say."""
        ...

    def may_end(self, data: bytes) -> bool:
        """Whether `data`, the last piece added, may be the end of the answer."""
        ...


class WholeTee:
    """Keeps a body that comes whole, up to `most_bytes`."""

    __slots__ = ("_is_cut", "_most_bytes", "_parsed", "_parts", "_size")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._is_cut = False
        self._parsed: Any = _UNREAD

    def add(self, data: bytes) -> None:
        """Keep it, if there is room."""
        if self._size + len(data) > self._most_bytes:
            self._is_cut = True
        else:
            self._size += len(data)
            self._parts.append(data)

    def body(self) -> bytes:
        """All that was kept."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    @property
    def is_cut(self) -> bool:
        """Whether there was more than there was room for."""
        return self._is_cut

    def _value(self) -> Any:
        """The body's JSON value; None where it is none, or cut."""
        if self._parsed is _UNREAD:
            try:
                self._parsed = None if self._is_cut else orjson.loads(self.body())
            except orjson.JSONDecodeError:
                self._parsed = None
        return self._parsed

    def response(self) -> bytes | None:
        """The body, if it is JSON."""
        return None if self._value() is None else self.body()

    def text(self) -> str | None:
        """The body as text; what is no UTF-8 in it is replaced."""
        return self.body()[: 64 << 10].decode("utf-8", "replace")

    def tokens(self) -> tuple[int, int] | None:
        """What the body's `usage` says."""
        value = self._value()
        usage = value.get("usage") if isinstance(value, dict) else None
        if not isinstance(usage, dict):
            return None
        if "prompt_tokens" in usage:
            return _pair(usage["prompt_tokens"], usage.get("completion_tokens", 0))
        return _pair(usage.get("input_tokens"), usage.get("output_tokens", 0))

    def may_end(self, data: bytes) -> bool:
        """Any piece may be the last."""
        return True


class StreamTee:
    """Puts a stream together with `fold`, up to `most_bytes` of it; a longer one ends there, as if it had broken off.

    Attributes:
        parts, size: what has not been folded yet, and its bytes; `gateway.pump` adds to them as `add` does.
    """

    __slots__ = ("_fold", "_last", "_left_bytes", "parts", "size")

    def __init__(self, fold: Fold, most_bytes: int) -> None:
        self._fold = fold
        self._left_bytes = most_bytes
        self.parts: list[bytes] = []
        self.size = 0
        self._last = b""

    def add(self, data: bytes) -> None:
        """Keep it until there is enough to fold."""
        self.parts.append(data)
        self.size += len(data)
        if self.size >= FOLD_BYTES:
            self.fold_now()

    def fold_now(self) -> None:
        """Fold what has been kept."""
        if self.parts:
            if self._left_bytes > 0:
                self._left_bytes -= self.size
                self._fold.feed(b"".join(self.parts))
            self.parts.clear()
            self.size = 0

    def response(self) -> bytes | None:
        """The body that the same request had got without a stream, as far as it came."""
        self.fold_now()
        return self._fold.body()

    def text(self) -> str | None:
        """A stream that is folded has no other form."""
        return None

    def tokens(self) -> tuple[int, int] | None:
        """What the stream said last."""
        self.fold_now()
        usage: Usage = self._fold.usage()
        return _pair(usage.input_tokens, usage.output_tokens)

    def may_end(self, data: bytes) -> bool:
        """Whether the last event may be in it; it may have begun in the piece before."""
        seen, self._last = self._last + data, data[-32:]
        return any(end in seen for end in ENDS)


def _pair(read: object, written: object) -> tuple[int, int] | None:
    if not isinstance(read, int) or not isinstance(written, int):
        return None
    return (read, written) if 0 <= read <= MOST_TOKENS and 0 <= written <= MOST_TOKENS else None
