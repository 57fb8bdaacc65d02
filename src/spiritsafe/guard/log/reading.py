"""From a record of the log to the exchange that it tells of.

A body that its dialect's reader cannot read is no reason to lose the exchange: the messages are empty then, and the
body is kept in `other`. So is what the record says beyond an exchange: surface, outcome, status, decision, refusal,
upstream, stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Exchange, Message, Request, Source, Timing, Usage
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
    fields = record.fields
    surface = text_of(fields.get("surface")) or ""
    dialect, reader = READERS.get(surface, (surface, None))
    other = _facts(record)
    asked, request = _request(reader, record.request, other)
    answer = _answer(reader, record.response, fields, other)
    first_byte_s, last_byte_s = amount_of(fields.get("first_byte_s")), amount_of(fields.get("last_byte_s"))
    return Exchange(
        id=record.id,
        at=amount_of(fields.get("at", fields.get("ended_at"))) or 0.0,
        dialect=dialect,
        messages=request.messages,
        sampling=request.sampling,
        answer=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason,
        usage=_usage(answer.usage, list_of(fields.get("tokens"))),
        timing=Timing(first_byte_s, last_byte_s),
        logprobs=answer.logprobs,
        source=Source(
            text_of(fields.get("upstream")) or "",
            text_of(fields.get("model")) or asked,
            answer.version,
            answer.fingerprint,
        ),
        dollars=_dollars(amount_of(fields.get("dollars")), answer.dollars),
        account=text_of(fields.get("account")) or "",
        segment=text_of(fields.get("segment")) or "",
        client=dict_of(fields.get("client")),
        other=other,
    )


def _facts(record: Record) -> dict[str, Any]:
    fields = record.fields
    other = {name: fields[name] for name in FACTS if fields.get(name) is not None}
    if record.kind == "received":
        other["outcome"] = UNFINISHED
    if unknown := {name: value for name, value in fields.items() if name not in _KNOWN}:
        other["record"] = unknown
    return other


def _request(reader: Reader | None, body: bytes | None, other: dict[str, Any]) -> tuple[str, Request]:
    """(model, request) in `body`; what cannot be read goes into `other`."""
    if body is None:
        return "", _NO_REQUEST
    if reader is not None:
        try:
            model, request = reader.read(body)
            return model, _with_whole_parts(request)
        except InputError:
            pass
    other["request"] = _kept(body)
    return "", _NO_REQUEST


def _with_whole_parts(request: Request) -> Request:
    """`request` without message parts that are no JSON objects: an exchange's line can hold none."""
    if all(type(part) is dict for message in request.messages for part in message.parts):
        return request
    messages = [
        Message(message.role, message.content, tuple(part for part in message.parts if type(part) is dict))
        for message in request.messages
    ]
    return Request(tuple(messages), request.sampling, request.sample)


def _answer(reader: Reader | None, body: bytes | None, fields: Mapping[str, Any], other: dict[str, Any]) -> Answer:
    if body is None:
        return _NO_ANSWER
    status = fields.get("status")
    if reader is not None and (status is None or status == _OK):
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
