"""The nginx.conf that is shipped, in a real nginx, in front of a scripted upstream."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from tests.guard.adapters.deciding import (
    ASK,
    Answer,
    Deciding,
    asked,
    deciding,
    folder_of,
    free_port,
    limited,
    running,
    until,
)
from tests.guard.gateway.gateways import EVENTS, STREAM_HEAD, RawUpstream, chunk, raw_upstream

from spiritsafe.models.replies import Asked, ReplyServer, served_in_thread

SHIPPED = Path(__file__).parents[3] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")

AROUND = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/spiritsafe.conf;
}}
"""


@dataclass
class Front:
    """nginx, the service that decides, and the model behind."""

    port: int
    service: Deciding
    model: ReplyServer

    def post(self, key: str, **headers: str) -> Answer:
        return asked(self.port, "POST", "/v1/chat/completions", key=key, headers=headers, body=ASK)


OWN_KEY = 'proxy_set_header Authorization "Bearer sk-operator";\n'


def written(folder: Path, port: int, decide: int, model: str, own_key: str = OWN_KEY, at_once: str = "64") -> list[str]:
    """The command of an nginx with the shipped configuration at other addresses, its files in `folder`."""
    text = SHIPPED.read_text(encoding="utf-8")
    for shipped, here in {
        "127.0.0.1:9465": f"127.0.0.1:{decide}",
        "127.0.0.1:8000": urlsplit(model).netloc,
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "limit_conn spiritsafe_at_once 64": f"limit_conn spiritsafe_at_once {at_once}",
    }.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, here)
    (folder / "spiritsafe.conf").write_text(text, encoding="utf-8")
    (folder / "spiritsafe-model-key.conf").write_text(own_key, encoding="utf-8")
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder), encoding="utf-8")
    assert NGINX is not None
    return [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


@contextmanager
def front(tmp_path: Path, policy: str, **changed: str) -> Iterator[Front]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    with deciding(folder_of(tmp_path, policy)) as service, served_in_thread(lambda asked: "blue") as model:
        command = written(folder, port, service.port, model.base_url, **changed)
        with running(command, port, folder):
            yield Front(port, service, model)


def test_a_known_key_passes_and_the_model_learns_whose_it_is_but_not_the_key(tmp_path: Path) -> None:
    with front(tmp_path, limited(100)) as nginx:
        key = nginx.service.accounts.add("acme")
        until(lambda: nginx.post(key).status == 200)
        answer = nginx.post(key, **{"x-spiritsafe-mark": "forged", "x-spiritsafe-account": "forged"})
        headers = nginx.model.asked[-1].headers

    assert orjson.loads(answer.body)["choices"][0]["message"]["content"] == "blue"
    assert answer.headers["x-ratelimit-limit-requests"] == "100"
    assert (headers["x-spiritsafe-account"], headers["x-spiritsafe-segment"]) == ("acme", "ordinary")
    assert (headers["x-spiritsafe-action"], headers["x-spiritsafe-decision"]) == ("allow", "none")
    assert "x-spiritsafe-mark" not in headers
    assert headers["authorization"] == "Bearer sk-operator"
    assert nginx.model.asked[-1].body == ASK


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_the_customers_key_does_not_reach_a_model_that_needs_none(tmp_path: Path, header: str) -> None:
    with front(tmp_path, limited(100), own_key="") as nginx:
        key = nginx.service.accounts.add("acme")
        brought = {header: f"Bearer {key}" if header == "authorization" else key}
        until(lambda: nginx.post("", **brought).status == 200)
        assert {"authorization", "x-api-key"} & set(nginx.model.asked[-1].headers) == set()


def test_what_the_model_says_passes_as_it_comes_errors_too(tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    port, seen = free_port(), threading.Semaphore(0)

    def script(connection: socket.socket, server: RawUpstream) -> None:
        if b"fail" in server.requests[-1]:
            connection.sendall(b"HTTP/1.1 401 No\r\ncontent-length: 3\r\n\r\nour")
            return
        connection.sendall(STREAM_HEAD)
        for event in EVENTS:
            connection.sendall(chunk(event))
            seen.acquire(timeout=20)
        connection.sendall(b"0\r\n\r\n")

    with deciding(folder_of(tmp_path)) as service, raw_upstream(script) as model:
        key = service.accounts.add("acme", segment="internal")
        with running(written(folder, port, service.port, model.url), port, folder):
            until(lambda: service.ask("/decide/v1/models", key=key).status == 200)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", "/v1/chat/completions", ASK, {"authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            for event in EVENTS:
                assert answer.read(len(event)) == event  # and the model says no more until it is seen
                seen.release()
            assert answer.read() == b""
            connection.close()
            failed = asked(port, "POST", "/v1/chat/completions", key=key, body=b'{"model":"fail"}')
            assert (failed.status, failed.body) == (401, b"our")


def test_too_many_requests_at_once_are_refused_in_the_format_of_the_api(tmp_path: Path) -> None:
    go_on = threading.Event()

    async def script(asked: Asked) -> str:
        while not go_on.is_set():
            await asyncio.sleep(0.002)
        return "blue"

    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    with deciding(folder_of(tmp_path)) as service, served_in_thread(script) as model:
        key = service.accounts.add("acme", segment="internal")
        until(lambda: service.ask("/decide/v1/models", key=key).status == 200)
        with (
            running(written(folder, port, service.port, model.base_url, at_once="1"), port, folder),
            ThreadPoolExecutor(1) as pool,
        ):
            first = pool.submit(asked, port, "POST", "/v1/chat/completions", key=key, body=ASK)
            until(lambda: len(model.asked) == 1)
            second = asked(port, "POST", "/v1/chat/completions", key=key, body=ASK)
            go_on.set()
            assert first.result(20).status == 200
    assert (second.status, second.headers["retry-after"]) == (429, "1")
    assert orjson.loads(second.body)["error"]["code"] == "rate_limit_exceeded"


def test_who_brings_no_key_or_a_revoked_one_gets_401_in_its_own_format(tmp_path: Path) -> None:
    with front(tmp_path, limited(100)) as nginx:
        key = nginx.service.accounts.add("acme")
        until(lambda: nginx.post(key).status == 200)
        before = len(nginx.model.asked)
        assert nginx.post("").status == 401
        nginx.service.accounts.revoke("acme")
        until(lambda: nginx.post(key).status == 401)
        answer = nginx.post(key, **{"anthropic-version": "2023-06-01"})
        body = orjson.loads(answer.body)
        assert (answer.status, body["type"], body["error"]["type"]) == (401, "error", "authentication_error")
        assert answer.headers["content-type"] == "application/json"
        assert all(one.headers["authorization"] == "Bearer sk-operator" for one in nginx.model.asked[before:])


def test_a_blocked_account_gets_403_with_what_support_can_look_up(tmp_path: Path) -> None:
    with front(tmp_path, limited(100)) as nginx:
        key = nginx.service.accounts.add("acme")
        until(lambda: nginx.post(key).status == 200)
        decision = nginx.service.rulings.rule("acme", "block", "confirmed", by="jo")
        assert decision is not None
        until(lambda: nginx.post(key).status == 403)
        error = orjson.loads(nginx.post(key).body)["error"]
        asked_before = len(nginx.model.asked)
        nginx.post(key)
        assert len(nginx.model.asked) == asked_before
    assert error["code"] == "account_blocked"
    assert decision.id in error["message"]


def test_a_marked_account_is_named_to_the_model(tmp_path: Path) -> None:
    with front(tmp_path, limited(100)) as nginx:
        key = nginx.service.accounts.add("acme")
        decision = nginx.service.rulings.rule("acme", "mark", "looks like a campaign", by="jo")
        assert decision is not None
        until(lambda: nginx.post(key).status == 200 and "x-spiritsafe-mark" in nginx.model.asked[-1].headers)
        assert nginx.model.asked[-1].headers["x-spiritsafe-mark"] == decision.id


def test_who_is_over_its_limit_gets_429_and_how_long_to_wait(tmp_path: Path) -> None:
    with front(tmp_path, limited(3)) as nginx:
        key = nginx.service.accounts.add("acme")
        until(lambda: nginx.post(key).status == 200)
        statuses = [nginx.post(key).status for _ in range(3)]
        answer = nginx.post(key)
    assert statuses == [200, 200, 429]
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert orjson.loads(answer.body)["error"]["code"] == "rate_limit_exceeded"


def test_what_can_be_read_in_two_ways_is_refused_as_at_the_gateway(tmp_path: Path) -> None:
    with front(tmp_path, limited(100)) as nginx:
        key = nginx.service.accounts.add("acme")
        until(lambda: nginx.post(key).status == 200)
        assert nginx.post(key, **{"x-api-key": key}).status == 400


def test_when_nobody_decides_nobody_passes(tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    with served_in_thread(lambda asked: "blue") as model:
        with running(written(folder, port, free_port(), model.base_url), port, folder):
            answer = asked(port, "POST", "/v1/chat/completions", key="ss-any", body=ASK)
        assert model.asked == []
    assert (answer.status, orjson.loads(answer.body)["error"]["code"]) == (503, "unavailable")
