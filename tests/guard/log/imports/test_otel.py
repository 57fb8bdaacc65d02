"""OpenTelemetry's gen_ai spans and events into exchanges, in each of their conventions."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import json_values

from spiritsafe.exchanges.line import dumps, loads
from spiritsafe.exchanges.record import Exchange, Message, Timing, Usage
from spiritsafe.guard.log.imports.otel import read_otel
from spiritsafe.guard.log.imports.otlp import value_of
from spiritsafe.guard.log.imports.rows import BadRow, Row, rows_of

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
AT_NS = 1_764_000_000_000_000_000

SYSTEM, USER = Message("system", "Be kind."), Message("user", "2 + 2?")


def wrapped(value: Any) -> dict[str, Any]:
    """`value` as OTLP/JSON writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [wrapped(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": wrapped(value)} for key, value in attributes.items()]


BASE: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 9,
    "gen_ai.request.choice.count": 2,
    "gen_ai.request.stop_sequences": ["\n"],
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 1,
    "user.id": "jo",
}

LATEST: dict[str, Any] = {
    "gen_ai.system_instructions": [{"type": "text", "content": "Be kind."}],
    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "2 + 2?"}]}],
    "gen_ai.output.messages": [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Easy."}, {"type": "text", "content": "4"}],
            "finish_reason": "stop",
        }
    ],
}


def traces(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": pairs({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}


def span(attributes: dict[str, Any], events: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": str(AT_NS), "endTimeUnixNano": str(AT_NS + 1_500_000_000)}
    ids = {"traceId": TRACE, "spanId": SPAN, "name": "chat gpt-4o"}
    return {**ids, **times, "attributes": pairs(attributes), "events": events or [], **more}


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": list(records)}]}]}


def log_record(name: str, attributes: dict[str, Any] | None = None, body: Any = None) -> dict[str, Any]:
    ids = {"traceId": TRACE, "spanId": SPAN, "timeUnixNano": AT_NS}
    return {**ids, "eventName": name, "attributes": pairs(attributes or {}), "body": wrapped(body) if body else None}


def event(name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": str(AT_NS), "attributes": pairs(attributes)}


def found(*rows: dict[str, Any]) -> list[Any]:
    return list(read_otel(lambda: iter([Row(number, row) for number, row in enumerate(rows, 1)])))


def exchange(*rows: dict[str, Any]) -> Exchange:
    [one] = [item for item in found(*rows) if item is not None]
    assert isinstance(one, Exchange)
    return one


def test_a_span_of_the_latest_convention_is_an_exchange() -> None:
    one = exchange(traces(span(BASE | LATEST | {"gen_ai.response.time_to_first_chunk": 0.25})))

    assert (one.id, one.at, one.account) == (TRACE + SPAN, AT_NS / 1e9, "jo")
    assert one.messages == (SYSTEM, USER)
    assert (one.answer, one.reasoning, one.finish_reason) == ("4", "Easy.", "stop")
    assert (one.usage, one.timing) == (Usage(12, 1), Timing(0.25, 1.5))
    assert (one.source.endpoint, one.source.model, one.source.version) == ("openai", "gpt-4o", "gpt-4o-2024-08-06")
    assert (one.sampling.temperature, one.sampling.max_tokens, one.sampling.stop) == (0.2, 9, ("\n",))
    assert dict(one.sampling.other) == {"n": 2}
    assert one.client == {"service": "shop"}
    assert one.other == {"surface": "chat", "outcome": "completed", "span": "chat gpt-4o"}


def test_messages_may_be_json_in_a_string() -> None:
    as_text = {name: orjson.dumps(value).decode() for name, value in LATEST.items()}

    assert exchange(traces(span(BASE | as_text))).messages == (SYSTEM, USER)


CHOICE: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "4"}}

CONVERSATIONS = {
    "event in a log": [
        logs(log_record("gen_ai.client.inference.operation.details", LATEST)),
        traces(span(BASE)),
    ],
    "event in a span": [traces(span(BASE, [event("gen_ai.client.inference.operation.details", LATEST)]))],
    "message events in a log": [
        traces(span(BASE)),
        logs(
            log_record("gen_ai.system.message", {"gen_ai.system": "openai"}, {"content": "Be kind."}),
            log_record("gen_ai.user.message", {}, {"content": "2 + 2?"}),
            log_record("gen_ai.choice", {}, CHOICE),
        ),
    ],
    "message events in a span": [
        traces(
            span(
                BASE,
                [
                    event("gen_ai.system.message", {"content": "Be kind."}),
                    event("gen_ai.user.message", {"gen_ai.event.content": '{"content": "2 + 2?"}'}),
                    event("gen_ai.choice", {"gen_ai.event.content": orjson.dumps(CHOICE).decode()}),
                ],
            )
        )
    ],
    "content events": [
        traces(
            span(
                BASE,
                [
                    event(
                        "gen_ai.content.prompt",
                        {
                            "gen_ai.prompt": '[{"role": "system", "content": "Be kind."},'
                            ' {"role": "user", "content": "2 + 2?"}]'
                        },
                    ),
                    event(
                        "gen_ai.content.completion", {"gen_ai.completion": '[{"role": "assistant", "content": "4"}]'}
                    ),
                ],
            )
        )
    ],
    "indexed attributes": [
        traces(
            span(
                BASE
                | {
                    "gen_ai.prompt.1.content": "2 + 2?",
                    "gen_ai.prompt.1.role": "user",
                    "gen_ai.prompt.0.role": "system",
                    "gen_ai.prompt.0.content": "Be kind.",
                    "gen_ai.completion.0.role": "assistant",
                    "gen_ai.completion.0.content": "4",
                    "gen_ai.completion.0.finish_reason": "stop",
                }
            )
        )
    ],
}


@pytest.mark.parametrize("rows", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_what_was_said_is_found_in_every_convention(rows: list[dict[str, Any]]) -> None:
    one = exchange(*rows)

    assert one.messages == (SYSTEM, USER)
    assert (one.answer, one.finish_reason) == ("4", "stop")


def test_a_details_event_without_its_span_is_an_exchange_of_its_own() -> None:
    one = exchange(logs(log_record("gen_ai.client.inference.operation.details", BASE | LATEST)))

    assert (one.at, one.account, one.messages, one.answer) == (AT_NS / 1e9, "jo", (SYSTEM, USER), "4")


def test_calls_of_tools_and_images_are_kept_as_parts() -> None:
    call = {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 2}}
    blob = {"type": "blob", "modality": "image", "content": "aGk="}
    given = [
        {"role": "user", "parts": [{"type": "text", "content": "Look."}, blob]},
        {"role": "assistant", "parts": [call]},
        {"role": "assistant", "content": "old style", "tool_calls": [{"id": "c2"}]},
    ]
    answer = [{"role": "assistant", "parts": [call], "finish_reason": "tool_call"}]

    one = exchange(traces(span(BASE | {"gen_ai.input.messages": given, "gen_ai.output.messages": answer})))

    assert one.messages == (
        Message("user", "Look.", (blob,)),
        Message("assistant", "", (call,)),
        Message("assistant", "old style", ({"id": "c2"},)),
    )
    assert one.finish_reason == "tool_calls"


def test_further_choices_are_kept() -> None:
    second = {**CHOICE, "index": 1, "message": {"content": "four"}}
    events = [event("gen_ai.choice", {"index": 1, "message": {"content": "four"}}), event("gen_ai.choice", CHOICE)]

    one = exchange(traces(span(BASE, events)))

    assert one.answer == "4"
    assert [choice["content"] for choice in one.other["choices"]] == [second["message"]["content"]]


def test_a_span_that_failed_says_so() -> None:
    one = exchange(traces(span(BASE | {"error.type": "429", "gen_ai.response.finish_reasons": []}, status={"code": 2})))

    assert (one.finish_reason, one.other["outcome"], one.other["error"]) == ("error", "upstream_failed", "429")


def test_old_names_are_read() -> None:
    old = {
        "gen_ai.system": "anthropic",
        "gen_ai.request.model": "claude",
        "gen_ai.usage.prompt_tokens": 3,
        "gen_ai.usage.completion_tokens": 4,
    }

    one = exchange(traces(span(old)))

    assert (one.source.endpoint, one.usage, one.account) == ("anthropic", Usage(3, 4), "shop")


def test_other_spans_are_passed_over_and_other_rows_are_bad() -> None:
    others = [{"gen_ai.operation.name": "execute_tool", "gen_ai.request.model": "x"}, {"http.route": "/"}]

    came = found(
        traces(*(span(attributes) for attributes in others)),
        {"what": 1},
        logs({**log_record("other.event"), "spanId": "00"}),
    )

    assert came[:2] == [None, None]
    assert came[2] == BadRow(2, "has no resourceSpans and no resourceLogs, wanted OTLP/JSON; mend or remove it")
    assert came[3:] == [None]


def test_a_span_without_a_start_is_a_bad_row() -> None:
    [bad] = found(traces(span(BASE, startTimeUnixNano=None)))

    assert isinstance(bad, BadRow)
    assert (bad.number, bad.why) == (1, "has a span 'chat gpt-4o' without a start, wanted startTimeUnixNano; mend it")


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_values_come_back_from_their_wrapping(value: Any) -> None:
    assert value_of(wrapped(value)) == value


NAMES = [*BASE, *LATEST, "gen_ai.prompt", "gen_ai.completion", "gen_ai.prompt.0.content", "gen_ai.completion.0.role"]


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(NAMES), PLAIN | json_values().map(lambda value: orjson.dumps(value).decode())))
def test_whatever_attributes_hold_the_exchange_can_be_stored(attributes: dict[str, Any]) -> None:
    names = ["gen_ai.choice", "gen_ai.user.message", "gen_ai.content.prompt"]
    spans = [span({**BASE, **attributes}, [event(name, attributes)]) for name in names]
    for one in found(traces(*spans)):
        assert one is None or loads(dumps(one)) == one


@given(json_values(12), json_values(12))
def test_rows_of_any_shape_raise_nothing(spans: Any, records: Any) -> None:
    found({"resourceSpans": spans}, {"resourceLogs": records}, traces({"attributes": spans, "events": records}))


def test_a_file_of_the_collector_is_read(tmp_path: Path) -> None:
    rows = CONVERSATIONS["message events in a log"]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))

    [one] = list(read_otel(lambda: rows_of(tmp_path / "log.jsonl")))

    assert isinstance(one, Exchange)
    assert one.messages == (SYSTEM, USER)
