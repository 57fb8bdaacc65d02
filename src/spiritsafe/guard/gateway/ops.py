"""/healthz, /readyz and /metrics (Prometheus text) of a whole gateway, on an address that customers do not reach."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from spiritsafe.errors import InputError
from spiritsafe.guard.gateway.counters import read_counters
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.watching import SCOPES, watch_numbers
from spiritsafe.guard.settings import Settings

GAUGES = {
    "connections_open": "Customers' connections that are open.",
    "requests_open": "Requests that are being answered.",
    "log_waiting_bytes": "What the log has not written yet.",
    "log_failing": "1 while the disk takes nothing.",
    "redis_failing": "1 while Redis is not reached; limits hold for each gateway alone then.",
    "ready": "1 while new requests are taken.",
}
COUNTERS = {
    "connections": "Customers' connections.",
    "requests": "Requests with a known key.",
    "unauthorised": "Requests without one.",
    "malformed": "What was not HTTP, or could be read in two ways.",
    "records_durable": "Exchanges on disk; with the open, the waiting and the dropped ones as many as requests.",
    "records_dropped": "Exchanges whose record the disk never took. Anything but 0 is an alarm.",
    "bytes_in": "Bytes from customers.",
    "tokens_in": "Tokens of prompts.",
    "tokens_out": "Tokens of answers.",
    "would_act": "Requests on which shadow mode would have acted.",
    "handles_replayed": "Reasoning handles brought to where they were not issued.",
    "spans_dropped": "Exchanges whose trace was lost: the collector did not take it in time.",
}
OUTCOMES = ("completed", "refused", "customer_left", "upstream_failed", "upstream_broke_off", "timed_out", "shut_down")
ACTIONS = ("block", "challenge", "throttle", "strip", "mark")


def metrics(path: Path, workers: int) -> str:
    """All numbers as Prometheus reads them, added up over the workers."""
    sums = {name: sum(values) for name, values in read_counters(path, workers)}
    return "".join(f"{line}\n" for line in _lines(sums))


def _lines(sums: dict[str, int]) -> Iterator[str]:
    for name, meaning in GAUGES.items():
        yield from _head(f"spiritsafe_{name}", "gauge", meaning)
        yield f"spiritsafe_{name} {sums[name]}"
    for name, meaning in COUNTERS.items():
        yield from _head(f"spiritsafe_{name}_total", "counter", meaning)
        yield f"spiritsafe_{name}_total {sums[name]}"
    yield from _head("spiritsafe_outcomes_total", "counter", "Requests by how they ended.")
    for name in OUTCOMES:
        yield f'spiritsafe_outcomes_total{{outcome="{name}"}} {sums[name]}'
    yield from _head("spiritsafe_decisions_total", "counter", "Requests on which a decision acted.")
    for name in ACTIONS:
        yield f'spiritsafe_decisions_total{{action="{name}"}} {sums["acted_" + name]}'


def watch_metrics(path: Path, is_up: bool, now_s: float) -> str:
    """The watch's numbers as Prometheus reads them.

    Args:
        path: of the file it writes them to.
        is_up: whether it runs.
        now_s: unix seconds.
    """
    return "".join(f"{line}\n" for line in _watch_lines(watch_numbers(path), is_up, now_s))


def _watch_lines(numbers: dict[str, int], is_up: bool, now_s: float) -> Iterator[str]:
    behind_s = max(0.0, now_s - numbers["read_ms"] / 1000)
    for name, kind, meaning, value in (
        ("watch_up", "gauge", "1 while the watch runs.", str(int(is_up))),
        ("watch_behind_seconds", "gauge", "Since the watch had read all of the log.", f"{behind_s:.3f}"),
        ("watch_waiting", "gauge", "Exchanges read whose ten minutes are not over.", str(numbers["waiting"])),
        ("watch_exchanges_total", "counter", "Exchanges the watch has weighed.", str(numbers["exchanges"])),
    ):
        yield from _head(f"spiritsafe_{name}", kind, meaning)
        yield f"spiritsafe_{name} {value}"
    yield from _head("spiritsafe_watch_alarms_total", "counter", "Alarms by what they are about.")
    for scope in SCOPES:
        yield f'spiritsafe_watch_alarms_total{{scope="{scope}"}} {numbers["alarms_" + scope]}'


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


class Ops:
    """Answers on the operators' address while the block lasts.

    Args:
        settings: with the address, and the number of workers.
        is_ready: whether new requests are taken.
        is_watching: whether the watch runs, where there is one.
    """

    def __init__(self, settings: Settings, is_ready: Callable[[], bool], is_watching: Callable[[], bool]) -> None:
        given = {"settings": settings, "is_ready": is_ready, "is_watching": is_watching}
        handler = type("Handler", (_Handler,), given)
        try:
            self._server = ThreadingHTTPServer((settings.ops_host, settings.ops_port), handler)
        except OSError as error:
            raise InputError(
                f"cannot listen on {settings.ops_host}:{settings.ops_port}: {error.strerror}; choose another address"
            ) from None
        self._server.daemon_threads = True
        self.url = f"http://{settings.ops_host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="spiritsafe-ops")

    def __enter__(self) -> Ops:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    settings: Settings
    is_ready: Callable[[], bool]
    is_watching: Callable[[], bool]
    protocol_version = "HTTP/1.1"
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        if self.path == "/metrics":
            self._answer(200, self._metrics())
        elif self.path == "/healthz":
            self._answer(200, "ok\n")
        elif self.path == "/readyz":
            is_ready = type(self).is_ready()
            self._answer(200 if is_ready else 503, "ready\n" if is_ready else "not ready\n")
        else:
            self._answer(404, "wanted /healthz, /readyz or /metrics\n")

    def _metrics(self) -> str:
        folder = GuardFolder(self.settings.folder)
        text = metrics(folder.counters, self.settings.workers)
        if self.settings.watch.reference:
            text += watch_metrics(folder.watch, type(self).is_watching(), time.time())
        return text

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base class gives it
        """Say nothing: a probe every few seconds is no news."""
