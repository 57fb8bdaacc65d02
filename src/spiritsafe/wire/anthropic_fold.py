"""A stream of an Anthropic message, folded into the message.

The parts of a tool's input are joined and parsed; where they are no JSON, because the stream broke off, the block keeps
them as text under `partial_json`. Counts in `message_delta` are totals, so they replace those of `message_start`. An
`error` event stays in the body as `error`.

Source: Anthropic API reference, "Streaming messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.anthropic import usage_of
from spiritsafe.wire.folding import EventFold, Merged, dumped
from spiritsafe.wire.shapes import dict_of, list_of

_JOINED: Final = ("text", "thinking", "partial_json")
_STARTED_BY: Final[Mapping[str, Mapping[str, Any]]] = {
    "text_delta": {"type": "text"},
    "thinking_delta": {"type": "thinking"},
    "input_json_delta": {"type": "tool_use", "input": {}},
}


class AnthropicFold(EventFold):
    """Folds one stream of a message; see `folding.Fold`."""

    __slots__ = ("_blocks", "_error", "_message", "_usage")

    _USUAL = b"event: content_block_delta\ndata: "

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}
        self._error: Any = None

    def body(self) -> bytes:
        """See `folding.Fold`."""
        if self._error is not None and not self._message:
            return dumped({"type": "error", "error": self._error})
        content = [self._blocks[index].whole() for index in sorted(self._blocks)]
        plain = {"type": "message", "role": "assistant", "stop_reason": None, "stop_sequence": None}
        body = {**plain, **self._message, "content": content, "usage": self._usage}
        return dumped(body if self._error is None else body | {"error": self._error})

    def usage(self) -> Usage:
        """See `folding.Fold`."""
        return usage_of(self._usage)

    def _take(self, event: dict[str, Any]) -> bool:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._add_to_block(event.get("index"), dict_of(event.get("delta")))
        elif kind == "content_block_start":
            self._start_block(event.get("index"), dict_of(event.get("content_block")))
        elif kind == "message_start":
            self._start(dict_of(event.get("message")))
        elif kind == "message_delta":
            self._message |= _given(event.get("delta"))
            self._usage |= _given(event.get("usage"))
        elif kind == "message_stop":
            self.finished = True
        elif kind == "error":
            self._error = event.get("error")
        return type(kind) is str

    def _start(self, message: Mapping[str, Any]) -> None:
        self._message = dict(message)
        self._usage = dict(dict_of(message.get("usage")))
        for index, block in enumerate(list_of(message.get("content"))):
            self._start_block(index, dict_of(block))

    def _start_block(self, index: object, block: Mapping[str, Any]) -> None:
        if type(index) is int:
            self._blocks[index] = _Block(block)

    def _add_to_block(self, index: object, delta: Mapping[str, Any]) -> None:
        if type(index) is not int:
            return
        block = self._blocks.get(index)
        if block is None:
            kind = delta.get("type")
            block = self._blocks[index] = _Block(_STARTED_BY.get(kind, {}) if type(kind) is str else {})
        block.take(delta)

    def _settle(self) -> None:
        for block in self._blocks.values():
            block.fields.settle()


class _Block:
    """One content block, as far as it came."""

    __slots__ = ("_citations", "fields")

    def __init__(self, block: Mapping[str, Any]) -> None:
        self._citations: list[Any] = []
        self.fields = Merged(_JOINED)
        self.fields.take(block)

    def take(self, delta: Mapping[str, Any]) -> None:
        """What a delta adds."""
        kind = delta.get("type")
        if kind == "text_delta" and type(text := delta.get("text")) is str:
            self.fields.text("text").loose.append(text)
        elif kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        else:
            self.fields.take({name: value for name, value in delta.items() if name != "type"})

    def whole(self) -> dict[str, Any]:
        """The block, ready to be dumped."""
        block = self.fields.whole()
        if self._citations:
            block["citations"] = [*list_of(block.get("citations")), *self._citations]
        said = block.pop("partial_json", None)
        if isinstance(said, str) and said:
            try:
                block["input"] = orjson.loads(said)
            except orjson.JSONDecodeError:
                block["partial_json"] = said
        return block


def _given(fields: object) -> dict[str, Any]:
    """The fields that are not null."""
    return {name: value for name, value in dict_of(fields).items() if value is not None}
