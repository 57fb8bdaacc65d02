"""Folding: a stream put together again into the body that the same request would have got without `stream`.

`Fold` is what a gateway holds; `EventFold` is the part that all formats share: from bytes to parsed events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import orjson

from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.shapes import dict_of, loaded
from spiritsafe.wire.sse import Splitter, data_of, events_in

DONE = b"[DONE]"
"""The data of OpenAI's last event."""

DEEPEST = 200
"""Levels of JSON that are written; orjson reads 1,024 and writes 254."""

LOOSE = 64
"""Pieces of a text that are kept apart before they are joined: an object a token would be ten times the text."""


class Fold(Protocol):
    """Puts one stream together; one file a dialect.

    Attributes:
        finished: the stream's own last event has been seen.
        unreadable: events that were no JSON object of the dialect, or too long to be kept.
    """

    @property
    def finished(self) -> bool:
        """Whether the stream's own last event has been seen."""
        ...

    @property
    def unreadable(self) -> int:
        """Events that were no JSON object of the dialect, or too long to be kept."""
        ...

    def feed(self, data: bytes) -> None:
        """Bytes of the stream, cut anywhere. Never raises, and holds no more of what is no event than a few MB."""
        ...

    def body(self) -> bytes:
        """The body, as JSON; of a stream that broke off, as far as it came."""
        ...

    def usage(self) -> Usage:
        """Tokens as the stream counted them."""
        ...


class EventFold:
    """Splits and parses a stream; a dialect's fold says in `_take` what an event adds."""

    __slots__ = ("_splitter", "_strange", "finished")

    _USUAL = b"data: "
    """What most events of the dialect begin with, up to their data."""

    def __init__(self) -> None:
        self.finished = False
        self._splitter = Splitter()
        self._strange = 0

    @property
    def unreadable(self) -> int:
        """See `Fold`."""
        return self._strange + self._splitter.dropped

    def feed(self, data: bytes) -> None:
        """See `Fold`. What comes after the stream's end is not read."""
        if self.finished or not (block := self._splitter.block(data)):
            return
        for event in self._at_once(block) or self._one_by_one(block):
            if type(event) is not dict or not self._take(event):
                self._strange += 1
            if self.finished:
                break
        self._settle()

    def _at_once(self, block: bytes) -> list[Any]:
        """The events of a block where all are as usual, parsed together; else none.

        It costs a third of parsing each: an ordinary block becomes one JSON array by replacing what is between events.
        """
        if not block.startswith(self._USUAL):
            return []
        joined = block.replace(b"\n\n" + self._USUAL, b",")
        if b"\n" in joined[len(self._USUAL) :]:
            return []
        try:
            events: list[Any] = orjson.loads(b"[%b]" % joined[len(self._USUAL) :])
        except orjson.JSONDecodeError:
            return []
        return events if len(events) == block.count(b"\n\n") + 1 else []

    def _one_by_one(self, block: bytes) -> Iterator[object]:
        for value in filter(None, map(data_of, events_in(block))):
            if value.startswith(DONE):
                self.finished = True
                return
            try:
                yield loaded(value)
            except ValueError:
                yield None

    def _take(self, event: dict[str, Any]) -> bool:
        """Add what `event` holds; False where it is no event of this dialect."""
        raise NotImplementedError

    def _settle(self) -> None:
        """Join what the last events brought in pieces."""


class Text:
    """A text that comes in pieces: append to `loose`, and `settle` now and then."""

    __slots__ = ("_joined", "loose")

    def __init__(self) -> None:
        self.loose: list[str] = []
        self._joined: list[str] = []

    def settle(self) -> None:
        """Join the loose pieces, where there are many."""
        if len(self.loose) > LOOSE:
            self._joined.append("".join(self.loose))
            self.loose.clear()

    def whole(self) -> str | None:
        """The text; None where nothing came."""
        return "".join((*self._joined, *self.loose)) if self.loose or self._joined else None


class Lists:
    """An object of lists that come in pieces, as log-probabilities do; kept as bytes, far smaller than as objects."""

    __slots__ = ("_other", "_pieces")

    def __init__(self) -> None:
        self._pieces: dict[str, list[bytes]] = {}
        self._other: dict[str, Any] = {}

    def take(self, value: object) -> None:
        """Add the next pieces; of what is no list the last value counts."""
        for name, items in dict_of(value).items():
            if type(items) is list:
                pieces = self._pieces.setdefault(name, [])
                if items:
                    pieces.append(dumped(items)[1:-1])
            elif items is not None:
                self._other[name] = items

    def whole(self) -> dict[str, Any] | None:
        """The object, ready to be dumped; None where nothing came."""
        lists = {name: orjson.Fragment(b"[%b]" % b",".join(pieces)) for name, pieces in self._pieces.items()}
        return {**self._other, **lists} or None


class Merged:
    """An object that comes in pieces: texts named in `joined` are joined, objects named in `nested` are merged too.

    Of every other field the last value counts that is not null.
    """

    __slots__ = ("_fields", "_joined", "_nested")

    def __init__(self, joined: tuple[str, ...], nested: tuple[str, ...] = ()) -> None:
        self._fields: dict[str, Any] = {}
        self._joined = joined
        self._nested = nested

    def take(self, piece: Mapping[str, Any]) -> None:
        """Add the next piece."""
        for name, value in piece.items():
            if type(value) is str and name in self._joined:
                self.text(name).loose.append(value)
            elif type(value) is dict and name in self._nested:
                self._inner(name).take(value)
            elif value is not None and not isinstance(self._fields.get(name), Text | Merged):
                self._fields[name] = value

    def text(self, name: str) -> Text:
        """The text of the field `name`, for adding to."""
        text = self._fields.get(name)
        if not isinstance(text, Text):
            text = self._fields[name] = Text()
        return text

    def _inner(self, name: str) -> Merged:
        inner = self._fields.get(name)
        if not isinstance(inner, Merged):
            inner = self._fields[name] = Merged(self._joined)
        return inner

    def settle(self) -> None:
        """Join the texts' loose pieces."""
        for value in self._fields.values():
            if isinstance(value, Text | Merged):
                value.settle()

    def whole(self) -> dict[str, Any]:
        """The object, ready to be dumped; a text of which nothing came is null."""
        return {
            name: value.whole() if isinstance(value, Text | Merged) else value for name, value in self._fields.items()
        }


def dumped(value: object) -> bytes:
    """`value` as JSON; what is nested too deeply to be written becomes null."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_shallow(value, DEEPEST))


def _shallow(value: Any, levels: int) -> Any:
    if isinstance(value, dict):
        return {name: _shallow(inner, levels - 1) for name, inner in value.items()} if levels else None
    if isinstance(value, list):
        return [_shallow(inner, levels - 1) for inner in value] if levels else None
    return value
