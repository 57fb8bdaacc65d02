"""Turns of a conversation to and from JSON, as far as the chat and messages formats agree on them.

`Message.content` is the text; parts that are not text (images, files) are carried as they came, after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message
from spiritsafe.wire.shapes import dict_of, list_of, text_of

RESERVED = ("messages", "stream", "n")
"""Fields that extra settings may not set: they would change what is asked, or pay for answers that are not read."""


def reject_reserved(*settings: Mapping[str, Any]) -> None:
    """Refuse extra settings that touch a reserved field.

    Raises:
        InputError: one does.
    """
    for extra in settings:
        for name in RESERVED:
            if name in extra:
                raise InputError(
                    f"extra setting '{name}' = {shown(extra[name])} cannot be sent; remove it ({_WHY[name]})"
                )


_WHY = {
    "messages": "the prompt decides the messages",
    "stream": "answers are read whole",
    "n": "ask for more with `samples`",
}


def message_of(message: Message) -> dict[str, Any]:
    """The JSON of one turn."""
    if not message.parts:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    return {"role": message.role, "content": [*text, *message.parts]}


def content_of(content: object) -> tuple[str, str | None]:
    """(text, thoughts) of a content: a string, null, or a list of parts of which the text and thinking are read."""
    if isinstance(content, str):
        return content, None
    texts: list[str] = []
    thoughts: list[str] = []
    for part in list_of(content):
        if isinstance(part, str):
            texts.append(part)
            continue
        fields = dict_of(part)
        kind = fields.get("type", "text")
        if kind == "text":
            texts.append(text_of(fields.get("text")) or "")
        elif kind == "thinking":
            thoughts.append(_thought(fields.get("thinking")))
    return "".join(texts), "".join(thoughts) or None


def _thought(thinking: object) -> str:
    """A thinking part: plain text (Anthropic) or a list of text parts (Mistral)."""
    if isinstance(thinking, str):
        return thinking
    return "".join(text_of(dict_of(part).get("text")) or "" for part in list_of(thinking))


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a customer's body.

    Raises:
        InputError: it is something else.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"got a body that is not JSON ({error}), wanted a request; send JSON") from None
    if not isinstance(data, dict):
        raise InputError(f"got {shown(data)}, wanted a JSON object with messages; send a request")
    return data


def read_messages(data: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns of a customer's request.

    Raises:
        InputError: `messages` is not a list of turns with a role.
    """
    turns = data.get("messages")
    if not isinstance(turns, list) or not all(isinstance(dict_of(turn).get("role"), str) for turn in turns):
        raise InputError(f"got messages = {shown(turns)}, wanted a list of turns, each with a role and content")
    return tuple(_read_message(turn) for turn in turns)


def stops_of(value: object) -> tuple[str, ...]:
    """Stop strings, given as one string or as a list of them."""
    return (value,) if isinstance(value, str) else tuple(stop for stop in list_of(value) if isinstance(stop, str))


def _read_message(turn: Mapping[str, Any]) -> Message:
    content = turn.get("content")
    parts = tuple(part for part in list_of(content) if dict_of(part).get("type") != "text")
    return Message(turn["role"], content_of(content)[0], parts)
