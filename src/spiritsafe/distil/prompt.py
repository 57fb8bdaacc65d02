"""Prompt: what is asked, before any teacher or student adds its own system prompt and shots to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.line import from_json, to_json
from spiritsafe.exchanges.record import Exchange, Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask.

    Attributes:
        id: hex hash of the messages, so that equal prompts are one prompt.
        messages: the bare conversation, ending with the user's turn.
        expected: the known right answer, where there is one.
        meta: whatever else the row held; carried along, never sent.
    """

    id: str
    messages: tuple[Message, ...]
    expected: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The last user turn: what deduplication, grounding and reports look at."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")


@dataclass(frozen=True, slots=True)
class CollectedRow:
    """A prompt and the teacher's exchange about it: one line of `collected.jsonl`."""

    prompt: Prompt
    exchange: Exchange


def make_prompt(
    messages: tuple[Message, ...], expected: str | None = None, meta: Mapping[str, Any] | None = None
) -> Prompt:
    """The prompt of `messages`, with its id."""
    turns = orjson.dumps([[m.role, m.content, list(m.parts)] for m in messages], option=orjson.OPT_SORT_KEYS)
    return Prompt(blake2b(turns, digest_size=12).hexdigest(), messages, expected, meta or {})


def prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    """The line of `prompts.jsonl`."""
    turns = [
        {"role": m.role, "content": m.content} | ({"parts": list(m.parts)} if m.parts else {}) for m in prompt.messages
    ]
    row: dict[str, Any] = {"id": prompt.id, "messages": turns}
    if prompt.expected is not None:
        row["expected"] = prompt.expected
    if prompt.meta:
        row["meta"] = dict(prompt.meta)
    return row


def prompt_from_json(row: Mapping[str, Any]) -> Prompt:
    """The prompt of a line of `prompts.jsonl`.

    Raises:
        InputError: the line lacks what `prompt_to_json` writes.
    """
    try:
        messages = tuple(Message(m["role"], m["content"], tuple(m.get("parts", ()))) for m in row["messages"])
        return Prompt(row["id"], messages, row.get("expected"), row.get("meta", {}))
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"got prompt line {shown(row)}, wanted id and messages; run the collect stage again") from None


def row_to_json(row: CollectedRow) -> dict[str, Any]:
    """The line of `collected.jsonl`: the exchange's own, with the prompt under `prompt`."""
    return to_json(row.exchange) | {"prompt": prompt_to_json(row.prompt)}


def row_from_json(line: Mapping[str, Any]) -> CollectedRow:
    """The row of a line of `collected.jsonl`.

    Raises:
        InputError: the line is no exchange, or lacks its prompt.
    """
    exchange = from_json({key: value for key, value in line.items() if key != "prompt"})
    return CollectedRow(prompt_from_json(line.get("prompt", {})), exchange)
