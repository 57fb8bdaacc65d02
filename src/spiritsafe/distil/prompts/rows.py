"""Rows to prompts: what a row of a file or dataset must hold to be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message


def prompt_of(row: Mapping[str, Any], where: str, prompt_field: str, answer_field: str | None) -> Prompt:
    """The prompt of `row`: its `messages`, or the text under `prompt_field` as one user turn.

    The known answer is what stands under `answer_field`: text as it is, anything else as JSON; none where the field is
    absent or null. All other fields become `meta`.

    Raises:
        InputError: the row has no prompt, or one that is not what is wanted; the message begins with `where`.
    """
    taken = "messages" if row.get("messages") is not None else prompt_field
    if row.get(taken) is None:
        raise InputError(
            f"{where}: got fields {shown(sorted(row))}, wanted 'messages' or {shown(prompt_field)}; "
            "set prompt_field to the field that holds the prompt"
        )
    messages = _messages(row[taken], where) if taken == "messages" else (_user_turn(row[taken], taken, where),)
    expected = row.get(answer_field) if answer_field is not None else None
    meta = {name: value for name, value in row.items() if name not in (taken, answer_field)}
    return make_prompt(messages, answer_text(expected), meta)


def answer_text(value: Any) -> str | None:
    """A known answer as text: None stays None, text stays text, anything else becomes JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _user_turn(text: Any, name: str, where: str) -> Message:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where}: field {shown(name)} is {shown(text)}, wanted text; mend or remove the row")
    return Message("user", text)


def _messages(turns: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(turns, list) or not turns:
        raise InputError(f"{where}: messages is {shown(turns)}, wanted a list of {{role, content}}; mend the row")
    messages = tuple(_message(turn, where) for turn in turns)
    if messages[-1].role != "user":
        raise InputError(
            f"{where}: the last message has role {shown(messages[-1].role)}, wanted 'user'; "
            "put the known answer into a field of its own"
        )
    return messages


def _message(turn: Any, where: str) -> Message:
    role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
    if isinstance(role, str) and isinstance(content, str):
        return Message(role, content)
    if isinstance(role, str) and isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        texts = [part["text"] for part in content if _is_text(part)]
        return Message(role, "".join(texts), tuple(part for part in content if not _is_text(part)))
    raise InputError(f"{where}: got message {shown(turn)}, wanted role and content; mend the row")


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "text" and isinstance(part.get("text"), str)
