"""OpenTelemetry's `gen_ai.*` spans and events, as OTLP/JSON.

Source: open-telemetry/semantic-conventions-genai, all "Development" (schema gen-ai/1.42.0, 2026), and what came before
it. The conversation is taken from the first of these that a span has:

    gen_ai.input.messages, gen_ai.output.messages, gen_ai.system_instructions     on the span, structured or as JSON
    event gen_ai.client.inference.operation.details, with the same attributes     since 1.37
    events gen_ai.{system,user,assistant,tool}.message and gen_ai.choice          1.28 to 1.36, on the span or in logs
    events gen_ai.content.prompt and gen_ai.content.completion                    1.27 and before
    gen_ai.prompt.N.role, .content and gen_ai.completion.N.content                OpenLLMetry

Log records are joined to their span by trace and span id, in whichever order a file has them; a details event whose
span is not in the file is an exchange of its own. Spans of tools, agents and workflows are passed over: what models
were asked in them has spans of its own.

The account is the first of `ACCOUNT` that the span or its resource has.

Limits: a file is read twice, and the events of its log records are held in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from spiritsafe.errors import shown
from spiritsafe.exchanges.record import Exchange, Sampling, Source, Timing, Usage
from spiritsafe.guard.log.imports.otel_talk import talk_of
from spiritsafe.guard.log.imports.otlp import Event, Span, is_otlp, logs_in, spans_in
from spiritsafe.guard.log.imports.rows import BadRow, Found, Rows
from spiritsafe.wire.shapes import amount_of, count_of, list_of, text_of, whole_of

ACCOUNT = ("guard.account", "guard.account.hash", "enduser.id", "user.id", "service.name")

OPERATIONS = ("chat", "text_completion", "generate_content", "embeddings")
"""What `gen_ai.operation.name` says of calls to a model."""

DETAILS = "gen_ai.client.inference.operation.details"

CLIENT = {
    "ip": "client.address",
    "user_agent": "user_agent.original",
    "org": "organization.id",
    "session": "session.id",
    "conversation": "gen_ai.conversation.id",
    "service": "service.name",
}

_SAMPLING = ("frequency_penalty", "presence_penalty", "top_k")


def read_otel(rows: Rows) -> Iterator[Found]:
    """The exchanges of each row's spans."""
    events: dict[tuple[str, str], list[Event]] = defaultdict(list)
    places: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    for row in rows():
        if not isinstance(row, BadRow):
            for key, event, resource in logs_in(row.value):
                events[key].append(event)
                places[key] = (row.number, resource)
    for row in rows():
        if isinstance(row, BadRow):
            yield row
        elif not is_otlp(row.value):
            yield BadRow(row.number, "has no resourceSpans and no resourceLogs, wanted OTLP/JSON; mend or remove it")
        else:
            for span in spans_in(row.value):
                yield _found(row.number, span, (*span.events, *events.pop(span.key, ())))
    for key, left in events.items():
        yield from _without_span(key, left, *places[key])


def _without_span(
    key: tuple[str, str], events: list[Event], number: int, resource: Mapping[str, Any]
) -> Iterator[Found]:
    for event in events:
        span = Span(key, event.name, event.attributes, resource, event.at, None, False, (event,))
        yield _found(number, span, span.events) if event.name == DETAILS else None


def _found(number: int, span: Span, events: tuple[Event, ...]) -> Found:
    """What `span`, of the row `number`, tells of."""
    details = {name: value for event in events if event.name == DETAILS for name, value in event.attributes.items()}
    attributes = {**details, **span.attributes}
    if not _is_call(attributes):
        return None
    if span.starts is None:
        return BadRow(number, f"has a span {shown(span.name)} without a start, wanted startTimeUnixNano; mend it")
    return _exchange(span, span.starts, attributes, events)


def _exchange(span: Span, at: float, attributes: Mapping[str, Any], events: tuple[Event, ...]) -> Exchange:
    talk = talk_of(attributes, events)
    has_failed = span.has_failed or "error.type" in attributes
    operation = text_of(attributes.get("gen_ai.operation.name")) or "chat"
    other: dict[str, Any] = {
        "surface": operation,
        "outcome": "upstream_failed" if has_failed else "completed",
        "span": span.name,
    }
    if has_failed:
        other["error"] = attributes.get("error.type")
    if len(talk.choices) > 1:
        other["choices"] = list(talk.choices[1:])
    reasons = list_of(attributes.get("gen_ai.response.finish_reasons"))
    return Exchange(
        id="".join(span.key),
        at=at,
        dialect="otel",
        messages=talk.messages,
        sampling=_sampling(attributes),
        answer=talk.answer,
        reasoning=talk.reasoning,
        finish_reason=talk.finish_reason or _reason(reasons, has_failed=has_failed),
        usage=_usage(attributes),
        timing=_timing(span, attributes),
        source=_source(attributes),
        account=next((str(value) for name in ACCOUNT if (value := _either(span, attributes, name))), ""),
        client={name: value for name, key in CLIENT.items() if (value := _either(span, attributes, key))},
        other={name: value for name, value in other.items() if value is not None},
    )


def _is_call(attributes: Mapping[str, Any]) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None:
        return operation in OPERATIONS
    return "gen_ai.request.model" in attributes or "gen_ai.response.model" in attributes


def _either(span: Span, attributes: Mapping[str, Any], name: str) -> Any:
    return attributes.get(name) or span.resource.get(name)


def _reason(reasons: list[Any], *, has_failed: bool) -> str:
    said = str(reasons[0]) if reasons else ""
    return {"tool_call": "tool_calls"}.get(said, said) or ("error" if has_failed else "unknown")


def _sampling(attributes: Mapping[str, Any]) -> Sampling:
    def asked(name: str) -> Any:
        return attributes.get(f"gen_ai.request.{name}")

    other = {name: asked(name) for name in _SAMPLING}
    other |= {"n": asked("choice.count"), "stream": asked("stream"), "tools": attributes.get("gen_ai.tool.definitions")}
    return Sampling(
        amount_of(asked("temperature")),
        amount_of(asked("top_p")),
        count_of(asked("max_tokens")),
        whole_of(asked("seed")),
        tuple(stop for stop in list_of(asked("stop_sequences")) if isinstance(stop, str)),
        None,
        tuple(sorted((name, value) for name, value in other.items() if value is not None)),
    )


def _usage(attributes: Mapping[str, Any]) -> Usage:
    def counted(*names: str) -> int | None:
        return next(
            (count for name in names if (count := count_of(attributes.get(f"gen_ai.usage.{name}"))) is not None), None
        )

    return Usage(
        counted("input_tokens", "prompt_tokens"),
        counted("output_tokens", "completion_tokens"),
        counted("reasoning.output_tokens"),
        counted("cache_read.input_tokens", "cache_read_input_tokens"),
    )


def _timing(span: Span, attributes: Mapping[str, Any]) -> Timing:
    first = attributes.get("gen_ai.response.time_to_first_chunk", attributes.get("gen_ai.server.time_to_first_token"))
    lasted = None if span.ends is None or span.starts is None else max(span.ends - span.starts, 0.0)
    return Timing(amount_of(first), lasted)


def _source(attributes: Mapping[str, Any]) -> Source:
    provider = attributes.get("gen_ai.provider.name", attributes.get("gen_ai.system"))
    model = text_of(attributes.get("gen_ai.request.model")) or text_of(attributes.get("gen_ai.response.model"))
    return Source(text_of(provider) or "", model or "", text_of(attributes.get("gen_ai.response.model")))
