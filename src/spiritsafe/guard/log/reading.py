"""From a record of the log to the exchange that it tells of.

A body that its dialect's reader cannot read is no reason to lose the exchange: the messages are empty then, and the
body is kept in `other`. So is what the record says beyond an exchange: surface, outcome, status, decision, refusal,
upstream, stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import orjson

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling, Source, Timing, Usage
from spiritsafe.guard.log.records import UNFINISHED, Record, record_of
from spiritsafe.wire.base import Answer
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, list_of, text_of
from spiritsafe.wire.surfaces import SURFACES, Reader

READERS: Mapping[str, tuple[str, Reader | None]] = {one.name: (one.dialect, one.reader) for one in SURFACES}
"""By surface: the dialect's word in the record, and who reads its bodies."""

FACTS = ("surface", "outcome", "status", "decision", "refusal", "upstream", "stream", "ended_at", "response_text")
"""What of the record's fields goes into `Exchange.other` under its own name."""

_KNOWN = frozenset(
    ("id", "at", "account", "segment", "model", "client", "tokens", "dollars", "first_byte_s", "last_byte_s", *FACTS)
)
_SAMPLING = frozenset(field.name for field in fields(Sampling)) - {"other"}
_OK = 200
_NO_REQUEST = Request(())
_NO_ANSWER = Answer("", finish_reason="error")


def exchange_of(row: Mapping[str, Any]) -> Exchange:
    """The exchange that a decoded record tells of; one without an end has the finish reason "error".

    Raises:
        InputError: `row` is nothing that `records.decode` gave.
    """
    return exchange_from(record_of(row))


def exchange_from(record: Record) -> Exchange:
    """The exchange that `record` tells of. Never raises, whatever the fields and bodies are."""
    told = record.fields
    surface = text_of(told.get("surface")) or ""
    dialect, reader = READERS.get(surface, (surface, None))
    other = _facts(record)
    asked, request = _request(reader, record.request, other)
    answer = _answer(reader, record.response, other)
    first_byte_s, last_byte_s = amount_of(told.get("first_byte_s")), amount_of(told.get("last_byte_s"))
    return Exchange(
        id=record.id,
        at=amount_of(told.get("at", told.get("ended_at"))) or 0.0,
        dialect=dialect,
        messages=request.messages,
        sampling=request.sampling,
        answer=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason,
        usage=_usage(answer.usage, list_of(told.get("tokens"))),
        timing=Timing(first_byte_s, last_byte_s),
        logprobs=answer.logprobs,
        source=Source(
            text_of(told.get("upstream")) or "",
            text_of(told.get("model")) or asked,
            answer.version,
            answer.fingerprint,
        ),
        dollars=_dollars(amount_of(told.get("dollars")), answer.dollars),
        account=text_of(told.get("account")) or "",
        segment=text_of(told.get("segment")) or "",
        client=dict_of(told.get("client")),
        other=other,
    )


def _facts(record: Record) -> dict[str, Any]:
    told = record.fields
    other = {name: told[name] for name in FACTS if told.get(name) is not None}
    if record.kind == "received":
        other["outcome"] = UNFINISHED
    if unknown := {name: value for name, value in told.items() if name not in _KNOWN}:
        other["record"] = unknown
    return other


def _request(reader: Reader | None, body: bytes | None, other: dict[str, Any]) -> tuple[str, Request]:
    """(model, request) in `body`; what cannot be read goes into `other`."""
    if body is None:
        return "", _NO_REQUEST
    if reader is not None:
        try:
            model, request = reader.read(body)
            return model, _storable(request, other)
        except InputError:
            pass
    other["request"] = _kept(body)
    return "", _NO_REQUEST


def _storable(request: Request, other: dict[str, Any]) -> Request:
    """`request` without what an exchange's line cannot hold.

    That is, message parts that are no JSON objects; and fields that its dialect does not know, by a name that is
    another dialect's: these are kept in `other`.
    """
    messages, sampling = request.messages, request.sampling
    if not all(type(part) is dict for message in messages for part in message.parts):
        messages = tuple(Message(one.role, one.content, tuple(filter(_is_object, one.parts))) for one in messages)
    if clashing := {name: value for name, value in sampling.other if name in _SAMPLING}:
        other["sampling_fields"] = clashing
        sampling = replace(sampling, other=tuple(pair for pair in sampling.other if pair[0] not in clashing))
    return Request(messages, sampling, request.sample)


def _is_object(part: object) -> bool:
    return type(part) is dict


def _answer(reader: Reader | None, body: bytes | None, other: dict[str, Any]) -> Answer:
    if body is None:
        return _NO_ANSWER
    if reader is not None and other.get("status", _OK) == _OK:
        try:
            answer = reader.parse(body)
        except UpstreamError:
            pass
        else:
            _keep_further_choices(body, other)
            return answer
    other["response"] = _kept(body)
    return _NO_ANSWER


def _keep_further_choices(body: bytes, other: dict[str, Any]) -> None:
    """Of several choices the first is the answer; the others are kept as they came."""
    if b'"index":1' in body or b'"index": 1' in body:
        choices = list_of(dict_of(orjson.loads(body)).get("choices"))
        if len(choices) > 1:
            other["choices"] = choices[1:]


def _kept(body: bytes) -> Any:
    """The JSON value in `body`; its text where it is no JSON, or nested too deeply to be written again."""
    try:
        value = orjson.loads(body)
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return body.decode("utf-8", "replace")
    return value


def _usage(usage: Usage, tokens: list[Any]) -> Usage:
    """What the answer says of tokens; the record's own count where it says nothing."""
    if usage != Usage() or len(tokens) != 2:
        return usage
    return Usage(count_of(tokens[0]), count_of(tokens[1]))


def _dollars(counted: float | None, said: float | None) -> float | None:
    return said if counted is None else counted
