"""What comes out of the gateway at both ends is what h11 reads in what went in: framing, seen from outside.

As `test_framing_differential`, but over sockets and without stand-ins, so it holds for the compiled files too. Of what
a customer sends, the answers tell what was taken for a request, and the upstream what it was taken for. Of what an
upstream sends, the customer tells what was taken for the answer, and the next request what for its end.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from tests.guard.gateway.framing import (
    KEY,
    halved_heads,
    odd_answers,
    odd_streams,
    ordinary_answers,
    ordinary_streams,
    streams,
    upstreams,
)
from tests.guard.gateway.gateways import ASK, RawUpstream, Running, gateway, raw_upstream, read_all
from tests.guard.gateway.wires import (
    ANSWER,
    DECIDING,
    Answered,
    Asked,
    answer_by_h11,
    assert_same_answer,
    cut,
    read_by_h11,
)

from spiritsafe.guard.gateway.bodies import loaded_object
from spiritsafe.guard.gateway.heads import BadRequest
from spiritsafe.wire.surfaces import surface_of

EVERYTHING = 1 << 30


def let_read(guard: Running) -> None:
    """Let the gateway read what was sent before what is sent next; where it has not, it reads both at once."""
    guard.do(lambda: None)


def faults_of(guard: Running) -> list[dict[str, Any]]:
    """What is raised in the gateway's loop from now on and caught by nobody; else it would only be logged."""
    faults: list[dict[str, Any]] = []

    def watch() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))

    guard.do(watch)
    return faults


class Customer:
    """A customer's connection.

    Attributes:
        got: what it was sent.
        behind: what of that is behind the last whole answer, as of the last `read`.
        is_over: whether the gateway sends no more.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a piece goes out before the next is sent
        self._connection = connection
        self.got = self.behind = b""
        self.is_over = False

    def send(self, data: bytes) -> None:
        """Send what a gateway that has closed will not miss."""
        with suppress(ConnectionError):
            self._connection.sendall(data)

    def read(self, count: int) -> list[Answered]:
        """Read until there are `count` whole answers or no more can come; the answers so far, by h11."""
        while len(answers := self._answers()) < count and not self.is_over:
            piece = b""
            with suppress(ConnectionError):
                piece = self._connection.recv(1 << 16)
            self.got += piece
            self.is_over = not piece
        return answers

    def _answers(self) -> list[Answered]:
        answers, rest = [], self.got
        while (found := answer_by_h11(rest, ends=self.is_over)) is not None and found[0].is_whole:
            answer, rest, _ = found
            answers.append(answer)
        self.behind = rest
        return answers

    def leave(self) -> None:
        """Say that nothing more is sent, at which the gateway closes."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)


# --- requests --------------------------------------------------------------------------------------------------------


@dataclass
class Asking:
    """A gateway that is asked, and an upstream that answers everything alike."""

    guard: Running
    up: RawUpstream
    faults: list[dict[str, Any]]

    def taken(self) -> int:
        """How many requests with a known key the gateway has taken up."""
        taken: int = self.guard.do(lambda: self.guard.desk.counters.now["requests"])
        return taken


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with (
        raw_upstream(lambda connection, up: connection.sendall(ANSWER)) as up,
        gateway(up.url, tmp_path_factory.mktemp("asking")) as guard,
    ):
        yield Asking(guard, up, faults_of(guard))


def answers_to(guard: Running, pieces: Sequence[bytes]) -> list[Answered]:
    """The answers to what comes in these pieces, each sent when all is answered that h11 reads in those before it."""
    with guard.connect() as connection:
        customer, sent = Customer(connection), b""
        for piece in pieces:
            customer.send(piece)
            sent += piece
            let_read(guard)
            customer.read(len(read_by_h11(sent)))
            if customer.is_over:
                break
        customer.leave()
        answers = customer.read(EVERYTHING)
        assert customer.behind in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
        return answers


def is_of_health(answer: Answered) -> bool:
    return answer.body == b"ok\n"


def is_of_request(answer: Answered) -> bool:
    """Whether it answers a request that was taken up; the others refuse a connection."""
    return is_of_health(answer) or b"x-spiritsafe-id" in dict(answer.headers)


def is_health(asked: Asked) -> bool:
    return asked.method == b"GET" and asked.target.partition(b"?")[0] in (b"/healthz", b"/readyz")


def status_for(asked: Asked) -> int:
    """What a request is answered with that was taken up."""
    surface = surface_of(asked.method, asked.target.partition(b"?")[0], anthropic=False)
    if is_health(asked):
        return 200
    if surface is None:
        return 404
    if surface.reader is None:
        return 400 if asked.body else 200
    try:
        return 200 if loaded_object(asked.body).get("model") else 400
    except BadRequest:
        return 400


def passed_on(asked: Asked) -> tuple[object, ...]:
    """What an upstream is told of a request."""
    fields = dict(zip(DECIDING, asked.fields, strict=True))
    return asked.method, asked.target, fields[b"content-type"], fields[b"anthropic-version"], asked.body


def sent_on(request: bytes) -> tuple[object, ...]:
    """The same of the bytes that an upstream was sent; all behind the head is the body, or something has gone wrong."""
    [asked] = read_by_h11(request)
    return passed_on(asked._replace(body=request.partition(b"\r\n\r\n")[2]))


def assert_asked_alike(asking: Asking, data: bytes, places: list[int]) -> int:
    """The gateway's requests are the first of h11's, for the customer and for the upstream; returns how many."""
    data = data.replace(KEY, asking.guard.key.encode())
    asking.faults.clear()
    asking.up.requests.clear()
    taken_before = asking.taken()
    answers = answers_to(asking.guard, cut(data, places))
    count = sum(map(is_of_request, answers))
    ours, refusals = answers[:count], answers[count:]
    theirs = read_by_h11(data)[:count]
    assert [(one.status, is_of_health(one)) for one in ours] == [(status_for(one), is_health(one)) for one in theirs]
    assert [sent_on(request) for request in asking.up.requests] == [
        passed_on(one) for one in theirs if status_for(one) == 200 and not is_health(one)
    ]
    assert asking.taken() - taken_before == count - sum(map(is_of_health, ours))
    assert not asking.faults
    assert len(refusals) <= 1
    assert all(one.status != 408 and (b"connection", b"close") in one.headers for one in refusals)
    return count


@given(streams())
@settings(max_examples=200)
def test_what_the_gateway_takes_for_requests_h11_reads_as_the_same_requests(
    asking: Asking, stream: tuple[bytes, list[int]]
) -> None:
    assert_asked_alike(asking, *stream)


def test_ordinary_requests_are_taken_up_by_both(asking: Asking) -> None:
    for data, places, count in ordinary_streams(asking.guard.key.encode()):
        assert assert_asked_alike(asking, data, places) == count


def test_a_head_whose_end_came_in_a_later_read_is_not_known_by_its_end_alone(asking: Asking) -> None:
    for data, places in halved_heads(asking.guard.key.encode()):
        assert_asked_alike(asking, data, places)


def test_one_odd_thing_in_a_request_is_read_alike_or_refused(asking: Asking) -> None:
    for data, places in odd_streams(asking.guard.key.encode()):
        assert_asked_alike(asking, data, places)


OFFER = b"GET /healthz HTTP/1.1\r\nhost:g\r\nconnection:upgrade\r\nupgrade:h2c\r\n\r\n"


def test_what_is_no_request_behind_an_offer_to_upgrade_is_refused(asking: Asking) -> None:
    assert assert_asked_alike(asking, OFFER + b"POST / HTTP/1.1\r\n\r\n", []) == 1


def test_many_offers_to_upgrade_in_one_read_break_nothing(asking: Asking) -> None:
    assert_asked_alike(asking, OFFER * 2000, [])
    key = asking.guard.key.encode()
    nowhere = (
        b"POST /v1/no HTTP/1.1\r\nhost:g\r\nauthorization: Bearer %b\r\nconnection:upgrade\r\nupgrade:h2c\r\n" % key
    )
    assert_asked_alike(asking, (nowhere + b"content-length: 2\r\n\r\n{}") * 2000, [])


# --- answers ---------------------------------------------------------------------------------------------------------

NEXT = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\nthe next"
"""Answers the request behind the one that is looked at; its connection ends, so that the next example begins anew."""


@dataclass
class Said:
    """What an upstream says to one request.

    Attributes:
        pieces: the bytes.
        ends: whether it says behind them that there are no more.
        is_last: whether the gateway has to close then; it is waited for.
        is_over: set when all that is done.
    """

    pieces: list[bytes]
    ends: bool
    is_last: bool
    is_over: threading.Event


class Answering:
    """A gateway and an upstream that says what it is told to, once, and `NEXT` to every other request.

    Attributes:
        said: what comes next.
        connections: the upstream's connections that requests came on, in their order.
    """

    guard: Running
    faults: list[dict[str, Any]]

    def __init__(self) -> None:
        self.said: Said | None = None
        self.connections: list[socket.socket] = []

    def script(self, connection: socket.socket, up: RawUpstream) -> None:
        self.connections.append(connection)
        said, self.said = self.said, None
        if said is None:
            connection.sendall(NEXT)
            return
        try:
            for piece in said.pieces:
                connection.sendall(piece)
                let_read(self.guard)
            if said.ends:
                connection.shutdown(socket.SHUT_WR)
            if said.is_last:
                read_all(connection)
        finally:
            said.is_over.set()


@pytest.fixture(scope="module", params=["interval", "strict"])
def answering(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Answering]:
    spoken = Answering()
    with (
        raw_upstream(spoken.script) as up,
        gateway(up.url, tmp_path_factory.mktemp("answering"), durability=request.param) as guard,
    ):
        spoken.guard, spoken.faults = guard, faults_of(guard)
        yield spoken


def assert_answered_alike(answering: Answering, data: bytes, places: list[int], *, ends: bool) -> tuple[int, bool]:
    """What a customer is given is what h11 finds, and the next request is answered by nothing of it.

    Returns:
        The status, and whether the next request went out over the same connection.
    """
    seen = answer_by_h11(data, ends=False)
    ends = ends or seen is None or not seen[0].is_whole  # what h11 waits for would be waited for here too
    has_surplus = seen is not None and bool(seen[1].strip(b"\r\n"))
    answering.said = said = Said(cut(data, places), ends, ends or has_surplus, threading.Event())
    answering.connections.clear()
    answering.faults.clear()
    guard = answering.guard
    ask = guard.request(ASK, headers={"connection": "keep-alive"})
    with guard.connect() as connection:
        customer = Customer(connection)
        customer.send(ask)
        customer.read(1)
        assert said.is_over.wait(20)
        written, is_over = customer.got, customer.is_over
        if not is_over:
            customer.send(ask)
            assert [one.body for one in customer.read(2)[1:]] == [b"the next"]
    if is_over:
        with guard.connect() as connection:
            customer = Customer(connection)
            customer.send(ask)
            assert [one.body for one in customer.read(1)] == [b"the next"]
    assert not answering.faults
    first, second = answering.connections
    is_kept = first is second
    return assert_same_answer(data, written, ends=ends, is_open=not is_over, is_kept=is_kept), is_kept


@given(upstreams())
@settings(max_examples=120)
def test_what_the_gateway_takes_for_an_answer_h11_reads_as_the_same_answer(
    answering: Answering, upstream: tuple[bytes, list[int], bool]
) -> None:
    data, places, ends = upstream
    assert_answered_alike(answering, data, places, ends=ends)


def test_ordinary_answers_pass_and_keep_their_connection(answering: Answering) -> None:
    for data, places in ordinary_answers():
        assert assert_answered_alike(answering, data, places, ends=False) == (200, True)


@pytest.mark.parametrize("ends", [False, True])
def test_one_odd_thing_in_an_answer_is_read_alike_or_refused(answering: Answering, ends: bool) -> None:
    for data in odd_answers():
        assert_answered_alike(answering, data, [], ends=ends)
