"""The gate, over real HTTP: who is let through, what reaches the servers, and that a refused client can read why."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.models.balancer import Address, Balancer
from spiritsafe.models.gate import END, Gate, complaint_about, passed_on

KEY, INNER = "sesame-42", "inner"
RIGHT = {"Authorization": f"Bearer {KEY}"}
keys = st.text("abcABC-_.123", min_size=1, max_size=20)
headers = st.dictionaries(st.sampled_from(["Host", "Accept", "X-A"]), st.text("abc ,;=", max_size=9))


def head_of(fields: dict[str, str], path: str = "/v1/models") -> bytes:
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + END


@given(keys, keys, headers)
def test_only_the_key_itself_is_let_through(key: str, sent: str, others: dict[str, str]) -> None:
    complaint = complaint_about(head_of(others | {"Authorization": f"Bearer {sent}"}), key.encode())

    assert complaint == ("" if sent == key else complaint_about(head_of({"Authorization": "Bearer x"}), b"y"))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY.upper()}"},
        {"X-Api-Key": f"Bearer {KEY}"},
        {"Authorization": f"Bearer {KEY}", "authorization": "Bearer other"},
    ],
)
def test_anything_else_is_not(fields: dict[str, str]) -> None:
    assert complaint_about(head_of(fields), KEY.encode())


@pytest.mark.parametrize("said", ["Bearer {}", "bearer {}", "BEARER   {} "])
def test_the_scheme_is_read_as_http_has_it(said: str) -> None:
    assert complaint_about(head_of({"authorization": said.format(KEY)}), KEY.encode()) == ""


@given(headers)
def test_a_head_is_passed_on_with_the_servers_own_key_and_for_one_request(others: dict[str, str]) -> None:
    head = head_of(others | RIGHT | {"Connection": "keep-alive"})

    assert passed_on(head, INNER.encode()) == head_of(
        others | {"Authorization": f"Bearer {INNER}", "Connection": "close"}
    )


def behind_the_gate(scene: Callable[[Address], Any]) -> tuple[Any, list[bytes]]:
    """What `scene`, given the gate's address, returned, and the bytes that reached the server behind it."""
    reached: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.readuntil(END))
        length = next((int(x.split()[1]) for x in reached[-1].split(b"\r\n") if x.startswith(b"Content-Length")), 0)
        reached[-1] += await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def main() -> Any:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        gate = Gate(KEY, Balancer([server.sockets[0].getsockname()[:2]]), INNER)
        front = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
        try:
            return await asyncio.to_thread(scene, front.sockets[0].getsockname()[:2])
        finally:
            front.close()
            server.close()

    return asyncio.run(main()), reached


def asked(
    address: Address, method: str, path: str, fields: dict[str, str], body: bytes | None = None
) -> tuple[int, str | None, bytes]:
    """Status, content type and body of one answer."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request(method, path, body, fields)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type"), response.read()
    finally:
        connection.close()


def test_with_the_key_head_and_body_reach_a_server_and_its_answer_the_client() -> None:
    body = bytes(range(256)) * 4000

    got, reached = behind_the_gate(lambda at: asked(at, "POST", "/v1/chat/completions", RIGHT, body))

    assert got == (200, None, b"ok")
    assert [one.partition(END)[2] for one in reached] == [body]
    assert KEY.encode() not in reached[0]


@pytest.mark.parametrize("fields", [{}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/healthy", "/"])
def test_without_it_the_answer_is_openais_401_and_nothing_reaches_a_server(fields: dict[str, str], path: str) -> None:
    got, reached = behind_the_gate(lambda at: asked(at, "POST", path, fields, b"x" * 1_000_000))

    error = json.loads(got[2])["error"]
    assert got[:2] == (401, "application/json")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_api_key")
    assert "API key" in error["message"]
    assert KEY not in error["message"]
    assert reached == []


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
def test_health_is_open_and_takes_nothing_along(path: str) -> None:
    smuggled = head_of({"Authorization": f"Bearer {INNER}"}, "/v1/models")

    got, reached = behind_the_gate(lambda at: asked(at, "GET", path, {"X-Mine": "1"}, smuggled))

    assert got[0] == 200
    assert [one.split(b"\r\n")[0] for one in reached] == [b"GET /health HTTP/1.1"]
    assert b"X-Mine" not in reached[0]


def test_a_kept_connection_asks_for_the_key_each_time() -> None:
    def scene(address: Address) -> list[int]:
        connection = http.client.HTTPConnection(*address, timeout=20)
        found = []
        for fields in (RIGHT, {}, RIGHT):
            connection.request("GET", "/v1/models", headers=fields)
            response = connection.getresponse()
            response.read()
            found.append(response.status)
        connection.close()
        return found

    found, reached = behind_the_gate(scene)

    assert found == [200, 401, 200]
    assert len(reached) == 2


@pytest.mark.parametrize("sent", [b"", b"GET /v1/models HT", b"A" * 200_000])
def test_what_is_no_request_is_closed(sent: bytes) -> None:
    async def main() -> bytes:
        front = await asyncio.start_server(Gate(KEY, Balancer([("127.0.0.1", 1)]), INNER).serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*front.sockets[0].getsockname()[:2])
        writer.write(sent)
        writer.write_eof()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()
            front.close()

    assert asyncio.run(main()) == b""
