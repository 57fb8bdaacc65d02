"""What LiteLLM tells its callbacks of a call, as a record of the log. Pure.

A callback gets the call's `kwargs`; in them are the `StandardLoggingPayload` ("standard_logging_object"), and what the
customer sent ("litellm_params", "proxy_server_request"), to which LiteLLM has added fields of its own. The answer is
the one that LiteLLM made of the upstream's: not the bytes that the customer got, but what they said.

Source: `litellm/types/utils.py` and recorded calls of LiteLLM 1.108.7 (Nov 2026).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from spiritsafe.guard.log.imports.litellm import NOBODY, SURFACES
from spiritsafe.guard.log.records import dumped
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, list_of, text_of

ADDED = frozenset(
    ("metadata", "secret_fields", "proxy_server_request", "api_key", "api_base", "base_url", "headers", "extra_headers")
)
"""Fields of a body that are LiteLLM's own or may hold a key; besides those whose names begin with its own."""

ADDED_BEGINNINGS = ("litellm_", "_litellm", "user_api_key")

REDACTED = "redacted-by-litellm"
"""What LiteLLM writes in place of messages where it was told not to log them."""

STRIPPED = "_litellm_strip_stream_usage"
"""The field that says that `stream_options` was added by LiteLLM."""


def account_of(user: object, team: object, key_hash: object) -> str:
    """Whose call it is: the user that the key belongs to, else its team, else the key's hash; as an import has it."""
    named = text_of(user) or ""
    return ("" if named in NOBODY else named) or text_of(team) or text_of(key_hash) or ""


def surface_of_call(kind: str) -> str:
    """The surface that a `call_type` means, such as "acompletion"; others keep their names."""
    return SURFACES.get(kind) or SURFACES.get(kind.removeprefix("a"), kind)


def sent_by_customer(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` without what LiteLLM has put into it."""
    is_added = STRIPPED in body
    return {
        name: value
        for name, value in body.items()
        if name not in ADDED and not name.startswith(ADDED_BEGINNINGS) and not (is_added and name == "stream_options")
    }


def received_fields(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record's first half, but for account, segment and decision."""
    told = dict_of(kwargs.get("standard_logging_object"))
    metadata = dict_of(told.get("metadata"))
    client = {
        "ip": told.get("requester_ip_address") or metadata.get("requester_ip_address"),
        "user_agent": told.get("user_agent") or metadata.get("user_agent"),
        "org": metadata.get("user_api_key_org_id"),
        "team": metadata.get("user_api_key_team_id"),
        "key": metadata.get("user_api_key_hash"),
        "key_alias": metadata.get("user_api_key_alias"),
        "end_user": told.get("end_user"),
    }
    return {
        "id": text_of(told.get("litellm_call_id")) or text_of(kwargs.get("litellm_call_id")) or "",
        "at": amount_of(told.get("startTime")) or 0.0,
        "surface": surface_of_call(text_of(told.get("call_type")) or ""),
        "model": text_of(told.get("model_group")) or text_of(told.get("model")) or "",
        "upstream": text_of(told.get("custom_llm_provider")) or "",
        "stream": told.get("stream") is True,
        "client": {name: value for name, value in client.items() if value},
    }


def ended_fields(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of its second half."""
    told = dict_of(kwargs.get("standard_logging_object"))
    at, ended_at = amount_of(told.get("startTime")) or 0.0, amount_of(told.get("endTime")) or 0.0
    first_at = amount_of(told.get("completionStartTime"))
    is_well = told.get("status") != "failure"
    ended: dict[str, Any] = {
        "ended_at": ended_at,
        "outcome": "completed" if is_well else "upstream_failed",
        "status": 200 if is_well else _status(dict_of(told.get("error_information"))),
        "first_byte_s": None if first_at is None else max(first_at - at, 0.0),
        "last_byte_s": max(ended_at - at, 0.0),
        "dollars": amount_of(told.get("response_cost")),
    }
    if is_well:
        ended["tokens"] = [count_of(told.get("prompt_tokens")), count_of(told.get("completion_tokens"))]
    return ended


def _status(error: Mapping[str, Any]) -> int:
    code = str(error.get("error_code") or "")
    return int(code) if code.isdecimal() and len(code) == 3 else 502


def request_in(kwargs: Mapping[str, Any], taken: Mapping[str, Any]) -> bytes | None:
    """The body that the customer sent, as far as LiteLLM tells it and may, with what was `taken` out of it."""
    told = dict_of(kwargs.get("standard_logging_object"))
    proxied = dict_of(dict_of(kwargs.get("litellm_params")).get("proxy_server_request"))
    body = sent_by_customer(dict_of(proxied.get("body")))
    if not body or _is_redacted(told.get("messages")):
        model = text_of(told.get("model_group")) or text_of(told.get("model")) or ""
        body = {"model": model, "messages": told.get("messages"), **dict_of(told.get("model_parameters"))}
    return encoded({**body, **taken})


def _is_redacted(messages: object) -> bool:
    first = next(iter(list_of(messages)), messages)
    return REDACTED in (first, dict_of(first).get("content"))


def response_in(kwargs: Mapping[str, Any]) -> bytes | None:
    """The body of the answer; None where there was none."""
    told = dict_of(kwargs.get("standard_logging_object"))
    response = told.get("response")
    if not response:
        return None
    if surface_of_call(text_of(told.get("call_type")) or "") == "messages" and "choices" in dict_of(response):
        response = message_of_chat(dict_of(response))
    return encoded(response)


def message_of_chat(chat: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of /v1/messages that LiteLLM shows its callbacks as the chat completion `chat`."""
    choice = dict_of(next(iter(list_of(chat.get("choices"))), None))
    message, usage = dict_of(choice.get("message")), dict_of(chat.get("usage"))
    calls = [dict_of(call) for call in list_of(message.get("tool_calls"))]
    blocks: list[Any] = list_of(message.get("thinking_blocks"))
    if text := text_of(message.get("content")):
        blocks = [*blocks, {"type": "text", "text": text}]
    reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
    return {
        "id": chat.get("id"),
        "type": "message",
        "role": "assistant",
        "model": chat.get("model"),
        "content": [*blocks, *map(_tool_use, calls)],
        "stop_reason": reasons.get(str(choice.get("finish_reason")), choice.get("finish_reason")),
        "usage": {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")},
    }


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict_of(call.get("function"))
    arguments = text_of(function.get("arguments")) or "{}"
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        given = arguments
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given}


def encoded(body: object) -> bytes | None:
    """The JSON of `body`; what JSON has no form for as text."""
    try:
        return dumped(body)
    except TypeError:
        return json.dumps(body, default=str).encode()
