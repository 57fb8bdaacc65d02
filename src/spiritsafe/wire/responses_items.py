"""Items of OpenAI's responses: the turns of a conversation to and from `input`.

A message is a turn. Any other item (a tool call, its output, reasoning) is a turn of its own, with the item in the
turn's parts; of a tool's output the text is the turn's content. What is written is read back as the same turns.

Source: OpenAI API reference, "Responses: create", as of the types in openai-python 3.57.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message
from spiritsafe.wire.shapes import dict_of, list_of, text_of

ELSEWHERE: Final = ("prompt", "previous_response_id", "conversation")
"""Fields that stand for an input that the upstream keeps."""

_TEXT_PARTS: Final = ("input_text", "output_text", "text")
_ITEM_ENDINGS: Final = ("_call", "_output")
_ITEMS: Final = (
    *("reasoning", "item_reference", "compaction", "program", "additional_tools"),
    *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
)


def read_turns(data: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns of a customer's request: its instructions as a system turn, then its input.

    Raises:
        InputError: `input` is neither a text nor a list of items, and nothing stands for it.
    """
    instructions = text_of(data.get("instructions"))
    first = (Message("system", instructions),) if instructions else ()
    given = data.get("input")
    if isinstance(given, str):
        return (*first, Message("user", given))
    if given is None and any(data.get(name) for name in ELSEWHERE):
        return first
    if not isinstance(given, list):
        raise InputError(f"got input = {shown(given)}, wanted a text or a list of items; send one")
    return (*first, *map(_read_item, given))


def items_of(messages: Iterable[Message]) -> list[Any]:
    """The items of `input` that hold these turns."""
    return [_item_of(message) for message in messages]


def _read_item(item: object) -> Message:
    fields = dict_of(item)
    role, kind = fields.get("role"), fields.get("type")
    if isinstance(role, str) and kind in (None, "message"):
        content = fields.get("content")
        if isinstance(content, str):
            return Message(role, content)
        text, parts = _told_apart(list_of(content))
        return Message(role, text, parts)
    if not isinstance(kind, str):
        raise InputError(f"got {shown(item)} in input, wanted items, each with a role or a type; send such items")
    output = fields.get("output")
    if not kind.endswith("_output"):
        return Message("assistant", "", (fields,))
    if isinstance(output, str):
        return Message("tool", output, ({name: fields[name] for name in fields if name != "output"},))
    return Message("tool", "", (fields,))


def _told_apart(content: list[Any]) -> tuple[str, tuple[Any, ...]]:
    """(text, other parts) of a message's content."""
    texts = [text_of(dict_of(part).get("text")) or "" for part in content if dict_of(part).get("type") in _TEXT_PARTS]
    return "".join(texts), tuple(part for part in content if dict_of(part).get("type") not in _TEXT_PARTS)


def _item_of(message: Message) -> Any:
    if len(message.parts) == 1 and _is_item(kind := str(message.parts[0].get("type"))):
        item = message.parts[0]
        lacks_output = kind.endswith("_output") and "output" not in item
        return {**item, "output": message.content} if lacks_output else item
    if not message.parts:
        return {"role": message.role, "content": message.content}
    kind = "output_text" if message.role == "assistant" else "input_text"
    text = [{"type": kind, "text": message.content}] if message.content else []
    return {"role": message.role, "content": [*text, *message.parts]}


def _is_item(kind: str) -> bool:
    return kind in _ITEMS or kind.endswith(_ITEM_ENDINGS)
