"""What a trace says of an exchange, from what its record says: name, times, attributes. Pure.

The names are those of the semantic conventions for generative AI, and `spiritsafe.*` for what they have none for. An
account is named by a hash: those who read traces are more than those who read the log.

Source: github.com/open-telemetry/semantic-conventions-genai, gen-ai-spans.md (all of it in development, Nov 2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from spiritsafe.errors import SpiritSafeError
from spiritsafe.exchanges.record import Request
from spiritsafe.wire.base import Answer
from spiritsafe.wire.shapes import dict_of, list_of, text_of
from spiritsafe.wire.surfaces import SURFACES, Surface

OPERATIONS = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""By surface: the conventions' word for what is done."""

MOST_READ_BYTES = 256 << 10
"""A longer answer is not read for its model and finish reasons."""

FAILED = ("upstream_failed", "upstream_broke_off", "timed_out", "shut_down")
"""Outcomes that are the operator's trouble."""

Value = str | bool | int | float | Sequence[str]

_SURFACES: dict[str, Surface] = {one.name: one for one in SURFACES if one.reader is not None}


@dataclass(frozen=True, slots=True)
class Span:
    """One exchange as a span.

    Attributes:
        name: such as "chat gpt-5".
        start_ns, end_ns: unix nanoseconds.
        first_byte_ns: when the answer began; None where it never did.
        attributes: by the conventions' names.
        has_failed: whether an operator should look at it.
    """

    name: str
    start_ns: int
    end_ns: int
    first_byte_ns: int | None
    attributes: dict[str, Value]
    has_failed: bool


def span_of(
    received: Mapping[str, Any],
    ended: Mapping[str, Any],
    request: bytes | None = None,
    response: bytes | None = None,
) -> Span:
    """The span of an exchange.

    Args:
        received, ended: the fields of its record, bodies left out.
        request, response: its bodies, where the span shall hold what was said; a response alone is read for its model,
            id and finish reasons only.
    """
    surface, model = str(received.get("surface", "")), str(received.get("model", ""))
    operation = OPERATIONS.get(surface)
    start_ns, last_s, first_s = _ns(received["at"]), ended.get("last_byte_s"), ended.get("first_byte_s")
    # Of two readings of a clock that was set back the difference would be negative; what was measured never is.
    length_s = last_s if last_s is not None else max(float(ended["ended_at"]) - float(received["at"]), 0.0)
    attributes: dict[str, Value] = {
        **_asked(received, operation),
        **_came_of_it(ended),
        **_decided(ended.get("decision") or received.get("decision")),
        **_said(surface, request, response),
    }
    if received.get("stream") and first_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = first_s
    return Span(
        f"{operation or surface or 'request'} {model}".rstrip(),
        start_ns,
        start_ns + _ns(length_s),
        None if first_s is None else start_ns + _ns(first_s),
        attributes,
        ended.get("outcome") in FAILED,
    )


def account_hash(name: str) -> str:
    """What traces call the account of that name."""
    return sha256(name.encode()).hexdigest()[:16]


def _ns(seconds: float) -> int:
    """In whole microseconds: unix time as a float is no finer."""
    return round(seconds * 1e6) * 1000


def _asked(received: Mapping[str, Any], operation: str | None) -> dict[str, Value]:
    found: dict[str, Value] = {
        "spiritsafe.exchange.id": str(received.get("id", "")),
        "spiritsafe.account.hash": account_hash(str(received.get("account", ""))),
        "spiritsafe.segment": str(received.get("segment", "")),
        "spiritsafe.surface": str(received.get("surface", "")),
    }
    if received.get("upstream"):
        found["spiritsafe.upstream"] = str(received["upstream"])
    if operation is not None:
        found["gen_ai.operation.name"] = operation
        found["gen_ai.provider.name"] = _SURFACES[str(received["surface"])].api
        found["gen_ai.request.model"] = str(received.get("model", ""))
        found["gen_ai.request.stream"] = bool(received.get("stream"))
    return found


def _came_of_it(ended: Mapping[str, Any]) -> dict[str, Value]:
    status, outcome = int(ended.get("status") or 0), str(ended.get("outcome", ""))
    found: dict[str, Value] = {"spiritsafe.outcome": outcome}
    if status:
        found["http.response.status_code"] = status
    if outcome != "completed":
        found["error.type"] = str(dict_of(ended.get("refusal")).get("code") or outcome)
    elif status >= 400:
        found["error.type"] = str(status)
    if ended.get("tokens"):
        read, written = ended["tokens"]
        found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"] = read or 0, written or 0
    if ended.get("dollars") is not None:
        found["spiritsafe.dollars"] = float(ended["dollars"])
    return found


def _decided(decision: Mapping[str, Any] | None) -> dict[str, Value]:
    if not decision:
        return {}
    return {
        "spiritsafe.decision.id": str(decision["id"]),
        "spiritsafe.decision.action": str(decision["action"]),
        "spiritsafe.decision.shadow": bool(decision["shadow"]),
    }


def _said(name: str, request: bytes | None, response: bytes | None) -> dict[str, Value]:
    surface = _SURFACES.get(name)
    found: dict[str, Value] = {}
    if surface is None or surface.reader is None:
        return found
    if response is not None and len(response) <= MOST_READ_BYTES:
        found |= _answered(response)
    if request is not None:
        try:
            found["gen_ai.input.messages"] = _messages(surface.reader.read(request)[1])
            if response is not None:
                found["gen_ai.output.messages"] = _answer(surface.reader.parse(response))
        except SpiritSafeError:
            pass
    return found


def _answered(response: bytes) -> dict[str, Value]:
    """Model, id and finish reasons, at the places where the formats have them."""
    try:
        body = dict_of(orjson.loads(response))
    except orjson.JSONDecodeError:
        return {}
    found: dict[str, Value] = {}
    if model := text_of(body.get("model")):
        found["gen_ai.response.model"] = model
    if identity := text_of(body.get("id")):
        found["gen_ai.response.id"] = identity
    reasons = [dict_of(choice).get("finish_reason") for choice in list_of(body.get("choices"))]
    whole = body.get("status") if body.get("object") == "response" else body.get("stop_reason")
    if said := [reason for reason in (*reasons, whole) if isinstance(reason, str)]:
        found["gen_ai.response.finish_reasons"] = said
    return found


def _messages(request: Request) -> str:
    return _written([{"role": one.role, "parts": _text(one.content)} for one in request.messages])


def _answer(answer: Answer) -> str:
    thought = [] if answer.reasoning is None else [{"type": "reasoning", "content": answer.reasoning}]
    parts = [*thought, *_text(answer.text)]
    return _written([{"role": "assistant", "parts": parts, "finish_reason": answer.finish_reason}])


def _text(content: str) -> list[dict[str, str]]:
    return [{"type": "text", "content": content}]


def _written(messages: list[dict[str, Any]]) -> str:
    return orjson.dumps(messages).decode()
