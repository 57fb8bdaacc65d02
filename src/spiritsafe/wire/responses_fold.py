"""A stream of OpenAI's responses format, folded into the response.

The last event carries the whole response, and that is the body. Of a stream that broke off it is the response as it
began, with the output items put together from their parts; items that were done are taken whole.

Source: OpenAI API reference, "Responses: streaming events", as of the types in openai-python 3.57.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.folding import EventFold, Lists, Merged, dumped
from spiritsafe.wire.responses import usage_of
from spiritsafe.wire.shapes import dict_of, list_of

_STATES: Final = ("response.created", "response.queued", "response.in_progress")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")
_LISTS: Final = ("content", "summary")
_ITEM_TEXTS: Final = ("arguments", "input", "code")


class _Place(NamedTuple):
    """Where a delta's text goes: the list of an item, the place in it, the field of the part; what both begin as."""

    name: str
    at: str
    field: str
    part: Mapping[str, Any]
    item: Mapping[str, Any]


_MESSAGE: Final[Mapping[str, Any]] = {"type": "message", "role": "assistant"}
_THINKING: Final[Mapping[str, Any]] = {"type": "reasoning", "summary": []}
_PLACES: Final = {
    "response.output_text.delta": _Place("content", "content_index", "text", {"type": "output_text"}, _MESSAGE),
    "response.refusal.delta": _Place("content", "content_index", "refusal", {"type": "refusal"}, _MESSAGE),
    "response.reasoning_text.delta": _Place("content", "content_index", "text", {"type": "reasoning_text"}, _THINKING),
    "response.reasoning_summary_text.delta": _Place(
        "summary", "summary_index", "text", {"type": "summary_text"}, _THINKING
    ),
}
_CALLS: Final = {
    "response.function_call_arguments.delta": ("function_call", "arguments"),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "input"),
    "response.mcp_call_arguments.delta": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code.delta": ("code_interpreter_call", "code"),
}
_PARTS: Final = {
    "response.content_part.added": ("content", "content_index", _MESSAGE),
    "response.content_part.done": ("content", "content_index", _MESSAGE),
    "response.reasoning_summary_part.added": ("summary", "summary_index", _THINKING),
    "response.reasoning_summary_part.done": ("summary", "summary_index", _THINKING),
}


class ResponsesFold(EventFold):
    """Folds one stream of a response; see `folding.Fold`."""

    __slots__ = ("_error", "_items", "_response")

    _USUAL = b"event: response.output_text.delta\ndata: "

    def __init__(self) -> None:
        super().__init__()
        self._response: dict[str, Any] = {}
        self._items: dict[int, _Item] = {}
        self._error: Any = None

    def body(self) -> bytes:
        """See `folding.Fold`."""
        began = {"object": "response", "status": "in_progress", "error": None, "incomplete_details": None}
        body = {**began, **self._response}
        if not list_of(body.get("output")):
            body["output"] = [self._items[index].whole() for index in sorted(self._items)]
        if self._error is not None and not body["error"]:
            body |= {"error": self._error, "status": "failed"}
        return dumped(body)

    def usage(self) -> Usage:
        """See `folding.Fold`."""
        return usage_of(dict_of(self._response.get("usage")))

    def _take(self, event: dict[str, Any]) -> bool:
        kind = event.get("type")
        if type(kind) is not str:
            return False
        if (place := _PLACES.get(kind)) is not None:
            self._take_text(place, event)
        elif kind in _CALLS:
            called, field = _CALLS[kind]
            self._item(event, {"type": called}).take(field, event.get("delta"))
        elif kind in _PARTS:
            items, index, item = _PARTS[kind]
            self._item(event, item).start(items, _index(event, index), dict_of(event.get("part")))
        else:
            self._take_other(kind, event)
        return True

    def _take_text(self, place: _Place, event: dict[str, Any]) -> None:
        part = self._item(event, place.item).part(place.name, _index(event, place.at), place.part)
        part.take(place.field, event.get("delta"))
        if logprobs := event.get("logprobs"):
            part.logprobs.take({"logprobs": logprobs})

    def _take_other(self, kind: str, event: dict[str, Any]) -> None:
        if kind in ("response.output_item.added", "response.output_item.done"):
            self._items[_index(event, "output_index")] = _Item(dict_of(event.get("item")))
        elif kind == "response.output_text.annotation.added":
            part = self._item(event, _MESSAGE).part("content", _index(event, "content_index"), {"type": "output_text"})
            part.annotations.append(event.get("annotation"))
        elif kind in _STATES or kind in _ENDS:
            self._response = dict(dict_of(event.get("response")))
            self.finished = kind in _ENDS
        elif kind == "error":
            said = {name: event.get(name) for name in ("code", "message", "param")}
            self._error = event.get("error") or said

    def _item(self, event: dict[str, Any], new: Mapping[str, Any]) -> _Item:
        """The output item that an event is about; one that begins as `new`, where it was not heard of before."""
        index = _index(event, "output_index")
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _Item(new)
        return item

    def _settle(self) -> None:
        if self.finished and list_of(self._response.get("output")):
            self._items.clear()
        for item in self._items.values():
            item.settle()


class _Item:
    """One output item, as far as it came."""

    __slots__ = ("_fields", "_parts")

    def __init__(self, item: Mapping[str, Any]) -> None:
        self._fields = Merged(_ITEM_TEXTS)
        self._fields.take({name: value for name, value in item.items() if name not in _LISTS})
        self._parts: dict[str, dict[int, _Part]] = {}
        for name in _LISTS:
            if isinstance(parts := item.get(name), list):
                self._parts[name] = {index: _Part(dict_of(part)) for index, part in enumerate(parts)}

    def take(self, field: str, delta: object) -> None:
        """The next piece of a text of the item's own."""
        if isinstance(delta, str):
            self._fields.text(field).loose.append(delta)

    def start(self, items: str, index: int, part: Mapping[str, Any]) -> None:
        """A part as it begins, or as it is when it is done."""
        self._parts.setdefault(items, {})[index] = _Part(part)

    def part(self, items: str, index: int, new: Mapping[str, Any]) -> _Part:
        """A part of the item, for adding to; one that begins as `new`, where it was not heard of before."""
        part = self._parts.setdefault(items, {}).get(index)
        if part is None:
            part = self._parts[items][index] = _Part(new)
        return part

    def settle(self) -> None:
        """Join loose pieces."""
        self._fields.settle()
        for parts in self._parts.values():
            for part in parts.values():
                part.settle()

    def whole(self) -> dict[str, Any]:
        """The item, ready to be dumped."""
        lists = {name: [parts[at].whole() for at in sorted(parts)] for name, parts in self._parts.items()}
        return {**self._fields.whole(), **lists}


class _Part:
    """One part of a message or of thinking."""

    __slots__ = ("_fields", "annotations", "logprobs")

    def __init__(self, part: Mapping[str, Any]) -> None:
        self._fields = Merged(("text", "refusal"))
        self._fields.take({name: value for name, value in part.items() if name not in ("logprobs", "annotations")})
        self.annotations = list(list_of(part.get("annotations")))
        self.logprobs = Lists()
        self.logprobs.take({"logprobs": part.get("logprobs")})

    def take(self, field: str, delta: object) -> None:
        """The next piece of a text."""
        if isinstance(delta, str):
            self._fields.text(field).loose.append(delta)

    def settle(self) -> None:
        """Join loose pieces."""
        self._fields.settle()

    def whole(self) -> dict[str, Any]:
        """The part, ready to be dumped."""
        whole = {**self._fields.whole(), **(self.logprobs.whole() or {})}
        return whole | {"annotations": self.annotations} if whole.get("type") == "output_text" else whole


def _index(event: dict[str, Any], name: str) -> int:
    index = event.get(name)
    return index if type(index) is int else 0
