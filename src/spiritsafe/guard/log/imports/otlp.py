"""OTLP/JSON: what OpenTelemetry's protocol looks like as JSON, as the Collector's file exporter writes it.

Source: opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding": ids are hex, 64-bit numbers may be strings, values
are wrapped (`{"stringValue": ...}`), names are in lower camel case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spiritsafe.wire.shapes import dict_of, list_of, text_of

ERROR_CODES = (2, "STATUS_CODE_ERROR")


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a span, or a log record that belongs to one.

    Attributes:
        name: of the event.
        attributes: its attributes, and the members of its body where that is an object.
        at: unix seconds; None where it is not said.
    """

    name: str
    attributes: Mapping[str, Any]
    at: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """One span.

    Attributes:
        key: trace and span id.
        attributes: its own; `resource`: those of what it was recorded by.
        starts, ends: unix seconds; None where it is not said.
        has_failed: its status is an error.
        events: its own, in their order.
    """

    key: tuple[str, str]
    name: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    starts: float | None
    ends: float | None
    has_failed: bool
    events: tuple[Event, ...]


def is_otlp(row: Mapping[str, Any]) -> bool:
    """Whether `row` holds spans or log records."""
    return "resourceSpans" in row or "resourceLogs" in row


def spans_in(row: Mapping[str, Any]) -> Iterator[Span]:
    """The spans of a `TracesData`."""
    for resource, span in _items(row, "resourceSpans", "scopeSpans", "spans"):
        yield Span(
            _key(span),
            text_of(span.get("name")) or "",
            attributes_of(span),
            resource,
            _seconds(span.get("startTimeUnixNano")),
            _seconds(span.get("endTimeUnixNano")),
            dict_of(span.get("status")).get("code") in ERROR_CODES,
            tuple(_event(dict_of(event)) for event in list_of(span.get("events"))),
        )


def logs_in(row: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Event, Mapping[str, Any]]]:
    """The log records of a `LogsData` that are events: (the span each belongs to, the event, its resource)."""
    for resource, record in _items(row, "resourceLogs", "scopeLogs", "logRecords"):
        event = _event(record)
        if event.name:
            yield _key(record), event, resource


def _items(
    row: Mapping[str, Any], outer: str, middle: str, inner: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for of_resource in map(dict_of, list_of(row.get(outer))):
        resource = attributes_of(dict_of(of_resource.get("resource")))
        for scope in map(dict_of, list_of(of_resource.get(middle))):
            for item in map(dict_of, list_of(scope.get(inner))):
                yield resource, item


def _event(event: Mapping[str, Any]) -> Event:
    attributes = attributes_of(event)
    body = value_of(event.get("body"))
    name = event.get("eventName") or event.get("name") or attributes.get("event.name")
    at = _seconds(event.get("timeUnixNano")) or _seconds(event.get("observedTimeUnixNano"))
    return Event(text_of(name) or "", attributes | (body if isinstance(body, dict) else {}), at)


def attributes_of(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span, an event or a resource."""
    return _pairs(holder.get("attributes"))


def _pairs(pairs: object) -> dict[str, Any]:
    return {str(pair.get("key")): value_of(pair.get("value")) for pair in map(dict_of, list_of(pairs))}


def value_of(value: object) -> Any:
    """The plain value in an `AnyValue`."""
    for kind, inner in dict_of(value).items():
        if kind == "arrayValue":
            return [value_of(item) for item in list_of(dict_of(inner).get("values"))]
        if kind == "kvlistValue":
            return _pairs(dict_of(inner).get("values"))
        if kind == "intValue":
            return _whole(inner)
        if kind in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
            return inner
    return None


def _whole(value: object) -> Any:
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return text_of(item.get("traceId")) or "", text_of(item.get("spanId")) or ""


def _seconds(value: object) -> float | None:
    nanoseconds = _whole(value)
    is_number = isinstance(nanoseconds, int | float) and not isinstance(nanoseconds, bool)
    return nanoseconds / 1e9 if is_number and nanoseconds > 0 else None
