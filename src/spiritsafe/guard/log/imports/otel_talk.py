"""What was said in a `gen_ai.*` span, whichever of the conventions it follows; see `imports.otel` for their list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.exchanges.record import Message
from spiritsafe.guard.log.imports.otlp import Event
from spiritsafe.guard.log.imports.rows import value_in
from spiritsafe.wire.shapes import dict_of, list_of, text_of
from spiritsafe.wire.turns import content_of

REASONS = {"tool_call": "tool_calls"}

_TURNS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}

Turn = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Talk:
    """What was said.

    Attributes:
        messages: what the model was given.
        answer, reasoning, finish_reason: of the first choice; `finish_reason` is empty where it is not said.
        choices: all choices, as they came.
    """

    messages: tuple[Message, ...] = ()
    answer: str = ""
    reasoning: str | None = None
    finish_reason: str = ""
    choices: tuple[Turn, ...] = ()


def talk_of(attributes: Mapping[str, Any], events: Iterable[Event]) -> Talk:
    """What was said in a span with these attributes and events."""
    events = list(events)
    given = (
        _given(attributes)
        or _given_in(events)
        or _turns(attributes.get("gen_ai.prompt"))
        or _indexed(attributes, "gen_ai.prompt")
    )
    choices = (
        _choices(attributes)
        or _choices_in(events)
        or _turns(attributes.get("gen_ai.completion"), role="assistant")
        or _indexed(attributes, "gen_ai.completion")
    )
    messages = tuple(_message(turn) for turn in given)
    if not choices:
        return Talk(messages)
    first = choices[0]
    said = text_of(first.get("finish_reason")) or ""
    return Talk(messages, _message(first).content, _reasoning(first), REASONS.get(said, said), tuple(choices))


def _given(attributes: Mapping[str, Any]) -> Sequence[Turn]:
    """Since 1.37: messages with parts, and instructions that are parts alone."""
    turns = _turns(attributes.get("gen_ai.input.messages"))
    instructions = value_in(attributes.get("gen_ai.system_instructions"))
    if not instructions:
        return turns
    return [{"role": "system", "parts" if isinstance(instructions, list) else "content": instructions}, *turns]


def _choices(attributes: Mapping[str, Any]) -> list[Turn]:
    return _turns(attributes.get("gen_ai.output.messages"), role="assistant")


def _given_in(events: list[Event]) -> list[Turn]:
    """Up to 1.36: an event a turn; before 1.28: one event with all of them as JSON."""
    turns: list[Turn] = [{"role": _TURNS[event.name], **_inner(event)} for event in events if event.name in _TURNS]
    if turns:
        return turns
    return [turn for event in events if event.name == "gen_ai.content.prompt" for turn in _turns(_text_in(event))]


def _choices_in(events: list[Event]) -> list[Turn]:
    choices = [_inner(event) for event in events if event.name == "gen_ai.choice"]
    if choices:
        return [{**choice, **dict_of(value_in(choice.get("message")))} for choice in sorted(choices, key=_index)]
    completions = [event for event in events if event.name == "gen_ai.content.completion"]
    return [turn for event in completions for turn in _turns(_text_in(event), role="assistant")]


def _inner(event: Event) -> Turn:
    """What an event says: in its attributes or its body, or as JSON in `gen_ai.event.content`."""
    return {**event.attributes, **dict_of(value_in(event.attributes.get("gen_ai.event.content")))}


def _text_in(event: Event) -> Any:
    names = ("gen_ai.prompt", "gen_ai.completion", "content")
    return next((event.attributes[name] for name in names if name in event.attributes), None)


def _index(choice: Turn) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _turns(value: Any, role: str = "user") -> list[Turn]:
    """The turns in `value`: a list of them, one, text, or the JSON of any of these."""
    value = value_in(value)
    if isinstance(value, str) and value:
        return [{"role": role, "content": value}]
    turns = value if isinstance(value, list) else [value]
    return [turn if "role" in turn else {"role": role, **turn} for turn in turns if isinstance(turn, dict)]


def _indexed(attributes: Mapping[str, Any], prefix: str) -> Sequence[Turn]:
    """OpenLLMetry: an attribute a field of a turn, such as gen_ai.prompt.0.content."""
    turns: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        number, dot, field = name.removeprefix(f"{prefix}.").partition(".")
        if name.startswith(f"{prefix}.") and dot and number.isdecimal():
            turns.setdefault(int(number), {"role": "assistant" if "completion" in prefix else "user"})[field] = value
    return [turns[number] for number in sorted(turns)]


def _message(turn: Turn) -> Message:
    """One turn; parts that are not text, and the calls of tools, are kept as they came."""
    role = text_of(turn.get("role")) or "user"
    calls = [call for call in list_of(value_in(turn.get("tool_calls"))) if isinstance(call, dict)]
    parts = value_in(turn.get("parts"))
    if isinstance(parts, list):
        objects = [part for part in parts if isinstance(part, dict)]
        others = [part for part in objects if part.get("type") not in ("text", "reasoning")]
        return Message(role, _text_of(objects, "text"), (*others, *calls))
    content = value_in(turn.get("content"))
    if isinstance(content, list):
        others = [part for part in content if isinstance(part, dict) and part.get("type", "text") != "text"]
        return Message(role, content_of(content)[0], (*others, *calls))
    return Message(role, text_of(turn.get("content")) or "", tuple(calls))


def _reasoning(turn: Turn) -> str | None:
    parts = [part for part in list_of(value_in(turn.get("parts"))) if isinstance(part, dict)]
    return _text_of(parts, "reasoning") or text_of(turn.get("reasoning_content"))


def _text_of(parts: list[dict[str, Any]], kind: str) -> str:
    return "".join(str(part.get("content") or "") for part in parts if part.get("type") == kind)
