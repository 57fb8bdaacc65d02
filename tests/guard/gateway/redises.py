"""A real Redis for tests, that can be killed, started again empty, and made to hang."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
NEEDS_REDIS = pytest.mark.skipif(
    SERVER is None, reason="NOT TESTED: no redis-server here; apt-get install redis-server (or valkey-server)"
)


@dataclass
class RealRedis:
    """The server, and how to treat it badly; what it holds is only kept over a death by `save`."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert SERVER is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._process = subprocess.Popen([SERVER, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends_s = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < ends_s
            time.sleep(0.005)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def call(self, *words: str | bytes) -> bytes:
        """The answer to a command: a string, or the first line of anything else."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            said = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
            connection.sendall(b"*%d\r\n" % len(parts) + said)
            answer = connection.makefile("rb")
            first = answer.readline().strip()
            return answer.read(int(first[1:])) if first.startswith(b"$") else first

    def _answers(self) -> bool:
        try:
            return self.call("PING") == b"+PONG"
        except OSError:
            return False

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def real_redis(folder: Path) -> Iterator[RealRedis]:
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    redis = RealRedis(folder, port)
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()
