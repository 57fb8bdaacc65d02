"""The server the collector's benchmark talks to: `loopback.c` where there is a C compiler, else the same in Python.

The Python form answers about 10,000 requests a second on uvloop and about half of that without; the C form 60,000. It
runs in a process of its own, on the last core. Run as a script it is the Python server: loopback.py DELAY_MS BYTES.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Loopback:
    """A running server: its base URL, what it counted, and which kind it is."""

    def __init__(self, process: subprocess.Popen[str], kind: str) -> None:
        self.process = process
        self.kind = kind
        self.port = int((process.stdout or sys.stdin).readline())
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def _call(self, method: str, path: str) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            counted: dict[str, Any] = json.load(answer)
            return counted

    def stats(self) -> dict[str, Any]:
        return self._call("GET", "/stats")

    def mark(self) -> None:
        self._call("POST", "/mark")

    def reset(self) -> None:
        self._call("POST", "/reset")


def _compiled(cache: Path) -> Path | None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / "loopback"
    done = subprocess.run([compiler, "-O2", "-o", str(binary), str(HERE / "loopback.c")], capture_output=True)
    return binary if done.returncode == 0 else None


def last_core() -> int:
    return max(os.sched_getaffinity(0))


@contextmanager
def serve(cache: Path, delay_ms: int, answer_bytes: int) -> Iterator[Loopback]:
    """A server for as long as the context lasts; `cache` keeps the compiled one."""
    binary = _compiled(cache)
    command = [str(binary)] if binary else [sys.executable, str(HERE / "loopback.py")]
    process = subprocess.Popen(
        [*command, str(delay_ms), str(answer_bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    os.sched_setaffinity(process.pid, {last_core()})
    try:
        yield Loopback(process, "C (epoll)" if binary else "Python (asyncio)")
    finally:
        process.communicate()


# ---- the Python form ----

ANSWER = {
    "id": "chatcmpl-9abcdefghijklmnop",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 380, "completion_tokens": 520, "total_tokens": 900},
    "system_fingerprint": "fp_44709d6fcb",
}
ITEM = re.compile(rb"item-(\d+)")


class Counts:
    def __init__(self) -> None:
        self.requests = self.asked_again = self.answered_again = self.in_flight = self.most_in_flight = 0
        self.asked: set[bytes] = set()
        self.answered: set[bytes] = set()
        self.marked: set[bytes] = set()

    def come(self, item: bytes) -> None:
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.asked_again += item in self.asked
        self.answered_again += item in self.marked
        self.asked.add(item)

    def go(self, item: bytes) -> None:
        self.in_flight -= 1
        self.answered.add(item)

    def control(self, head: bytes) -> bytes:
        if head.startswith(b"POST /mark"):
            self.marked = set(self.answered)
        elif head.startswith(b"POST /reset"):
            self.__init__()  # type: ignore[misc]
        told = {"requests": self.requests, "asked_again": self.asked_again}
        told |= {"answered_then_asked_again": self.answered_again, "most_in_flight": self.most_in_flight}
        return json.dumps(told).encode()


class Serving(asyncio.Protocol):
    def __init__(self, counts: Counts, delay_s: float, answer: bytes) -> None:
        self.counts, self.delay_s, self.answer = counts, delay_s, answer
        self.have = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.have += data
        end = self.have.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.have[:end])
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.have) < end + 4 + length:
            return
        body = bytes(self.have[end + 4 : end + 4 + length])
        del self.have[: end + 4 + length]
        if not head.startswith(b"POST /v1/"):
            self._send(self.counts.control(head))
            return
        found = ITEM.search(body)
        item = found[1] if found else b""
        self.counts.come(item)
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self._answer, item)
        else:
            self._answer(item)

    def _answer(self, item: bytes) -> None:
        self.counts.go(item)
        if not self.transport.is_closing():
            self._send(self.answer)

    def _send(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def _serve(delay_ms: int, answer_bytes: int) -> None:
    ANSWER["choices"][0]["message"]["content"] = ""  # type: ignore[index]
    text = "The still runs slowly and the spirit safe is locked, so what leaves is measured. " * (
        answer_bytes // 80 + 1
    )
    ANSWER["choices"][0]["message"]["content"] = text[: answer_bytes - len(json.dumps(ANSWER))]  # type: ignore[index]
    counts, answer = Counts(), json.dumps(ANSWER).encode()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Serving(counts, delay_ms / 1000, answer), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # the benchmark closes it when it is done
    os._exit(0)


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        run = asyncio.run
    run(_serve(int(sys.argv[1]), int(sys.argv[2])))
