"""Features: one row of facts an exchange, without its text. Pure.

`COLUMNS` are the row's columns in their order, and `features_of` gives the row as a tuple in that order. Text is told
by its length and by a hash: the first 16 hex digits of its SHA-256, so that the same prompt is found again.

Limits: a short prompt can be guessed from its hash by whoever tries all of them. Numbers beyond 64 bits are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from spiritsafe.exchanges.record import Exchange, Message
from spiritsafe.wire.shapes import count_of, dict_of, list_of, text_of

TEXT, COUNT, NUMBER, TRUTH, TEXTS = "text", "count", "number", "truth", "texts"
"""The types of columns: strings, 64-bit whole numbers, 64-bit floats, booleans, lists of strings."""

CLIENT = ("ip", "asn", "user_agent", "ja4", "org", "country", "payment", "email_domain")
"""Facts about the client that have a column each; all others share `client_other`, as JSON."""

HASH_DIGITS = 16

COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", TEXT),
    ("at", NUMBER),
    ("account", TEXT),
    ("dialect", TEXT),
    ("surface", TEXT),
    ("model", TEXT),
    ("version", TEXT),
    ("fingerprint", TEXT),
    ("upstream", TEXT),
    ("stream", TRUTH),
    ("status", COUNT),
    ("outcome", TEXT),
    ("refusal", TEXT),
    ("action", TEXT),
    ("decision_id", TEXT),
    ("decision_by", TEXT),
    ("shadow", TRUTH),
    ("reasons", TEXTS),
    ("finish_reason", TEXT),
    ("input_tokens", COUNT),
    ("output_tokens", COUNT),
    ("reasoning_tokens", COUNT),
    ("cached_input_tokens", COUNT),
    ("dollars", NUMBER),
    ("first_byte_s", NUMBER),
    ("last_byte_s", NUMBER),
    ("messages", COUNT),
    ("parts", COUNT),
    ("prompt_chars", COUNT),
    ("answer_chars", COUNT),
    ("reasoning_chars", COUNT),
    ("system_hash", TEXT),
    ("user_hash", TEXT),
    ("prompt_hash", TEXT),
    ("temperature", NUMBER),
    ("top_p", NUMBER),
    ("max_tokens", COUNT),
    ("n", COUNT),
    ("top_logprobs", COUNT),
    ("logit_bias", TRUTH),
    ("tools", COUNT),
    ("response_format", TEXT),
    *((name, TEXT) for name in CLIENT),
    ("client_other", TEXT),
)

_FORMATS = (("response_format", None), ("output_format", None), ("text", "format"), ("output_config", "format"))
"""Where a request says what kind of answer it wants: chat, messages, responses, messages again."""

_SYSTEM_ROLES = ("system", "developer")


def features_of(exchange: Exchange) -> tuple[Any, ...]:
    """The row of `exchange`, in the order of `COLUMNS`; None where a fact is not known."""
    return (
        *_who(exchange),
        *_decided(exchange.other),
        exchange.finish_reason,
        *_used(exchange),
        *_said(exchange),
        *_asked(exchange),
        *_client(exchange.client),
    )


def _who(exchange: Exchange) -> tuple[Any, ...]:
    other, source = exchange.other, exchange.source
    return (
        exchange.id,
        exchange.at,
        exchange.account,
        exchange.dialect,
        text_of(other.get("surface")),
        source.model or None,
        source.version,
        source.fingerprint,
        source.endpoint or None,
        _truth(other.get("stream")),
        _whole(other.get("status")),
        text_of(other.get("outcome")),
    )


def _decided(other: Mapping[str, Any]) -> tuple[Any, ...]:
    decision, refusal = dict_of(other.get("decision")), dict_of(other.get("refusal"))
    return (
        text_of(refusal.get("code")),
        text_of(decision.get("action")),
        text_of(decision.get("id")),
        text_of(decision.get("by")),
        _truth(decision.get("shadow")),
        [str(reason) for reason in list_of(decision.get("reasons"))] if decision else None,
    )


def _used(exchange: Exchange) -> tuple[Any, ...]:
    usage, timing = exchange.usage, exchange.timing
    return (
        _whole(usage.input_tokens),
        _whole(usage.output_tokens),
        _whole(usage.reasoning_tokens),
        _whole(usage.cached_input_tokens),
        exchange.dollars,
        timing.first_byte_s,
        timing.last_byte_s,
    )


def _said(exchange: Exchange) -> tuple[Any, ...]:
    messages = exchange.messages
    system = "\n".join(message.content for message in messages if message.role in _SYSTEM_ROLES)
    user = next((message.content for message in reversed(messages) if message.role == "user"), "")
    return (
        len(messages),
        sum(len(message.parts) for message in messages),
        sum(len(message.content) for message in messages),
        len(exchange.answer),
        len(exchange.reasoning or ""),
        _hash(system.encode()) if system else None,
        _hash(user.encode()) if user else None,
        _hash(_whole_prompt(messages)) if messages else None,
    )


def _whole_prompt(messages: tuple[Message, ...]) -> bytes:
    """Every turn with its role and its parts, so that no two prompts are written alike."""
    turns = [(message.role, message.content, message.parts) for message in messages]
    try:
        return orjson.dumps(turns, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # parts that are nested deeper than orjson writes
        return orjson.dumps([(role, content, len(parts)) for role, content, parts in turns])


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()[:HASH_DIGITS]


def _asked(exchange: Exchange) -> tuple[Any, ...]:
    sampling = exchange.sampling
    fields = dict(sampling.other)
    return (
        sampling.temperature,
        sampling.top_p,
        _whole(sampling.max_tokens),
        _whole(count_of(fields.get("n"))),
        _whole(sampling.top_logprobs),
        bool(fields.get("logit_bias")),
        len(list_of(fields.get("tools"))) or len(list_of(fields.get("functions"))),
        _format_of(fields),
    )


def _format_of(fields: Mapping[str, Any]) -> str | None:
    """The kind of answer asked for, wherever the dialect says it."""
    for name, inner in _FORMATS:
        if (value := fields.get(name)) is not None:
            holder = dict_of(value)
            return text_of((dict_of(holder.get(inner)) if inner else holder).get("type"))
    return None


def _client(client: Mapping[str, Any]) -> tuple[Any, ...]:
    facts = [client.get(name) for name in CLIENT]
    other = len(client) > len(CLIENT) - facts.count(None) and {k: v for k, v in client.items() if k not in CLIENT}
    return (*map(_text, facts), _text(other or None))


def _text(value: object) -> str | None:
    """`value` as text; all but text and null is written as JSON."""
    if value is None or isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    count = count_of(value)
    return count if count is not None and count < 2**63 else None
