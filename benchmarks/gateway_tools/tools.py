"""The fake model and the load generator of this folder, compiled on first use, and how to run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EVENTS = 101
"""Server-sent events of a stream: a hundred tokens and the end; [DONE] is not counted."""

PLAIN_BYTES = 1075
"""The body of an answer that is no stream."""

MARK = " token99"
"""The last word of every answer."""

Report = dict[str, Any]


def first_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def compiled(name: str, cache: Path) -> Path:
    """The binary of NAME.c."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("no C compiler (cc, gcc, clang): install one, e.g. apt-get install gcc libc6-dev")
    binary, source = cache / f"gateway-{name}", HERE / f"{name}.c"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(binary), str(source)], check=True)
    return binary


@contextmanager
def upstream(cache: Path) -> Iterator[int]:
    """The fake model for as long as the context lasts, on the last core; gives its port."""
    command = [str(compiled("upstream", cache)), str(EVENTS - 1)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=last_core)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.communicate()


@dataclass(frozen=True)
class Load:
    """What is asked, how often, and what must come back; load.c says what the fields mean."""

    connections: int
    seconds: float
    rate: float = 0.0
    count: int = 0
    ramp_s: float = 0.0
    pace_us: int | None = None  # None: no stream
    is_exact: bool = True  # a plain answer must have the bytes that the fake model sent, no other number of them


@dataclass(frozen=True)
class Target:
    """Where requests go: the fake model itself or a gateway in front of it."""

    name: str
    port: int
    key: str = "none"
    headers: dict[str, str] = field(default_factory=dict)


def request(target: Target, pace_us: int | None) -> bytes:
    """A chat request with a prompt of 200 bytes, as it goes over the wire."""
    prompt = ("the spirit runs from the still into the locked safe, " * 4)[:200]
    system = {"role": "system", "content": "You are a helpful assistant."}
    body: dict[str, Any] = {"model": "plain" if pace_us is None else f"paced-{pace_us}"}
    body |= {"messages": [system, {"role": "user", "content": prompt}], "temperature": 0.7, "max_tokens": 256}
    if pace_us is not None:
        body["stream"] = True
    data = json.dumps(body, separators=(",", ":")).encode()
    headers = {
        "Host": f"127.0.0.1:{target.port}",
        "Authorization": f"Bearer {target.key}",
        "Content-Type": "application/json",
        "Accept": "application/json" if pace_us is None else "text/event-stream",
        "User-Agent": "OpenAI/Python 3.51.0",
        **target.headers,
        "Content-Length": str(len(data)),
    }
    lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def run(load: Load, target: Target, cache: Path) -> Report:
    """The load generator's report; `wrong` and `failed` must be 0 in it for the rest to mean anything."""
    is_plain = load.pace_us is None
    length, events = (PLAIN_BYTES if load.is_exact else 0, 0) if is_plain else (0, EVENTS)
    options = (target.port, load.connections, load.rate, load.seconds, load.count, load.ramp_s, MARK, length, events)
    done = subprocess.run(
        [str(compiled("load", cache)), *map(str, options)],
        input=request(target, load.pace_us),
        capture_output=True,
        preexec_fn=last_core,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{target.name}: {done.stderr.decode(errors='replace').strip()}")
    report: Report = json.loads(done.stdout)
    if report["wrong"] or report["failed"]:
        print(f"  {target.name}: {report['wrong']} wrong, {report['failed']} failed of {report['done']}", flush=True)
        print(done.stderr.decode(errors="replace")[:800], flush=True)
    return report
