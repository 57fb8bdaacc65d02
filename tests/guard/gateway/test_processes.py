"""The gateway as its operator runs it: a supervisor, workers, files that change under it, processes that are killed."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import orjson
import pytest
from tests.guard.gateway.gateways import ASK, EVENTS, STREAM, records_in

from spiritsafe.cli.guard_serve import init
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.rulings import Rulings
from spiritsafe.models.replies import Asked, Reply, served_in_thread

COMMAND = "from spiritsafe.cli.main import main; main()"

GUARD = """
[listen]
address = "127.0.0.1:0"
workers = {workers}
{listen}[ops]
address = "127.0.0.1:0"
[[upstream]]
name = "up"
url = "{url}"
key_env = "UP_KEY"
[log]
durability = "{durability}"
compact_s = {compact_s}
[bounds]
drain_s = 20
"""


@dataclass
class Served:
    """A gateway in processes of its own."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    ops: str
    key: str

    def post(self, body: object = ASK) -> tuple[int, bytes, str]:
        """(status, body, exchange id) of one request over a connection of its own."""
        request = urllib.request.Request(
            f"{self.url}/chat/completions",
            orjson.dumps(body),
            {"authorization": f"Bearer {self.key}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), answer.headers["x-spiritsafe-id"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers.get("x-spiritsafe-id", "")

    def workers(self) -> list[int]:
        """The processes that serve."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "gateway.worker"], capture_output=True, text=True, check=False
        )
        return [int(line) for line in found.stdout.split()]

    def metric(self, name: str) -> int:
        with urllib.request.urlopen(f"{self.ops}/metrics", timeout=10) as answer:
            found = re.search(rf"^spiritsafe_{name} (\d+)$", answer.read().decode(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    def records(self) -> list[dict[str, object]]:
        return records_in(self.folder / "guard" / "log" / "segments")


def until(what: Callable[[], bool], patience_s: float = 20.0) -> float:
    """Return when `what` holds; how long it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < patience_s
        time.sleep(0.01)
    return time.monotonic() - began


@contextmanager
def served(
    url: str,
    folder: Path,
    *,
    workers: int = 1,
    durability: str = "interval",
    listen: str = "",
    compact_s: int = 0,
    more: str = "",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Served]:
    init(folder)
    text = GUARD.format(url=url, workers=workers, durability=durability, listen=listen, compact_s=compact_s)
    (folder / "guard.toml").write_text(text + more)
    with Accounts.open(folder / "guard") as accounts:
        key = accounts.add("acme")
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "guard", "serve", str(folder / "guard.toml")],
        stdout=subprocess.PIPE,
        stderr=(folder / "said").open("w"),
        text=True,
        env={**os.environ, "UP_KEY": "sk-operator", **environ},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"guard at (\S+)  \(operations at (\S+); interrupt to stop\)\n", line)
        assert found is not None, line + (folder / "said").read_text()
        yield Served(folder, process, found[1], found[2], key)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]  # it was asked for above


def test_a_revoked_key_works_on_no_worker_a_second_later(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, served(up.base_url, tmp_path, workers=2) as guard:
        assert {guard.post()[0] for _ in range(8)} == {200}
        with Accounts.open(tmp_path / "guard") as accounts:
            accounts.revoke("acme")
        took_s = until(lambda: {guard.post()[0] for _ in range(8)} == {401})
        assert took_s < 1.0


def test_workers_share_what_an_account_has_used(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, served(up.base_url, tmp_path, workers=2) as guard:
        policy = tmp_path / "policy.toml"
        text = re.sub(r"(?m)^requests_per_minute = \d[\d_]*", "requests_per_minute = 12", policy.read_text(), count=1)
        policy.write_text(text)
        until(lambda: "in force" in (tmp_path / "said").read_text())
        time.sleep(0.5)  # every worker looks four times a second
        statuses = [guard.post()[0] for _ in range(30)]
        assert statuses.count(200) == 12
        assert len(guard.workers()) == 2


def test_a_policy_that_is_wrong_changes_nothing_and_is_reported(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, served(up.base_url, tmp_path) as guard:
        policy = tmp_path / "policy.toml"
        right = policy.read_text()
        policy.write_text(right.replace('mode = "shadow"', 'mode = "shadows"'))
        until(lambda: "nothing has changed" in (tmp_path / "said").read_text())
        assert "mode" in (tmp_path / "said").read_text()
        assert guard.post()[0] == 200
        policy.write_text(right.replace('mode = "shadow"', 'mode = "enforce"'))
        until(lambda: "in force" in (tmp_path / "said").read_text())
        with Rulings.open(tmp_path / "guard") as rulings:
            assert len(rulings.policies()) == 2
            rulings.rule("acme", "block", "confirmed by mail", by="jo")
        until(lambda: guard.post()[0] == 403)


def test_a_worker_that_dies_is_replaced_while_the_other_serves(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, served(up.base_url, tmp_path, workers=2) as guard:
        time.sleep(1.1)  # one that dies at once is not started again at once
        first, second = guard.workers()
        os.kill(first, signal.SIGKILL)
        until(lambda: len(guard.workers()) == 2 and first not in guard.workers())
        assert second in guard.workers()
        until(lambda: {guard.post()[0] for _ in range(6)} == {200})


def test_an_interrupt_lets_answers_finish_and_writes_the_log_out(tmp_path: Path) -> None:
    go_on = threading.Event()

    async def script(asked: Asked) -> Reply:
        import asyncio

        while not go_on.is_set():
            await asyncio.sleep(0.005)
        return Reply(b"".join(EVENTS), headers={"content-type": "text/event-stream"})

    with served_in_thread(script) as up, served(up.base_url, tmp_path) as guard:
        answers: list[tuple[int, bytes, str]] = []
        asking = threading.Thread(target=lambda: answers.append(guard.post(STREAM)))
        asking.start()
        until(lambda: len(up.asked) == 1)
        guard.process.terminate()
        until(lambda: _refuses(guard))
        go_on.set()
        asking.join(20)
        assert guard.process.wait(20) == 0
        assert [(status, body) for status, body, _ in answers] == [(200, b"".join(EVENTS))]
        records = guard.records()
        assert records[-1]["outcome"] == "completed"


def _refuses(guard: Served) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(guard.url.split(":")[2].split("/")[0])), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_address_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        init(tmp_path)
        text = GUARD.format(url="http://127.0.0.1:9/v1", workers=1, durability="interval", listen="", compact_s=0)
        (tmp_path / "guard.toml").write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "guard", "serve", str(tmp_path / "guard.toml")],
            capture_output=True,
            text=True,
            env={**os.environ, "UP_KEY": "sk-operator"},
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("durability", ["strict", "interval"])
def test_nothing_that_a_customer_saw_completed_is_lost_when_a_worker_is_killed(tmp_path: Path, durability: str) -> None:
    """Under load from eight customers the worker is killed without warning, three times; then it is counted."""
    seen: list[str] = []
    stop = threading.Event()

    with (
        served_in_thread(lambda asked: "blue") as up,
        served(up.base_url, tmp_path, durability=durability) as guard,
    ):

        def customer() -> None:
            while not stop.is_set():
                try:
                    status, _, exchange = guard.post()
                except (OSError, http.client.HTTPException):
                    continue
                if status == 200:
                    seen.append(exchange)

        customers = [threading.Thread(target=customer) for _ in range(8)]
        for one in customers:
            one.start()
        for _ in range(3):
            before = len(seen)
            until(lambda before=before: len(seen) > before + 50)  # type: ignore[misc]  # a default is bound early
            killed = guard.workers()
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            until(lambda killed=killed: bool(guard.workers()) and not set(killed) & set(guard.workers()))  # type: ignore[misc]
        stop.set()
        for one in customers:
            one.join()
    ended = {record["id"] for record in guard.records() if record["k"] != "received"}
    lost = [exchange for exchange in seen if exchange not in ended]
    assert len(set(seen)) == len(seen) > 150
    if durability == "strict":
        assert lost == []
    else:
        assert len(lost) <= 3 * 50  # what came in the 10 ms before each kill, with room for a slow machine


def test_tls_in_front_and_behind(tmp_path: Path) -> None:
    """Two gateways in a row: the inner one has a certificate, which the outer one checks as an upstream's."""
    certificate, private_key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(private_key), "-out", str(certificate)]
    subprocess.run([*made.split(), *names, *files], check=True, capture_output=True)
    tls = f'certificate = "{certificate}"\nprivate_key = "{private_key}"\n'
    trusted = {"SSL_CERT_FILE": str(certificate)}
    with (
        served_in_thread(lambda asked: "blue") as up,
        served(up.base_url, tmp_path / "inner", listen=tls) as inner,
        served(inner.url, tmp_path / "outer", environ=trusted | {"UP_KEY": inner.key}) as outer,
        served(inner.url, tmp_path / "wary", environ={"UP_KEY": inner.key}) as wary,
    ):
        assert inner.url.startswith("https://")
        assert outer.post()[0] == 200
        assert wary.post()[0] == 502  # whose certificate it is, nobody has said


def test_the_log_becomes_parquet_while_the_gateway_runs(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with served_in_thread(lambda asked: "blue") as up, served(up.base_url, tmp_path, compact_s=1) as guard:
        assert guard.post()[0] == 200
        log = tmp_path / "guard" / "log"
        until(lambda: bool(list(log.glob("features/**/*.parquet"))) and bool(list(log.glob("bodies/**/*.parquet"))))
    (features,) = log.glob("features/segment=ordinary/day=*/hour=*/bucket=*/*.parquet")
    (bodies,) = log.glob("bodies/segment=ordinary/day=*/hour=*/bucket=*/*.parquet")
    (row,) = parquet.ParquetFile(features).read().to_pylist()
    assert (row["account"], row["outcome"], row["output_tokens"]) == ("acme", "completed", 1)
    (body,) = parquet.ParquetFile(bodies).read().to_pylist()
    assert orjson.loads(body["request"]) == ASK
