"""What sharing through Redis costs and how soon it acts: `python benchmarks/sharing.py`; needs redis-server.

Two gateways with one worker each and one Redis, on this machine. Measured:

- how long after it was done on the first gateway an account works, is revoked, is blocked or let go on the second;
- how many requests pass above a limit of 200 a minute when a customer asks both in turn, at several rates;
- CPU and memory of a worker that has nothing to do, with and without sharing.

The last line is one JSON object.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.rulings import Rulings
from spiritsafe.models.replies import served_in_thread

LIMIT = 200
RATES = (20, 100, 400)
TIMES = 20
IDLE_S = 10.0
PATIENCE_S = 20.0

GUARD = """
{redis}
[listen]
address = "127.0.0.1:0"
[ops]
address = "127.0.0.1:0"
[data]
folder = "guard"
[[upstream]]
name = "up"
url = "{url}"
[log]
compact_s = 0
"""

POLICY = 'mode = "enforce"\n' + "".join(
    f"[segments.{name}]\n{limits}"
    for name, limits in {
        "ordinary": "",
        "batch": f"requests_per_minute = {LIMIT}\n",
        "evaluation": "",
        "licensed": "",
        "internal": "",
    }.items()
)

COMMAND = "from spiritsafe.cli.main import main; main()"


@dataclass
class Gateway:
    """A gateway in processes of its own; `connection` is a customer's."""

    folder: Path
    process: subprocess.Popen[str]
    connection: http.client.HTTPConnection

    def ask(self, key: str) -> int:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.connection.request("POST", "/v1/chat/completions", body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def worker(self) -> int:
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        return int(found.stdout.split()[0])


def until(what: Callable[[], bool]) -> float:
    """How long it takes until `what` holds."""
    began_s = time.perf_counter()
    while not what():
        if time.perf_counter() - began_s > PATIENCE_S:
            raise TimeoutError("it never came")
    return time.perf_counter() - began_s


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def gateway(folder: Path, url: str, redis_url: str) -> Iterator[Gateway]:
    (folder / "guard").mkdir(parents=True)
    (folder / "guard" / "pepper").write_bytes(b"p" * 32)
    shared = f'redis_url = "{redis_url}"' if redis_url else ""
    (folder / "guard.toml").write_text(GUARD.format(url=url, redis=shared))
    (folder / "policy.toml").write_text(POLICY)
    command = [sys.executable, "-c", COMMAND, "guard", "serve", str(folder / "guard.toml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://([\d.:]+)", process.stdout.readline())
    assert found is not None
    try:
        yield Gateway(folder, process, http.client.HTTPConnection(found[1]))
    finally:
        process.terminate()
        process.wait()


def crossings(a: Gateway, b: Gateway) -> dict[str, list[float]]:
    """Seconds until what is done on `a` acts on `b`."""
    took: dict[str, list[float]] = {"added": [], "blocked": [], "let_go": [], "revoked": []}
    with Accounts.open(a.folder / "guard") as accounts, Rulings.open(a.folder / "guard") as rulings:
        for number in range(TIMES):
            name = f"customer-{number}"
            key = accounts.add(name)
            took["added"].append(until(lambda key=key: b.ask(key) == 200))  # type: ignore[misc]  # bound early
            rulings.rule(name, "block", "a reason", by="jo")
            took["blocked"].append(until(lambda key=key: b.ask(key) == 403))  # type: ignore[misc]
            rulings.rule(name, "allow", "a reason", by="jo")
            took["let_go"].append(until(lambda key=key: b.ask(key) == 200))  # type: ignore[misc]
            accounts.revoke(name)
            took["revoked"].append(until(lambda key=key: b.ask(key) == 401))  # type: ignore[misc]
    return took


def passed_above(a: Gateway, b: Gateway, rate: int) -> int:
    """How many requests above the limit pass when `rate` a second are asked, of both in turn."""
    left_s = 60 - time.time() % 60
    if left_s < 45:  # over the turn of a minute the oldest come free
        time.sleep(left_s)
    with Accounts.open(a.folder / "guard") as accounts:
        key = accounts.add(f"rate-{rate}", segment="batch")
    until(lambda: b.ask(key) == 200)
    passed, began_s = 1, time.perf_counter()
    for number in range(LIMIT + rate):
        time.sleep(max(0.0, began_s + number / rate - time.perf_counter()))
        passed += (b if number % 2 else a).ask(key) == 200
    return passed - LIMIT


def idle(one: Gateway) -> tuple[float, float]:
    """Milliseconds of CPU in a second, and megabytes, of a worker that nobody asks."""
    stat = Path(f"/proc/{one.worker()}/stat")

    def cpu_s() -> float:
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before_s = cpu_s()
    time.sleep(IDLE_S)
    pages = int(Path(f"/proc/{one.worker()}/statm").read_text().split()[1])
    return (cpu_s() - before_s) * 1000 / IDLE_S, pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    with ExitStack() as stack:
        url = stack.enter_context(served_in_thread(lambda asked: "blue")).base_url
        shared = stack.enter_context(redis(folder))
        a, b = (stack.enter_context(gateway(folder / name, url, shared)) for name in "ab")
        alone = stack.enter_context(gateway(folder / "alone", url, ""))
        took = crossings(a, b)
        above = {rate: passed_above(a, b, rate) for rate in RATES}
        (cpu_ms, mb), (alone_cpu_ms, alone_mb) = idle(a), idle(alone)
    result: dict[str, object] = {f"{what}_p50_s": round(median(seconds), 2) for what, seconds in took.items()}
    result |= {f"{what}_max_s": round(max(seconds), 2) for what, seconds in took.items()}
    result |= {f"above_limit_at_{rate}_per_s": count for rate, count in above.items()}
    result |= {"idle_cpu_ms_per_s": round(cpu_ms, 1), "alone_idle_cpu_ms_per_s": round(alone_cpu_ms, 1)}
    result |= {"worker_mb": round(mb, 1), "alone_worker_mb": round(alone_mb, 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
