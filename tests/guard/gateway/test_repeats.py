"""A head that comes again is known without the parser; whatever differs from it in one byte is read anew."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.gateway.gateways import ASK, Running, answer_in, gateway, read_all

from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.gateway.repeats import MOST_KEPT_BYTES, Repeat, repeat_of
from spiritsafe.guard.settings import Bounds, UpstreamSettings
from spiritsafe.models.replies import served_in_thread

HEAD = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nAccept: */*\r\n\r\n"
KEEP = {"connection": "keep-alive"}


def known(head: bytes = HEAD, length: int = 3) -> Repeat:
    repeat = repeat_of(head + b"abc", len(head), length)
    assert repeat is not None
    return repeat


def test_the_same_head_with_another_length_is_known() -> None:
    again = HEAD.replace(b": 3", b": 12")
    assert known().body_in(again + b"hello, world") == (12, b"hello, world")
    assert known().body_in(again + b"hello") == (12, b"hello")
    assert known().body_in(again) == (12, b"")


@pytest.mark.parametrize("digits", [b"", b"+3", b"3 ", b"0x3", b"3, 3", b"\xb2", b"9" * 16, b"3\r\nContent-Length: 3"])
def test_a_length_that_is_no_plain_number_is_not_known(digits: bytes) -> None:
    assert known().body_in(HEAD.replace(b" 3\r", b" " + digits + b"\r") + b"abc") is None


def test_more_than_the_body_is_left_to_the_parser() -> None:
    assert known().body_in(HEAD + b"abc" + HEAD + b"abc") is None


@given(st.integers(0, len(HEAD) - 1), st.integers(0, 255))
def test_a_head_that_differs_in_a_byte_is_not_known(at: int, byte: int) -> None:
    other = HEAD[:at] + bytes([byte]) + HEAD[at + 1 :]
    is_length = at == HEAD.index(b"3") and bytes([byte]).isdigit()
    found = known().body_in(other)
    assert (found is not None) == (other == HEAD or is_length)


@given(st.integers(0, len(HEAD) - 1))
def test_a_head_that_has_not_come_whole_is_not_known(end: int) -> None:
    assert known().body_in(HEAD[:end]) is None


@pytest.mark.parametrize(
    ("head", "length"),
    [
        pytest.param(HEAD, 4, id="another number than was read"),
        pytest.param(b"\r\n\r\n" + HEAD, 3, id="empty lines before it"),
        pytest.param(HEAD.replace(b"Content-Length", b"X"), 3, id="no length"),
        pytest.param(HEAD.replace(b"*/*", b"a" * MOST_KEPT_BYTES), 3, id="too long to be kept"),
    ],
)
def test_what_is_not_where_it_is_looked_for_is_not_kept(head: bytes, length: int) -> None:
    assert repeat_of(head + b"abc", len(head), length) is None


def ask_again(
    guard: Running,
    connection: socket.socket,
    *,
    path: str = "/v1/chat/completions",
    headers: Mapping[str, str] | None = None,
    key: str = "",
    **more: str,
) -> int:
    """One request on a connection that is kept: the status of its answer."""
    fields = KEEP | ({"authorization": f"Bearer {key}"} if key else {}) | dict(headers or {})
    connection.sendall(guard.request(ASK | more, path=path, headers=fields))
    return status_from(connection)


def status_from(connection: socket.socket) -> int:
    data = b""
    while not (b"\r\n\r\n" in data and answer_in(data).is_whole):
        piece = connection.recv(1 << 16)
        assert piece, data
        data += piece
    return answer_in(data).status


def until_some_has_come(guard: Running) -> None:
    """Return when the gateway has read a part of a request."""
    guard.until(lambda: any(customer._fed_bytes for customer in guard.desk.customers))


def test_requests_that_repeat_a_head_are_each_answered_and_recorded(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        guard.connect() as connection,
    ):
        texts = ["one", "twenty-two", "three" * 100, ""]
        for text in texts:
            assert ask_again(guard, connection, user=text) == 200
        assert [orjson.loads(asked.body)["user"] for asked in up.asked] == texts
        ids = {record["id"] for record in guard.records()}
    assert len(ids) == len(texts)


def test_a_body_that_comes_in_pieces_behind_a_known_head_is_whole(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        guard.connect() as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert ask_again(guard, connection) == 200
        request = guard.request(ASK | {"user": "x" * 50}, headers=KEEP)
        start = request.index(b"\r\n\r\n") + 4
        for cut in (start, start + 1, len(request) - 1):
            seen = guard.desk.counters.now["requests"]
            connection.sendall(request[:cut])
            until_some_has_come(guard)
            connection.sendall(request[cut:])
            assert status_from(connection) == 200
            assert guard.desk.counters.now["requests"] == seen + 1
        assert {asked.body for asked in up.asked[1:]} == {request[start:]}


def test_what_follows_a_body_behind_a_known_head_is_the_next_request(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        guard.connect() as connection,
    ):
        assert ask_again(guard, connection) == 200
        request = guard.request(ASK | {"user": "x"}, headers=KEEP)
        connection.sendall(request[:-5])
        until_some_has_come(guard)
        connection.sendall(request[-5:] + guard.request(ASK | {"user": "last"}))
        data = read_all(connection)
        assert data.count(b"HTTP/1.1 200 OK") == 2
        assert [orjson.loads(asked.body).get("user") for asked in up.asked] == [None, "x", "last"]


def test_a_known_head_behind_half_a_request_is_part_of_that_request(tmp_path: Path) -> None:
    """Its bytes are the body that the half announced, whatever they look like."""
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        guard.connect() as connection,
    ):
        assert ask_again(guard, connection) == 200
        inner = guard.request(ASK, headers=KEEP)
        half = guard.request(b"", headers=KEEP | {"content-length": str(len(inner)), "user-agent": "another"})
        connection.sendall(half)
        until_some_has_come(guard)
        connection.sendall(inner)
        assert status_from(connection) == 400
        assert len(up.asked) == 1


def test_another_key_header_or_path_on_a_connection_is_not_the_last_ones(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        other = accounts.add("other")
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        guard.connect() as connection,
    ):
        first = {"openai-beta": "a", "user-agent": "u1"}
        for key in ("", other, "", ""):
            assert ask_again(guard, connection, key=key, headers=first) == 200
        assert ask_again(guard, connection, headers={"openai-beta": "b", "user-agent": "u2"}) == 200
        assert ask_again(guard, connection, path="/v1/nothing", headers=first) == 404
        assert ask_again(guard, connection, path="/v1/chat/completions?a=b", headers=first) == 200
        assert up.asked[-1].path == "/v1/chat/completions?a=b"
        betas = [asked.headers["openai-beta"] for asked in up.asked]
        records = [record for record in guard.records() if "account" in record]
    assert betas == ["a", "a", "a", "a", "b", "a"]
    assert [record["account"] for record in records] == ["acme", "other", "acme", "acme", "acme", "acme", "acme"]
    assert [record["client"]["user_agent"] for record in records] == ["u1"] * 4 + ["u2"] + ["u1"] * 2


def test_another_model_behind_a_known_head_goes_to_its_own_upstream(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "a") as up, served_in_thread(lambda asked: "b") as other:
        upstreams = [
            UpstreamSettings("other", "openai", f"{other.base_url}/other", models=("o",)),
            UpstreamSettings("up", "openai", up.base_url),
        ]
        with gateway(up.base_url, tmp_path, upstreams=upstreams) as guard, guard.connect() as connection:
            for model in ("m", "o", "m"):
                ask_again(guard, connection, model=model)
        assert [asked.path for asked in up.asked] == ["/v1/chat/completions"] * 2
        assert [asked.path for asked in other.asked] == ["/v1/other/chat/completions"]
        assert str(other.asked[0].headers["host"]) in other.base_url


def test_a_key_that_is_revoked_works_no_more_on_a_connection_that_knows_it(tmp_path: Path) -> None:
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path) as guard,
        guard.connect() as connection,
    ):
        accounts = guard.do(lambda: Accounts.open(tmp_path))  # sqlite objects stay in the thread that made them
        guard.desk.book = guard.do(lambda: Book(accounts))
        assert ask_again(guard, connection) == 200
        assert ask_again(guard, connection) == 200
        guard.do(lambda: accounts.revoke("acme"))
        assert guard.do(guard.desk.book.refresh)
        assert ask_again(guard, connection) == 401
        guard.do(accounts.close)
        assert len(up.asked) == 2


def test_a_body_over_the_limit_behind_a_known_head_is_refused(tmp_path: Path) -> None:
    bounds = Bounds(body_mb=0.001)
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path, bounds=bounds) as guard,
        guard.connect() as connection,
    ):
        assert ask_again(guard, connection) == 200
        assert ask_again(guard, connection, user="x" * 2000) == 413
        assert len(up.asked) == 1
