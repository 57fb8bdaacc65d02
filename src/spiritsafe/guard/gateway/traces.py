"""OpenTelemetry traces of a worker: one span an exchange, made when it is over (see `gateway.spans`).

    traces = open_traces(os.environ)          # None where no OTEL_EXPORTER_OTLP_ENDPOINT is set
    traces.ended(received, ended, response)   # in the event loop: an append to a queue, or a count where it is full
    traces.close(5.0)

A thread makes the spans and sends them, so that no customer waits for a collector; what cannot be sent in time is
dropped and counted. The standard variables hold: OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES,
OTEL_SERVICE_NAME, OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER ("otlp" or "none"); those about batches (OTEL_BSP_*) do not.
What customers and models say is left out unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for it.

A span costs several times what its request does, in the same process: a busy gateway sends a sample.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import InputError
from spiritsafe.guard.gateway.spans import MOST_READ_BYTES, Span, span_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

MOST_WAITING = 8192
"""Exchanges that may wait for being sent."""

MOST_WAITING_BYTES = 32 << 20
"""Bytes of their bodies."""

BATCH = 256
"""Spans that are sent at once."""

PAUSE_S = 0.5
"""How long the thread waits before it sends what has come."""

SWITCH_S = 0.0005
"""How long the event loop waits for the thread to let go of the interpreter: a tenth of Python's own choice."""

SERVICE = "spiritsafe-guard"

Told = tuple[Mapping[str, Any], Mapping[str, Any], bytes | None, bytes | None]


class Traces:
    """Sends spans with `exporter`.

    Args:
        exporter: of the SDK.
        with_content: whether spans hold what customers and models say.
        most_waiting: exchanges that may wait.
        pause_s: see `PAUSE_S`.

    Attributes:
        with_content: the same; then `ended` should be handed the request.
        sent, dropped: spans that the exporter took; exchanges for which there was no room or that it did not take.
            Those that were not sampled are neither.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        with_content: bool = False,
        most_waiting: int = MOST_WAITING,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.with_content = with_content
        self.sent = 0
        self.dropped = 0
        self._exporter = exporter
        self._most_waiting = most_waiting
        self._pause_s = pause_s
        self._waiting: deque[Told] = deque()
        # Each is written by one thread, so that neither needs a lock.
        self._bytes_in = self._bytes_out = 0
        self._made: list[ReadableSpan] = []
        self._spans = _Spans(self._made)
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="spiritsafe-traces")
        self._thread.start()

    def ended(
        self,
        received: Mapping[str, Any],
        ended: Mapping[str, Any],
        response: bytes | None = None,
        request: bytes | None = None,
    ) -> None:
        """An exchange is over; see `spans.span_of`. Never waits."""
        if not self.with_content:
            request, response = None, response if len(response or b"") <= MOST_READ_BYTES else None
        is_full = self._bytes_in - self._bytes_out > MOST_WAITING_BYTES
        if is_full or len(self._waiting) >= self._most_waiting:
            self.dropped += 1
            return
        self._bytes_in += len(request or b"") + len(response or b"")
        self._waiting.append((received, ended, response, request))

    def close(self, patience_s: float) -> None:
        """Send what is waiting, for at most so many seconds; what is left then is dropped."""
        self._is_closing.set()
        self._thread.join(patience_s)
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def _run(self) -> None:
        while not self._is_closing.wait(self._pause_s):
            self._send_all()
        self._send_all()
        self._exporter.shutdown()

    def _send_all(self) -> None:
        while self._waiting:
            received, ended, response, request = self._waiting.popleft()
            self._bytes_out += len(request or b"") + len(response or b"")
            try:
                if self._spans.is_sampled():
                    self._spans.make(span_of(received, ended, request, response))
            except Exception:  # one odd record must not end the tracing of all others
                self.dropped += 1
            if len(self._made) >= BATCH:
                self._send()
        self._send()

    def _send(self) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        batch = self._made[:]
        self._made.clear()
        if not batch:
            return
        try:
            is_taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # whatever a collector does, the gateway goes on
            is_taken = False
        if is_taken:
            self.sent += len(batch)
        else:
            self.dropped += len(batch)


class _Spans:
    """Has the SDK make spans, sampling and limits as the environment says, and appends them to `made`."""

    def __init__(self, made: list[ReadableSpan]) -> None:
        from opentelemetry.context import Context
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import SpanKind, StatusCode

        class Keep(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                made.append(span)

        class Ids(RandomIdGenerator):
            now = 0

            def generate_trace_id(self) -> int:
                return self.now

        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE}))
        self._ids, self._random = Ids(), RandomIdGenerator()
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
        provider.add_span_processor(Keep())
        self._sampler = provider.sampler
        self._tracer = provider.get_tracer("spiritsafe.guard")
        self._sampled = Decision.RECORD_AND_SAMPLE
        self._root, self._kind, self._error = Context(), SpanKind.SERVER, StatusCode.ERROR

    def is_sampled(self) -> bool:
        """Choose the next trace's id and whether it is one: asked before a span is made, as most are not."""
        self._ids.now = self._random.generate_trace_id()
        decided = self._sampler.should_sample(self._root, self._ids.now, "", self._kind)
        return decided.decision is self._sampled

    def make(self, span: Span) -> None:
        """Make one, under the id that was chosen."""
        made = self._tracer.start_span(span.name, self._root, self._kind, span.attributes, start_time=span.start_ns)
        if span.first_byte_ns is not None:
            made.add_event("first byte", timestamp=span.first_byte_ns)
        if span.has_failed:
            made.set_status(self._error)
        made.end(span.end_ns)


def open_traces(environ: Mapping[str, str]) -> Traces | None:
    """Traces to the collector that the standard variables name; None where they name none.

    The SDK reads the variables of the process itself.

    Raises:
        InputError: they do, and the SDK is not installed.
    """
    if not is_wanted(environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise InputError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry is not installed; "
            "run  pip install 'spiritsafe[otel]'  or unset it"
        ) from None
    sys.setswitchinterval(SWITCH_S)
    asked = environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower()
    return Traces(OTLPSpanExporter(), with_content=asked in ("true", "span_only", "span_and_event"))


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces."""
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not is_off and any(environ.get(name) for name in names)
