"""An upgrade to HTTP/2 that a client offers is passed over, as its client expects; Java's always offers one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.gateway.gateways import Running, gateway
from tests.guard.gateway.wires import cut

from spiritsafe.models.replies import served_in_thread

OFFER = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAAB"}
BODY = {"model": "m", "messages": [{"role": "user", "content": "Which colour?"}]}

JAVA = """
import java.net.URI;
import java.net.http.*;

class Ask {
    public static void main(String[] given) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int i = 0; i < 3; i++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(given[0]))
                .header("Authorization", "Bearer " + given[1]).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(given[2])).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body().contains("blue"));
        }
    }
}
"""


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path_factory.mktemp("upgrades")) as running,
    ):
        yield running


def test_requests_that_offer_an_upgrade_are_answered_one_after_the_other(guard: Running) -> None:
    with closing(HTTPConnection("127.0.0.1", guard.port, timeout=20)) as connection:
        for _ in range(3):
            connection.request(
                "POST", "/v1/chat/completions", orjson.dumps(BODY), {"authorization": f"Bearer {guard.key}", **OFFER}
            )
            answer = connection.getresponse()
            assert (answer.status, b"blue" in answer.read()) == (200, True)


@given(st.lists(st.integers(1, 300), max_size=4))
def test_wherever_a_request_that_offers_one_is_cut_it_is_the_same(guard: Running, places: list[int]) -> None:
    said = guard.send(*cut(guard.request(BODY, headers=OFFER | {"connection": "upgrade, close"}), places))
    assert said.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert b"blue" in said


@pytest.mark.parametrize("headers", [({}, OFFER), (OFFER, OFFER), (OFFER, {})])
def test_two_requests_in_one_read_offer_none(guard: Running, headers: tuple[dict[str, str], dict[str, str]]) -> None:
    keep = {"connection": "keep-alive"}
    said = guard.send(b"".join(guard.request(BODY, headers=keep | one) for one in headers))
    assert said.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert said.count(b"HTTP/1.1 400 Bad Request\r\n") == 1


def test_a_request_without_a_body_may_offer_one_too(guard: Running) -> None:
    offer = "".join(f"{name}: {value}\r\n" for name, value in OFFER.items())
    asked = f"GET /healthz HTTP/1.1\r\nhost: g\r\n{offer}\r\n".encode()
    said = guard.send(asked + asked)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.count(b"HTTP/1.1 400 Bad Request\r\n") == 1


def test_what_comes_behind_the_offer_is_no_other_protocol(guard: Running) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    said = guard.send(guard.request(BODY, headers=OFFER) + preface)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.count(b"HTTP/1.1 200 OK\r\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="no java here")
def test_javas_own_client_is_answered(guard: Running, tmp_path: Path) -> None:
    source = tmp_path / "Ask.java"
    source.write_text(JAVA)
    url = f"http://127.0.0.1:{guard.port}/v1/chat/completions"
    command = ["java", str(source), url, guard.key, orjson.dumps(BODY).decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["200 HTTP_1_1 true"] * 3, done.stderr
