"""A stream of chat completion chunks, folded into the chat completion.

Texts of a delta are joined, tool calls merged by their index, log-probabilities joined; of every other field the last
value counts, except that a null never does in a choice. Of several choices each is folded apart, by its index.

Source: OpenAI API reference, "Chat completions: streaming", and what imitators add to it (`reasoning_content`, an
`error` object inside a chunk, content as a list of parts).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.chat import usage_of
from spiritsafe.wire.folding import EventFold, Lists, Merged, dumped
from spiritsafe.wire.shapes import dict_of

TEXTS: Final = ("content", "refusal", "reasoning_content", "reasoning")
"""Fields of a delta whose pieces are joined."""

_CALLED: Final = ("arguments", "input")
_JOINED: Final = ("arguments", "data", "transcript")
_DROPPED: Final = ("choices", "object", "obfuscation", "usage")


class FoldedChoice(Protocol):
    """One choice, as far as it came."""

    def take(self, choice: dict[str, Any]) -> None:
        """What a chunk says of this choice."""
        ...

    def settle(self) -> None:
        """Join loose pieces."""
        ...

    def whole(self, index: int) -> dict[str, Any]:
        """The choice, ready to be dumped."""
        ...


class ChunkFold(EventFold):
    """Folds chunks with choices, as both of OpenAI's completion formats have them; the formats differ in a choice."""

    __slots__ = ("_choices", "_top", "_usage")

    _OBJECT: str

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, FoldedChoice] = {}
        self._top: dict[str, Any] = {}
        self._usage: Any = None

    def body(self) -> bytes:
        """See `folding.Fold`."""
        top = {name: value for name, value in self._top.items() if name not in _DROPPED}
        choices = [self._choices[index].whole(index) for index in sorted(self._choices)]
        body = {"object": self._OBJECT, **top, "choices": choices}
        return dumped(body if self._usage is None else body | {"usage": self._usage})

    def usage(self) -> Usage:
        """See `folding.Fold`."""
        return usage_of(dict_of(self._usage))

    def _new_choice(self) -> FoldedChoice:
        raise NotImplementedError

    def _take(self, event: dict[str, Any]) -> bool:
        choices = event.get("choices")
        if type(choices) is not list:
            if not (event.get("error") or event.get("usage")):
                return False
            choices = []
        self._top |= event
        if (usage := event.get("usage")) is not None:
            self._usage = usage
        for choice in choices:
            if type(choice) is dict:
                index = choice.get("index")
                at = index if type(index) is int else 0
                known = self._choices.get(at)
                if known is None:
                    known = self._choices[at] = self._new_choice()
                known.take(choice)
        return True

    def _settle(self) -> None:
        for choice in self._choices.values():
            choice.settle()


class ChatFold(ChunkFold):
    """Folds one stream of a chat completion; see `folding.Fold`."""

    __slots__ = ()

    _OBJECT = "chat.completion"

    def _new_choice(self) -> FoldedChoice:
        return _Choice()


class _Choice:
    """One choice, as far as it came."""

    __slots__ = ("_add", "_calls", "_logprobs", "_message", "_own", "_parts")

    def __init__(self) -> None:
        self._message = Merged((*TEXTS, *_JOINED), ("function_call", "audio"))
        self._add = self._message.text("content").loose.append
        self._calls: dict[int, Merged] = {}
        self._parts: list[Any] = []
        self._logprobs = Lists()
        self._own: dict[str, Any] = {"finish_reason": None}

    def take(self, choice: dict[str, Any]) -> None:
        """What a chunk says of this choice."""
        for name, value in choice.items():
            if value is None or name == "index":
                continue
            if name == "delta":
                # A chunk of ordinary text holds nothing but its content.
                if type(value) is dict and len(value) == 1 and type(content := value.get("content")) is str:
                    self._add(content)
                else:
                    self._take_delta(dict_of(value))
            elif name == "logprobs":
                self._logprobs.take(value)
            else:
                self._own[name] = value

    def _take_delta(self, delta: Mapping[str, Any]) -> None:
        calls, content = delta.get("tool_calls"), delta.get("content")
        if type(calls) is list:
            self._take_calls(calls)
        if type(content) is list:
            self._parts += content
        self._message.take({name: value for name, value in delta.items() if name != "tool_calls"})

    def _take_calls(self, calls: list[Any]) -> None:
        """Tool calls, by index; one without an index begins a call if it has an id, else goes on with the last."""
        for call in map(dict_of, calls):
            index = call.get("index")
            if type(index) is not int:
                last = max(self._calls, default=-1)
                index = last + 1 if call.get("id") or last < 0 else last
            known = self._calls.get(index)
            if known is None:
                known = self._calls[index] = Merged(_CALLED, ("function", "custom"))
            known.take(call)

    def settle(self) -> None:
        """Join loose pieces."""
        self._message.settle()
        for call in self._calls.values():
            call.settle()

    def whole(self, index: int) -> dict[str, Any]:
        """The choice, ready to be dumped."""
        message = {"role": "assistant", **self._message.whole()}
        if self._parts:
            said = message["content"]
            message["content"] = [*self._parts, {"type": "text", "text": said}] if said else self._parts
        if self._calls:
            calls = [self._calls[at].whole() for at in sorted(self._calls)]
            message["tool_calls"] = [{name: call[name] for name in call if name != "index"} for call in calls]
        return {"index": index, "message": message, "logprobs": self._logprobs.whole(), **self._own}
