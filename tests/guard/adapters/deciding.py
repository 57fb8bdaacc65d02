"""A decision service for tests, and proxies in front of a scripted upstream that ask it."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from tests.guard.clocks import still

from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.adapters.decision_service import answering
from spiritsafe.guard.policy_file import STARTING_TEXT
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.settings import Settings, UpstreamSettings

ASK = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
ENFORCED = STARTING_TEXT.replace('mode = "shadow"', 'mode = "enforce"')


def folder_of(tmp_path: Path, policy: str = ENFORCED) -> Settings:
    """The settings of a gateway whose folder and policy are in `tmp_path`."""
    path = tmp_path / "policy.toml"
    path.write_text(policy, encoding="utf-8")
    upstreams = (UpstreamSettings("up", "openai", "http://127.0.0.1:9/v1"),)
    return Settings("127.0.0.1", 0, "127.0.0.1", 0, 1, str(tmp_path / "guard"), str(path), upstreams)


def limited(requests: int) -> str:
    """A policy under which ordinary accounts may ask so often a minute."""
    before = "[segments.ordinary]\nrequests_per_minute = "
    start = ENFORCED.index(before) + len(before)
    return f"{ENFORCED[:start]}{requests}\n{ENFORCED[ENFORCED.index(chr(10), start) :]}"


@dataclass
class Deciding:
    """A decision service that runs.

    Attributes:
        port: where it is.
        accounts, rulings: the gateway's, for the test to change.
        said: the lines that it told.
    """

    port: int
    accounts: Accounts
    rulings: Rulings
    said: list[str] = field(default_factory=list)

    def ask(self, path: str, *, key: str = "", **headers: str) -> Answer:
        return asked(self.port, "GET", path, key=key, headers=headers)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def asked(
    port: int, method: str, path: str, *, key: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request on a connection of its own."""
    fields = dict(headers or {}) | ({"authorization": f"Bearer {key}"} if key else {})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body or None, fields)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@contextmanager
def deciding(settings: Settings) -> Iterator[Deciding]:
    """A decision service in a thread of its own while the block lasts; its clock stands still."""
    said: list[str] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    serving = loop.create_task(answering(settings, "127.0.0.1", 0, said.append, stop, follow_s=0.01, now_s=still()))
    thread = threading.Thread(target=loop.run_until_complete, args=(serving,), daemon=True)
    thread.start()
    until(lambda: bool(said))
    port = int(said[0].rpartition(":")[2])
    try:
        with Accounts.open(settings.folder) as accounts, Rulings.open(settings.folder) as rulings:
            yield Deciding(port, accounts, rulings, said)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def until(holds: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Return when `holds` does."""
    ends_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < ends_s, "it never came to hold"
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, folder: Path, **environ: str) -> Iterator[None]:
    """`command`, which listens at `port`, while the block lasts."""
    env = {**os.environ, **environ}
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, (folder / "said.txt").read_text(encoding="utf-8")
            yield
        finally:
            process.terminate()
            process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
