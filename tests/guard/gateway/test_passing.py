"""What passes through the gateway passes as it came, and is on record once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.guard.gateway.gateways import (
    ASK,
    EVENTS,
    STREAM,
    STREAM_HEAD,
    RawUpstream,
    answer_in,
    chunk,
    gateway,
    raw_upstream,
    read_all,
)

from spiritsafe.models.replies import Asked, Reply, served_in_thread

BODY = b'{ "model":"m", "messages":[{"role":"user","content":"hi"}],\n "odd": 1.10, "x":{"\xc3\xa9":[1e2,null]} }'
ANSWER = b'{"id":"c1","choices":[{"message":{"content":"Blue"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,\
"completion_tokens":2},  "odd":1.10}'


def test_a_body_and_its_answer_pass_byte_for_byte(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: Reply(ANSWER, headers={"openai-version": "x"})) as up,
        gateway(up.base_url, tmp_path) as guard,
    ):
        answer = guard.post(BODY)
        assert (answer.status, answer.body) == (200, ANSWER)
        assert answer.headers["openai-version"] == "x"
        assert up.asked[0].body == BODY
        record = guard.only_record()
    assert record["outcome"] == "completed"
    assert record["tokens"] == [3, 2]
    assert record["account"] == "acme"
    assert answer.headers["x-spiritsafe-id"] == record["id"]


def test_an_upstream_sees_the_operators_key_and_nothing_of_the_customers(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        odd = {"x-forwarded-for": "1.2.3.4", "cookie": "a=b", "openai-organization": "org", "openai-beta": "b1"}
        guard.post(ASK, headers=odd)
        headers = up.asked[0].headers
        assert headers["authorization"] == "Bearer sk-operator"
        assert headers["openai-beta"] == "b1"
        assert not {"cookie", "x-forwarded-for", "openai-organization"} & set(headers)
        assert guard.key not in str(headers)


def test_what_an_upstream_says_of_the_operators_account_stays_here(tmp_path: Path) -> None:
    own = {
        "set-cookie": "a=b",
        "openai-organization": "org",
        "x-ratelimit-remaining-requests": "7",
        "x-request-id": "r",
    }
    with (
        served_in_thread(lambda asked: Reply(b"{}", headers=own)) as up,
        gateway(up.base_url, tmp_path) as guard,
    ):
        headers = guard.post(ASK).headers
    assert headers["x-request-id"] == "r"
    assert not {"set-cookie", "openai-organization", "x-ratelimit-remaining-requests"} & set(headers)


@pytest.mark.parametrize("durability", ["interval", "strict"])
def test_a_stream_passes_as_it_came_cut_at_every_byte(tmp_path: Path, durability: str) -> None:
    whole = b"".join(EVENTS)
    cuts = iter(range(1, len(whole)))

    def script(connection: socket.socket, up: RawUpstream) -> None:
        cut = next(cuts)
        connection.sendall(STREAM_HEAD + chunk(whole[:cut]))
        connection.sendall(chunk(whole[cut:]) + b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path, durability=durability) as guard:
        for _ in range(1, len(whole)):
            answer = guard.post(STREAM)
            assert answer.is_whole
            assert answer.body == whole
        records = [record for record in guard.records() if "response" in record]
    assert len(records) == len(whole) - 1
    for record in records:
        assert record["response"]["choices"][0]["message"]["content"] == "Blue"
        assert record["response"]["usage"]["total_tokens"] == 5
        assert record["tokens"] == [3, 2]


def test_each_event_passes_before_the_next_is_made(tmp_path: Path) -> None:
    """The customer's reading lets the upstream go on: held back, the first byte would never come."""
    import threading

    go_on = threading.Semaphore(0)

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(STREAM_HEAD)
        for event in EVENTS:
            connection.sendall(chunk(event))
            assert go_on.acquire(timeout=10)
        connection.sendall(b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard, guard.connect() as connection:
        connection.sendall(guard.request(STREAM))
        data = b""
        for event in EVENTS:
            while event not in data:
                piece = connection.recv(1 << 16)
                assert piece
                data += piece
            go_on.release()
        data += read_all(connection)
        assert answer_in(data).is_whole


def test_a_chunked_request_and_one_sent_byte_by_byte_are_read(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        plain = guard.request(ASK)
        head, _, body = plain.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
        chunked = b"\r\n".join([*lines, b"transfer-encoding: chunked"]) + b"\r\n\r\n"
        answer = answer_in(guard.send(chunked + chunk(body[:7]) + chunk(body[7:]) + b"0\r\n\r\n"))
        assert answer.status == 200
        assert answer_in(guard.send(*[plain[at : at + 1] for at in range(len(plain))])).status == 200
        assert [asked.body for asked in up.asked] == [body, body]


def test_requests_on_one_connection_are_answered_in_turn(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: str(asked.number)) as up, gateway(up.base_url, tmp_path) as guard:
        keep = guard.request(ASK, headers={"connection": "keep-alive"})
        data = guard.send(keep + keep + guard.request(ASK))
        assert data.count(b"HTTP/1.1 200") == 3
        assert [data.index(b'"content":"%d"' % number) for number in range(3)] == sorted(
            data.index(b'"content":"%d"' % number) for number in range(3)
        )
        assert up.connections == 1


def test_http_1_0_gets_an_answer_that_ends_with_the_connection(tmp_path: Path) -> None:
    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(STREAM_HEAD + chunk(b"".join(EVENTS)) + b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        data = guard.send(guard.request(STREAM).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert data.endswith(b"\r\n\r\n" + b"".join(EVENTS))


def test_models_are_listed_and_one_is_shown(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        return Reply(b'{"path":"%b"}' % asked.path.encode())

    with served_in_thread(script) as up, gateway(up.base_url, tmp_path) as guard:
        for path in ("/v1/models", "/v1/models/org/model-1"):
            sent = guard.request(b"", path=path).replace(b"POST", b"GET").replace(b"content-length: 0\r\n", b"")
            assert answer_in(guard.send(sent)).json == {"path": path}


def test_a_load_balancer_needs_no_key(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:9/v1", tmp_path) as guard:
        for path in (b"/healthz", b"/readyz"):
            data = guard.send(b"GET %b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % path)
            assert answer_in(data).status == 200
        guard.do(lambda: setattr(guard.desk, "is_draining", True))
        assert answer_in(guard.send(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).status == 503
