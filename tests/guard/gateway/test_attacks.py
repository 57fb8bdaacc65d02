"""Requests that two programs could read in two ways, on the wire: refused, seen by no upstream, followed by nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.guard.gateway.gateways import ASK, Answer, Running, answer_in, chunk, gateway, raw_upstream, read_all

from spiritsafe.guard.gateway.customer import MOST_AHEAD, MOST_FRAMING_BYTES
from spiritsafe.guard.settings import Bounds
from spiritsafe.models.replies import ReplyServer, served_in_thread

BODY = b'{"model":"m","messages":[]}'
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: gateway\r\n"
KEY = b"Authorization: Bearer {key}\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = chunk(BODY) + b"0\r\n\r\n"
SMUGGLED = b"GET /v1/models/SMUGGLED HTTP/1.1\r\n" + HOST + KEY + b"Connection: close\r\n\r\n"


def asks(*lines: bytes, line: bytes = LINE, body: bytes = BODY) -> bytes:
    """A request of these lines and a body of known length."""
    return b"".join((line, HOST, KEY, LENGTH, *lines, b"\r\n", body))


def codes(value: bytes, body: bytes = CHUNKS) -> bytes:
    """A request with this Transfer-Encoding."""
    return b"".join((LINE, HOST, KEY, b"Transfer-Encoding:", value, b"\r\n\r\n", body))


def lasts(value: bytes) -> bytes:
    """A request with this Content-Length."""
    return b"".join((LINE, HOST, KEY, b"Content-Length:", value, b"\r\n\r\n", BODY))


def at_host(value: bytes) -> bytes:
    return asks().replace(HOST, b"Host:" + value + b"\r\n")


def at(target: bytes, method: bytes = b"GET") -> bytes:
    return b"".join((method, b" ", target, b" HTTP/1.1\r\n", HOST, KEY, b"\r\n"))


ATTACKS = {
    # two ways to find the end of the body
    "two Transfer-Encodings": codes(b"chunked\r\nTransfer-Encoding:chunked"),
    "Transfer-Encoding on HTTP/1.0": codes(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "length, then chunked": asks(CHUNKED),
    "chunked, then length": codes(b"chunked\r\n" + LENGTH[:-2]),
    **{
        f"Transfer-Encoding {value!r}": codes(value)
        for value in (
            b"xchunked",
            b"chunked, identity",
            b"gzip, chunked",
            b"\x0bchunked",
            b"chunked,",
            b'"chunked"',
            b"",
        )
    },
    "space before the colon": codes(b"chunked").replace(b"Encoding:", b"Encoding :"),
    "two lengths alike": asks(LENGTH),
    "two lengths": asks(b"Content-Length: 0\r\n"),
    **{
        f"length {value!r}": lasts(value)
        for value in (b"+27", b"-1", b"0x1b", b"27,27", b"27 27", b"1e1", b"27\x0b", b"", b"9" * 19, b"9" * 40)
    },
    # what llhttp passes over inside of chunks
    "chunk extension": codes(b"chunked", b"1b;a=b\r\n%b\r\n0\r\n\r\n" % BODY),
    "extension of the last chunk": codes(b"chunked", chunk(BODY) + b"0;a=b\r\n\r\n"),
    "zero before a size": codes(b"chunked", b"0" + CHUNKS),
    "zeros before the last size": codes(b"chunked", chunk(BODY) + b"0000\r\n\r\n"),
    "space behind a size": codes(b"chunked", CHUNKS.replace(b"1b", b"1b ")),
    "size in C": codes(b"chunked", b"0x" + CHUNKS),
    "negative size": codes(b"chunked", b"-" + CHUNKS),
    "size that overflows": codes(b"chunked", b"1000000000000000" + CHUNKS),
    "line feed behind a size": codes(b"chunked", CHUNKS.replace(b"\r\n", b"\n", 1)),
    "no line end behind a chunk": codes(b"chunked", CHUNKS.replace(b"}\r\n", b"}")),
    "trailer": codes(b"chunked", chunk(BODY) + b"0\r\nX: y\r\n\r\n"),
    "trailer that names a length": codes(b"chunked", chunk(BODY) + b"0\r\nContent-Length: 5\r\n\r\n"),
    # lines that end in two ways
    "folded header": asks(b"X: a\r\n b\r\n"),
    "header folded with a tab": asks(b"X: a\r\n\tb\r\n"),
    "line feeds alone": asks().replace(b"\r\n", b"\n"),
    "one line feed alone": asks(b"X: a\n"),
    "carriage return in a header": asks(b"X: a\rY: b\r\n"),
    "space before a name": asks().replace(HOST, b" " + HOST),
    "no colon": asks(b"X\r\n"),
    "no name": asks(b": a\r\n"),
    **{
        f"byte {byte} in a {where}": asks().replace(before, before + bytes([byte]))
        for byte in (0, 1, 8, 11, 12, 27, 127)
        for where, before in (("value", b"gateway"), ("name", b"Ho"), ("target", b"/v1/c"))
    },
    # whose request, and where to
    "no Host": asks().replace(HOST, b""),
    "two Hosts": asks(HOST),
    "two Hosts that differ": asks(b"Host: elsewhere\r\n"),
    **{
        f"Host {value!r}": at_host(value)
        for value in (
            b"a/b",
            b"a?b",
            b"u@a",
            b"a b",
            b"",
            b"a,b",
            b"[::1",
            b"a:b",
            b"a#",
            b"a:999999",
            b"\xff",
            b"a\\b",
        )
    },
    "two keys": asks(KEY),
    "both kinds of key": asks(KEY.replace(b"Authorization: Bearer", b"x-api-key:")),
    "absolute target": asks(line=LINE.replace(b" /", b" http://127.0.0.1:{elsewhere}/")),
    "target of another scheme": asks(line=LINE.replace(b" /", b" file:///")),
    "authority target": at(b"127.0.0.1:{elsewhere}", b"CONNECT"),
    **{
        f"target {value!r}": at(value)
        for value in (
            b"/v1/../files",
            b"//elsewhere/v1",
            b"/v1//models",
            b"/v1/models#a",
            b"\\v1",
            b"/v1/./models",
            b"*",
            b"v1",
        )
    },
    **{
        f"model {value!r}": at(b"/v1/models/" + value)
        for value in (
            b"%2e%2e/files",
            b"%2E%2E/files",
            b".%2e/files",
            b"%2e/a",
            b"%252e%252e/files",
            b"..;/files",
            b"a%2f..%2f..%2ffiles",
            b"a%5cb",
            b"a%00",
            b"a%0d%0aX:%20y",
            b"a%3fb",
            b"a%23b",
            b"a%7f",
            b"a%zz",
            b"a%",
            b"./a",
        )
    },
    # methods and protocols
    **{
        f"method {method.decode()}": asks(line=LINE.replace(b"POST", method))
        for method in (
            b"CONNECT",
            b"TRACE",
            b"OPTIONS",
            b"HEAD",
            b"PUT",
            b"DELETE",
            b"PATCH",
            b"post",
            b"FOO",
            b"PROPFIND",
        )
    },
    "OPTIONS of everything": at(b"*", b"OPTIONS"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40),
    "upgrade to a websocket": asks(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "upgrade to HTTP/2 over TLS": asks(b"Connection: Upgrade\r\nUpgrade: h2\r\n"),
    "upgrade to h2c or a websocket": asks(b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n"),
    "upgrade to nothing": asks(b"Connection: Upgrade\r\n"),
    **{
        f"version {version.decode()}": asks(line=LINE.replace(b"HTTP/1.1", version))
        for version in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.1", b"HTTP/1", b"ICE/1.0", b"http/1.1")
    },
    "HTTP/0.9": b"GET /v1/models\r\n",
    # size
    "header of 100 KB": asks(b"X: %b\r\n" % (b"a" * 100_000)),
    "target of 100 KB": at(b"/v1/models/" + b"a" * 100_000),
    "5,000 headers": asks(b"X: a\r\n" * 5_000),
    "header that does not end": asks()[:-30] + b"X: " + b"a" * 100_000,
    "compressed body": asks(b"Content-Encoding: gzip\r\n"),
    "body with a GET": at(b"/healthz").replace(b"\r\n\r\n", b"\r\n" + LENGTH + b"\r\n" + BODY),
    "chunked body with a GET": at(b"/healthz").replace(b"\r\n\r\n", b"\r\n" + CHUNKED + b"\r\n" + CHUNKS),
}


@dataclass
class Place:
    """One gateway for all attacks, its upstream, and a listener that is in no configuration."""

    guard: Running
    up: ReplyServer
    elsewhere: socket.socket

    def filled(self, data: bytes) -> bytes:
        port = b"%d" % self.elsewhere.getsockname()[1]
        return data.replace(b"{key}", self.guard.key.encode()).replace(b"{elsewhere}", port)

    def attacked(self, *pieces: bytes) -> bytes:
        """All that comes back for the pieces; a gateway that stops listening is no failure."""
        with self.guard.connect() as connection:
            try:
                for piece in pieces:
                    connection.sendall(self.filled(piece))
            except ConnectionError:
                pass
            return read_all(connection)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("attacks")
    with (
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, folder) as guard,
    ):
        elsewhere.setblocking(False)
        yield Place(guard, up, elsewhere)
        with pytest.raises(BlockingIOError):  # nobody has ever connected there
            elsewhere.accept()
        assert guard.do(lambda: guard.desk.flows) == set()


def answers_in(data: bytes) -> list[Answer]:
    """Every answer in `data`, one behind the other."""
    found = []
    while data:
        answer = answer_in(data)
        found.append(answer)
        data = data[data.index(b"\r\n\r\n") + 4 + len(answer.body) :]
    return found


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(place: Place, attack: bytes) -> None:
    before = len(place.up.asked)
    answers = answers_in(place.attacked(attack + SMUGGLED))
    assert [400 <= answer.status < 500 or answer.status == 505 for answer in answers] == [True]
    assert place.up.asked[before:] == []


def test_an_ordinary_request_passes_between_attacks_and_the_next_one_too(place: Place) -> None:
    before = len(place.up.asked)
    first, second = answers_in(place.attacked(asks() + SMUGGLED))
    assert (first.status, [asked.path for asked in place.up.asked[before:]]) == (
        200,
        ["/v1/chat/completions", "/v1/models/SMUGGLED"],
    )
    assert second.status != 404  # an upstream's answer: the test above would see a smuggled one


def test_a_slash_in_a_models_name_may_be_escaped_as_clients_do_it(place: Place) -> None:
    before = len(place.up.asked)
    place.attacked(at(b"/v1/models/org%2Fmodel:7b") + SMUGGLED)
    assert place.up.asked[before].path == "/v1/models/org%2Fmodel:7b"


@pytest.mark.parametrize("closing", [b"close", b"Close", b"keep-alive, close", b"notclose", b"x, close"])
def test_nothing_behind_the_last_request_of_a_connection_is_served(place: Place, closing: bytes) -> None:
    before = len(place.up.asked)
    refused = asks(b"Connection: %b\r\n" % closing, body=b"[" * len(BODY))
    answers = answers_in(place.attacked(refused + SMUGGLED, SMUGGLED))
    assert [answer.status for answer in answers] == [400]
    assert place.up.asked[before:] == []


def test_a_refused_request_is_answered_once_whatever_follows_it_piece_by_piece(place: Place) -> None:
    answers = answers_in(place.attacked(codes(b"chunked\r\nHost: twice"), SMUGGLED, b"\x00" * 50, SMUGGLED))
    assert [answer.status for answer in answers] == [400]


def test_requests_without_end_ahead_of_their_answers_are_not_collected(tmp_path: Path) -> None:
    go_on = threading.Event()

    def script(connection: socket.socket, up: object) -> None:
        go_on.wait(20)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard, guard.connect() as connection:
        connection.sendall(guard.request(ASK, headers={"connection": "keep-alive"}) * 50)
        guard.until(lambda: bool(up.requests))
        go_on.set()
        statuses = [answer.status for answer in answers_in(read_all(connection))]
        assert statuses == [200] * (1 + MOST_AHEAD) + [400]
        assert len(up.requests) == 1 + MOST_AHEAD


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"X", b"\r\nGET"])
def test_a_head_that_comes_without_end_is_not_waited_for(tmp_path: Path, piece: bytes) -> None:
    """Each piece is one more sign of life; the time for the whole head counts."""
    with gateway("http://127.0.0.1:9/v1", tmp_path, bounds=Bounds(head_s=0.1)) as guard, guard.connect() as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\n")
        connection.settimeout(0.01)
        data = b""
        while not data:
            try:
                connection.sendall(piece)
                data = connection.recv(1 << 16)
            except TimeoutError:
                continue
        assert answer_in(data).status in (400, 408, 431)


def test_an_extension_without_end_is_refused_before_it_ends(place: Place) -> None:
    answer = answer_in(place.attacked(codes(b"chunked", b"5;" + b"a" * 100)))
    assert (answer.status, "extensions" in answer.json["error"]["message"]) == (400, True)


def test_a_body_in_chunks_of_a_byte_is_refused_and_a_small_one_is_read(place: Place) -> None:
    many = chunk(b" ") * (MOST_FRAMING_BYTES // 4)
    assert answer_in(place.attacked(codes(b"chunked", many))).status == 400
    few = b"".join(chunk(BODY[at : at + 1]) for at in range(len(BODY))) + b"0\r\n\r\n"
    assert answer_in(place.attacked(codes(b"chunked\r\nConnection: close", few))).status == 200


def test_what_has_no_key_makes_the_gateway_keep_no_body(place: Place) -> None:
    for line in (b"GET /healthz", b"GET /readyz", b"POST /v1/messages"):
        head = line + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n"
        assert answer_in(place.attacked(head + b"x" * 100_000)).status in (400, 401)


def test_a_customer_that_never_reads_its_answer_is_let_go(tmp_path: Path) -> None:
    bounds = Bounds(idle_s=0.1, stall_s=0.1)
    with (
        served_in_thread(lambda asked: "x" * (8 << 20)) as up,
        gateway(up.base_url, tmp_path, bounds=bounds) as guard,
        guard.connect() as connection,
    ):
        connection.sendall(guard.request(ASK, headers={"connection": "keep-alive"}))
        guard.until(lambda: bool(up.asked))
        guard.until(lambda: not guard.desk.customers)
