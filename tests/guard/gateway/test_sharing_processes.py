"""Two gateways as their operators run them, with one Redis; one of them is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.guard.gateway.gateways import STREAM
from tests.guard.gateway.redises import NEEDS_REDIS, real_redis
from tests.guard.gateway.test_processes import COMMAND, Served, until

from spiritsafe.cli.guard_serve import init
from spiritsafe.guard.accounts import Accounts
from spiritsafe.models.replies import Asked, served_in_thread

pytestmark = NEEDS_REDIS

PEPPER = b"p" * 32

GUARD = """
redis_url = "{redis_url}"
[listen]
address = "127.0.0.1:0"
[ops]
address = "127.0.0.1:0"
[[upstream]]
name = "up"
url = "{url}"
[log]
compact_s = 0
[bounds]
drain_s = 5
"""


def written(folder: Path, url: str, redis_url: str) -> str:
    """The files of a gateway in `folder`, where an account may have one request open; its key."""
    init(folder)
    (folder / "guard.toml").write_text(GUARD.format(url=url, redis_url=redis_url))
    policy = folder / "policy.toml"
    policy.write_text(re.sub(r"(?m)^concurrency = \d+", "concurrency = 1", policy.read_text(), count=1))
    (folder / "guard").mkdir()
    (folder / "guard" / "pepper").write_bytes(PEPPER)
    with Accounts.open(folder / "guard") as accounts:
        return accounts.add("acme")


@contextmanager
def started(folder: Path, key: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "guard", "serve", str(folder / "guard.toml")],
        stdout=subprocess.PIPE,
        stderr=(folder / "said").open("w"),
        text=True,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"guard at (\S+)  \(operations at (\S+);", process.stdout.readline())
        assert found is not None, (folder / "said").read_text()
        yield Served(folder, process, found[1], found[2], key)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_a_gateway_that_is_killed_holds_nothing_up_on_the_other(tmp_path: Path) -> None:
    go_on = threading.Event()

    async def script(asked: Asked) -> str:
        while b'"stream"' in asked.body and not go_on.is_set():
            await asyncio.sleep(0.005)
        return "blue"

    with served_in_thread(script) as up, real_redis(tmp_path / "redis") as redis:
        key = written(tmp_path / "a", up.base_url, redis.url)
        written(tmp_path / "b", up.base_url, redis.url)
        with started(tmp_path / "a", key) as a, started(tmp_path / "b", key) as b:
            until(lambda: b.post()[0] == 200)
            threading.Thread(target=lambda: _dies(a), daemon=True).start()
            until(lambda: b.post()[0] == 429)
            for process in [a.process.pid, *a.workers()]:
                os.kill(process, signal.SIGKILL)
            until(lambda: b.post()[0] == 200)
            redis.kill()
            until(lambda: b.metric("redis_failing") == 1)
            assert b.post()[0] == 200
            go_on.set()
        assert (tmp_path / "b" / "said").read_text().count("sharing:") == 1


def _dies(guard: Served) -> None:
    try:
        guard.post(STREAM)
    except OSError:
        return
