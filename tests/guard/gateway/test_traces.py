"""A span for each exchange, by the conventions' names, that no request ever waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.guard.gateway.test_processes import served, until

from spiritsafe.guard.gateway.spans import OPERATIONS, account_hash, span_of
from spiritsafe.guard.gateway.traces import MOST_WAITING_BYTES, SERVICE, SWITCH_S, Traces, is_wanted, open_traces
from spiritsafe.models.replies import Asked, Reply, served_in_thread
from spiritsafe.wire.surfaces import SURFACES

export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="needs the extra otel")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

RECEIVED: dict[str, Any] = {
    "id": "ab" * 16,
    "at": 1_800_000_000.25,
    "account": "acme",
    "segment": "ordinary",
    "client": {"ip": "10.0.0.7", "user_agent": "curl", "email_domain": "acme.example"},
    "surface": "chat",
    "model": "gpt-5",
    "stream": True,
    "upstream": "openai",
}
ENDED: dict[str, Any] = {
    "id": "ab" * 16,
    "ended_at": 1_800_000_002.25,
    "status": 200,
    "outcome": "completed",
    "first_byte_s": 0.5,
    "last_byte_s": 2.0,
    "tokens": (11, 7),
    "dollars": 0.25,
}
REQUEST = orjson.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "a secret question"}]})
RESPONSE = orjson.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-5-2026",
        "choices": [{"index": 0, "message": {"content": "a secret answer"}, "finish_reason": "stop"}],
    }
)


def spans(*told: tuple[Any, ...], with_content: bool = False) -> Sequence[Any]:
    """The spans that the SDK's exporter gets for these calls of `ended`."""
    exporter = memory.InMemorySpanExporter()
    traces = Traces(exporter, with_content=with_content, pause_s=0.005)
    for one in told:
        traces.ended(*one)
    traces.close(10)
    assert (traces.sent, traces.dropped) == (len(told), 0)
    finished: Sequence[Any] = exporter.get_finished_spans()
    return finished


def test_a_span_has_the_name_the_times_and_the_attributes_of_the_conventions() -> None:
    [span] = spans((RECEIVED, ENDED, RESPONSE))
    found = span.attributes
    assert (span.name, span.kind.name, span.status.status_code.name) == ("chat gpt-5", "SERVER", "UNSET")
    assert span.parent is None
    assert span.start_time == 1_800_000_000_250_000_000
    assert span.end_time - span.start_time == 2_000_000_000
    assert [(event.name, event.timestamp - span.start_time) for event in span.events] == [("first byte", 500_000_000)]
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai"
    assert (found["gen_ai.request.model"], found["gen_ai.request.stream"]) == ("gpt-5", True)
    assert (found["gen_ai.response.model"], found["gen_ai.response.id"]) == ("gpt-5-2026", "chatcmpl-1")
    assert found["gen_ai.response.finish_reasons"] == ("stop",)
    assert found["gen_ai.response.time_to_first_chunk"] == 0.5
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (11, 7)
    assert found["http.response.status_code"] == 200
    assert found["spiritsafe.exchange.id"] == RECEIVED["id"]
    assert found["spiritsafe.account.hash"] == account_hash("acme")
    assert (found["spiritsafe.segment"], found["spiritsafe.upstream"]) == ("ordinary", "openai")
    assert "error.type" not in found
    assert span.resource.attributes["service.name"] == SERVICE


def test_nothing_of_what_was_said_and_nothing_of_who_asked_is_in_a_span() -> None:
    [span] = spans((RECEIVED, ENDED, RESPONSE, REQUEST))
    written = span.to_json()
    for secret in ("secret", "acme", "10.0.0.7", "curl"):
        assert secret not in written


def test_what_was_said_is_in_a_span_where_it_was_asked_for() -> None:
    [span] = spans((RECEIVED, ENDED, RESPONSE, REQUEST), with_content=True)
    asked, answered = (orjson.loads(span.attributes[f"gen_ai.{way}.messages"]) for way in ("input", "output"))
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": "a secret question"}]}]
    assert answered == [
        {"role": "assistant", "parts": [{"type": "text", "content": "a secret answer"}], "finish_reason": "stop"}
    ]


def test_a_decision_is_named_without_its_reasons() -> None:
    decision = {"id": "D-7K3F-92QX", "action": "throttle", "reasons": ["one template"], "by": "jo", "shadow": True}
    [span] = spans(({**RECEIVED, "decision": decision}, ENDED))
    assert span.attributes["spiritsafe.decision.id"] == "D-7K3F-92QX"
    assert (span.attributes["spiritsafe.decision.action"], span.attributes["spiritsafe.decision.shadow"]) == (
        "throttle",
        True,
    )
    assert "template" not in span.to_json()


@pytest.mark.parametrize(
    ("ended", "kind", "status"),
    [
        ({"outcome": "timed_out", "status": 504, "refusal": {"code": "upstream_timeout"}}, "upstream_timeout", "ERROR"),
        ({"outcome": "upstream_broke_off", "status": 200}, "upstream_broke_off", "ERROR"),
        (
            {"outcome": "refused", "status": 429, "refusal": {"code": "rate_limit_exceeded"}},
            "rate_limit_exceeded",
            "UNSET",
        ),
        ({"outcome": "customer_left", "status": 0}, "customer_left", "UNSET"),
        ({"outcome": "completed", "status": 400}, "400", "UNSET"),
    ],
)
def test_what_went_wrong_is_said_and_what_is_the_operators_trouble_is_an_error(
    ended: dict[str, Any], kind: str, status: str
) -> None:
    [span] = spans((RECEIVED, {"ended_at": 1_800_000_001.0, **ended}))
    assert (span.attributes["error.type"], span.status.status_code.name) == (kind, status)


@pytest.mark.parametrize("surface", [one.name for one in SURFACES])
def test_every_surface_has_a_span_and_those_that_generate_have_the_conventions_names(surface: str) -> None:
    received = {**RECEIVED, "surface": surface}
    span = span_of(received, ENDED)
    assert ("gen_ai.operation.name" in span.attributes) == (surface in OPERATIONS)
    assert span.name == f"{OPERATIONS.get(surface, surface)} gpt-5"


def test_a_request_that_was_refused_before_it_was_understood_has_a_span() -> None:
    received = {name: RECEIVED[name] for name in ("id", "at", "account", "segment", "client")}
    assert span_of(received, {"ended_at": RECEIVED["at"], "status": 400, "outcome": "refused"}).name == "request"


def test_a_clock_that_was_set_back_makes_no_span_that_ends_before_it_begins() -> None:
    for ended in ({**ENDED, "ended_at": 5.0}, {"ended_at": 5.0, "status": 400, "outcome": "refused"}):
        span = span_of(RECEIVED, ended)
        assert span.end_ns >= span.start_ns


@pytest.mark.parametrize("body", [b"no json", b"[3]", b'{"choices":[4,{"finish_reason":7}],"id":8}', b"null"])
def test_an_answer_that_cannot_be_read_is_passed_over(body: bytes) -> None:
    [span] = spans((RECEIVED, ENDED, body, REQUEST), with_content=True)
    assert "gen_ai.response.finish_reasons" not in span.attributes


class Stuck(export.SpanExporter):
    """A collector that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.entered = threading.Event()
        self.taken = 0

    def export(self, spans: Sequence[Any]) -> Any:
        self.entered.set()
        self.goes_on.wait(20)
        self.taken += len(spans)
        return export.SpanExportResult.SUCCESS


def test_when_the_collector_is_stuck_spans_are_dropped_and_counted_and_nobody_waits() -> None:
    exporter = Stuck()
    traces = Traces(exporter, most_waiting=10, pause_s=0.005)
    traces.ended(RECEIVED, ENDED)
    assert exporter.entered.wait(20)
    for _ in range(25):
        traces.ended(RECEIVED, ENDED)
    assert traces.dropped == 15
    exporter.goes_on.set()
    traces.close(20)
    assert (traces.sent, traces.dropped, exporter.taken) == (11, 15, 11)


def test_what_waits_is_bounded_in_bytes_too() -> None:
    exporter = Stuck()
    traces = Traces(exporter, with_content=True, pause_s=0.005)
    traces.ended(RECEIVED, ENDED)
    assert exporter.entered.wait(20)
    long = b"x" * (MOST_WAITING_BYTES // 4)
    for _ in range(8):
        traces.ended(RECEIVED, ENDED, long)
    exporter.goes_on.set()
    traces.close(20)
    assert (traces.sent, traces.dropped) == (6, 3)
    for with_content in (False, True):
        traces = Traces(memory.InMemorySpanExporter(), with_content=with_content, pause_s=0.001)
        for number in range(8):
            traces.ended(RECEIVED, ENDED, long)
            while traces.sent + traces.dropped <= number:
                time.sleep(0.001)
        traces.close(20)
        assert (traces.sent, traces.dropped) == (8, 0)


def test_what_is_left_when_time_is_up_is_counted_as_dropped() -> None:
    exporter = Stuck()
    traces = Traces(exporter, pause_s=0.005)
    traces.ended(RECEIVED, ENDED)
    assert exporter.entered.wait(20)
    traces.ended(RECEIVED, ENDED)
    traces.close(0.01)
    exporter.goes_on.set()
    assert traces.dropped == 1


class Failing(export.SpanExporter):
    """A collector that refuses, in both ways."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Sequence[Any]) -> Any:
        self.count += 1
        if self.count == 1:
            raise OSError("gone")
        return export.SpanExportResult.FAILURE


def test_what_a_collector_refuses_is_counted_as_dropped_and_the_next_is_tried() -> None:
    exporter = Failing()
    traces = Traces(exporter, pause_s=0.005)
    traces.ended(RECEIVED, ENDED)
    while exporter.count < 1:
        time.sleep(0.001)
    traces.ended(RECEIVED, ENDED)
    traces.close(20)
    assert (exporter.count, traces.sent, traces.dropped) == (2, 0, 2)


def test_a_sample_is_taken_as_the_standard_variables_say() -> None:
    code = (
        "from tests.guard.gateway.test_traces import *\n"
        "exporter = memory.InMemorySpanExporter()\n"
        "traces = Traces(exporter, pause_s=0.005)\n"
        "for _ in range(2000): traces.ended(RECEIVED, ENDED)\n"
        "traces.close(20)\n"
        "print(traces.sent, len({span.context.trace_id for span in exporter.get_finished_spans()}), traces.dropped)\n"
    )
    sampled = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **sampled, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    sent, different, dropped = map(int, done.stdout.split())
    assert 800 < sent < 1200  # nine standard deviations
    assert (different, dropped) == (sent, 0)


def test_one_odd_record_does_not_end_the_tracing_of_others() -> None:
    exporter = memory.InMemorySpanExporter()
    traces = Traces(exporter, pause_s=0.005)
    traces.ended({}, {})
    traces.ended(RECEIVED, ENDED)
    traces.close(20)
    assert (traces.sent, traces.dropped) == (1, 1)


def test_a_collector_gets_them_over_http_as_otlp() -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with served_in_thread(lambda asked: Reply(b"", headers={"content-type": "application/x-protobuf"})) as collector:
        traces = Traces(OTLPSpanExporter(endpoint=f"{collector.base_url}/traces"), pause_s=0.005)
        traces.ended(RECEIVED, ENDED, RESPONSE)
        traces.close(20)
        [got] = collector.asked
    message = ExportTraceServiceRequest.FromString(got.body)
    [span] = message.resource_spans[0].scope_spans[0].spans
    assert (span.name, traces.sent, got.path) == ("chat gpt-5", 1, "/v1/traces")


def test_a_gateway_sends_its_spans_where_the_standard_variables_say_and_counts_what_is_not_taken(
    tmp_path: Path,
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    def collect(asked: Asked) -> Reply:
        return Reply(b"", 200 if asked.number == 0 else 400, {"content-type": "application/x-protobuf"})

    with served_in_thread(collect) as collector, served_in_thread(lambda asked: "blue") as up:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.base_url}/traces",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
            "OTEL_SERVICE_NAME": "mine",
        }
        with served(up.base_url, tmp_path, environ=environ) as guard:
            status, _, identity = guard.post()
            until(lambda: len(collector.asked) == 1)
            assert guard.post()[0] == 200
            until(lambda: guard.metric("spans_dropped_total") == 1)
        got = ExportTraceServiceRequest.FromString(collector.asked[0].body).resource_spans[0]
    [span] = got.scope_spans[0].spans
    found = {one.key: one.value.string_value for one in span.attributes}
    assert (status, found["spiritsafe.exchange.id"]) == (200, identity)
    assert orjson.loads(found["gen_ai.input.messages"])[0]["parts"][0]["content"] == "hi"
    assert orjson.loads(found["gen_ai.output.messages"])[0]["parts"][0]["content"] == "blue"
    assert {one.key: one.value.string_value for one in got.resource.attributes}["service.name"] == "mine"


@pytest.mark.parametrize(
    ("environ", "is_asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(environ: dict[str, str], is_asked: bool) -> None:
    assert is_wanted(environ) == is_asked


def test_content_is_asked_for_by_the_standard_variable() -> None:
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    before = sys.getswitchinterval()
    try:
        for said, is_asked in {"": False, "false": False, "true": True, "SPAN_ONLY": True}.items():
            traces = open_traces({**where, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": said})
            assert traces is not None
            traces.close(5)
            assert traces.with_content == is_asked
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        sys.setswitchinterval(before)
    assert open_traces({}) is None


def test_a_worker_without_traces_loads_nothing_of_opentelemetry() -> None:
    code = "import spiritsafe.guard.gateway.traces, sys; print([one for one in sys.modules if 'opentelemetry' in one])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
