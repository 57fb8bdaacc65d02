"""Writing exchange lines: from `Exchange` to JSON. See `exchanges.line`.

One plain `if` a field: a loop over field names costs as much again as all the rest.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.parsing import EXCHANGE, SECTIONS
from spiritsafe.exchanges.record import (
    RECORD_VERSION,
    Exchange,
    Message,
    Sampling,
    Source,
    Timing,
    TokenLogprobs,
    Usage,
)


def dumps(exchange: Exchange) -> bytes:
    """The line of `exchange`, without a newline.

    Raises:
        InputError: it holds something that JSON cannot.
    """
    row = to_json(exchange)
    try:
        return trimmed(orjson.dumps(row))
    except TypeError:
        return _dumped_with_care(row)


def trimmed(data: bytes) -> bytes:
    """A copy of `data` that holds no more memory than it needs, for what is kept while a request is in flight.

    orjson from 3.12 on reserves several times what it writes and gives none of it back: 32 KB for a line of 4.5 KB.
    """
    return bytes(memoryview(data))


def to_json(exchange: Exchange) -> dict[str, Any]:
    """The JSON object of `exchange`; it shares `client`, values of `other` and message parts with it.

    Raises:
        InputError: `other` holds a key that is a field of its own.
    """
    row: dict[str, Any] = {
        "v": RECORD_VERSION,
        "id": exchange.id,
        "account": exchange.account,
        "at": exchange.at,
        "dialect": exchange.dialect,
        "model": exchange.source.model,
        "messages": [_turn(message) for message in exchange.messages],
        "answer": exchange.answer,
        "finish_reason": exchange.finish_reason,
    }
    _add_answer(row, exchange)
    _add_account(row, exchange)
    if exchange.other:
        _add_other(row, exchange.other)
    return row


def _add_answer(row: dict[str, Any], exchange: Exchange) -> None:
    if sampling := _sampling_row(exchange.sampling):
        row["sampling"] = sampling
    if exchange.sample:
        row["sample"] = exchange.sample
    if exchange.reasoning is not None:
        row["reasoning"] = exchange.reasoning
    if usage := _usage_row(exchange.usage):
        row["usage"] = usage
    if timing := _timing_row(exchange.timing):
        row["timing"] = timing
    if exchange.logprobs is not None:
        row["logprobs"] = _logprobs_row(exchange.logprobs)
    if source := _source_row(exchange.source):
        row["source"] = source


def _add_account(row: dict[str, Any], exchange: Exchange) -> None:
    if exchange.dollars is not None:
        row["dollars"] = exchange.dollars
    if exchange.price_version is not None:
        row["price_version"] = exchange.price_version
    if exchange.charged_to:
        row["charged_to"] = exchange.charged_to
    if exchange.segment:
        row["segment"] = exchange.segment
    if exchange.client:
        row["client"] = exchange.client


def _turn(message: Message) -> dict[str, Any]:
    if not message.parts:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    return {"role": message.role, "content": [*text, *message.parts]}


def _sampling_row(sampling: Sampling) -> dict[str, Any]:
    row = dict(sampling.other)
    if sampling.temperature is not None:
        row["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        row["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        row["max_tokens"] = sampling.max_tokens
    if sampling.seed is not None:
        row["seed"] = sampling.seed
    if sampling.stop:
        row["stop"] = sampling.stop
    if sampling.top_logprobs is not None:
        row["top_logprobs"] = sampling.top_logprobs
    return row


def _usage_row(usage: Usage) -> dict[str, Any]:
    row = {}
    if usage.input_tokens is not None:
        row["input_tokens"] = usage.input_tokens
    if usage.output_tokens is not None:
        row["output_tokens"] = usage.output_tokens
    if usage.reasoning_tokens is not None:
        row["reasoning_tokens"] = usage.reasoning_tokens
    if usage.cached_input_tokens is not None:
        row["cached_input_tokens"] = usage.cached_input_tokens
    return row


def _timing_row(timing: Timing) -> dict[str, Any]:
    row = {}
    if timing.first_byte_s is not None:
        row["first_byte_s"] = timing.first_byte_s
    if timing.last_byte_s is not None:
        row["last_byte_s"] = timing.last_byte_s
    return row


def _source_row(source: Source) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if source.endpoint:
        row["endpoint"] = source.endpoint
    if source.version is not None:
        row["version"] = source.version
    if source.fingerprint is not None:
        row["fingerprint"] = source.fingerprint
    if source.terms != "unknown":
        row["terms"] = source.terms
    if source.licence is not None:
        row["licence"] = source.licence
    if source.permission is not None:
        row["permission"] = source.permission
    if source.terms_as_of is not None:
        row["terms_as_of"] = source.terms_as_of
    return row


def _logprobs_row(logprobs: TokenLogprobs) -> dict[str, Any]:
    row: dict[str, Any] = {"tokens": logprobs.tokens, "k": logprobs.k, "packed": _base64(logprobs.packed)}
    if not logprobs.has_ids:
        row |= {"has_ids": False, "table": [_base64(token) for token in logprobs.table]}
    return row


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _add_other(row: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if name not in EXCHANGE:
            row[name] = value
        elif name == "messages":
            row[name] = [{**extra, **turn} for turn, extra in zip(row[name], value, strict=True)]
        elif name in SECTIONS:
            row[name] = {**value, **row.get(name, {})}
        else:
            raise InputError(f"got other[{shown(name)}], which is a field of its own; set that field instead")


def _dumped_with_care(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(_cleaned(row), option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, OverflowError) as error:
        raise InputError(
            f"exchange {shown(row['id'])} cannot be stored ({error}); put only JSON values into it"
        ) from None


def _cleaned(value: Any) -> Any:
    """`value` with what orjson refuses replaced: lone surrogates, and integers beyond 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value
