"""A gateway without sockets: the real connections between transports that only remember. For framing, and for fuzzing.

    wired = Wired(folder)
    seen = wired.asked([b"POST /v1/... first piece", b"second piece"])     # what the gateway took for requests
    answered = wired.answered([b"HTTP/1.1 200 OK ..."], ends=True)         # what a customer gets for these bytes

`read_by_h11` and `answer_by_h11` read the same bytes with h11, which was written with nothing in common with llhttp.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import h11
import pytest

from spiritsafe.guard.accounts import SEGMENTS, Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.customer import Customer
from spiritsafe.guard.gateway.desk import Desk
from spiritsafe.guard.gateway.heads import Head
from spiritsafe.guard.gateway.routes import Route, Routes, fixed_headers
from spiritsafe.guard.gateway.upstream import Connection, Sink
from spiritsafe.guard.limits import Meter
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.guard.settings import Bounds, ClientSettings, LogSettings, UpstreamSettings

interpreted = pytest.mark.skipif(
    not str(sys.modules[Connection.__module__].__file__).endswith(".py"),
    reason="compiled code takes no stand-in for its own types",
)
"""For tests with stand-ins: what `make compiled` compiles checks the types that it was compiled for."""

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

ODD_REASON = re.compile(rb"HTTP/1\.[01] [0-9]{3}[^\r\n]*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters behind a status: h11 minds them, and nothing of the reason is passed on."""

FINAL = re.compile(rb"HTTP/1\.1 [2-5][0-9][0-9] ")
"""An answer that is no interim one."""

DECIDING = (b"host", b"authorization", b"x-api-key", b"content-type", b"anthropic-version", b"connection", b"expect")
"""Headers that must be read alike; Content-Length and Transfer-Encoding show in the body."""


class Asked(NamedTuple):
    """One request as it was read."""

    method: bytes
    target: bytes
    fields: tuple[bytes | None, ...]
    body: bytes


class Answered(NamedTuple):
    """One answer as it was read; `is_whole` where its end was seen."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_whole: bool


class Clock:
    """An event loop as far as connections need one: nothing is ever due."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s


@dataclass
class Transport:
    """Remembers what is written."""

    written: bytearray = field(default_factory=bytearray)
    is_closed: bool = False
    is_paused: bool = False
    has_ended: bool = False
    unsent_bytes: int = 0

    def write(self, data: bytes) -> None:
        assert not self.has_ended, "wrote behind the end"
        if not self.is_closed:
            self.written += data

    def writelines(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.write(piece)

    def write_eof(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass


@dataclass
class Pool:
    """Gives every request a connection of its own, whose answer comes when `Wired` lets it."""

    open: list[Connection] = field(default_factory=list)
    kept: list[Connection] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def send(self, request: bytes, sink: Sink) -> Connection:
        connection = Connection(self)  # type: ignore[arg-type]
        connection.connection_made(Transport())  # type: ignore[arg-type]
        self.sent.append(request)
        self.open.append(connection)
        connection.send(request, sink, is_reused=False)
        return connection

    def put_back(self, connection: Connection) -> None:
        self.kept.append(connection)

    def forget(self, connection: Connection) -> None:
        pass


class Journal:
    """Takes every record and keeps none."""

    is_full = is_failing = False
    waiting_bytes = durable = dropped = 0

    def received(self, entry: Any) -> None:
        pass

    def ended(self, entry: Any, ended: dict[str, Any], response: bytes | None) -> None:
        if entry.when_durable is not None:
            entry.when_durable(True)


class WatchedDesk(Desk):
    """Remembers every request that is taken up, refused later or not."""

    taken: list[tuple[Head, bytes]]

    def planned(self, caller: Any, body: bytes, entry: Any) -> Any:
        self.taken.append((caller.head, body))
        return super().planned(caller, body, entry)

    def health(self, head: Head) -> bytes:
        self.taken.append((head, b""))
        return super().health(head)


class Wired:
    """A desk with one account and one upstream for both formats.

    Args:
        folder: for the account; empty.
        segment: the contract of that account.
        durability: as in guard.toml.

    Attributes:
        key: of the account.
    """

    def __init__(self, folder: Path, segment: Segment | None = None, durability: Any = "interval") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with Accounts.open(folder) as accounts:
            self.key = accounts.add("acme").encode()
            book = Book(accounts)
        self.pool = Pool()
        self.clock = Clock()
        self.desk = WatchedDesk(
            book=book,
            routes=Routes([self._route(api) for api in ("openai", "anthropic")]),
            policy=Policy("enforce", dict.fromkeys(SEGMENTS, segment or Segment())),
            meter=Meter([memoryview(bytearray(Meter.bytes_for(64))).cast("Q")], 0),
            journal=Journal(),  # type: ignore[arg-type]
            counters=Counters(folder / "counters", 0),
            bounds=Bounds(body_mb=0.125),
            log=LogSettings(durability=durability),
            client=ClientSettings(),
        )
        self.desk.taken = []

    def _route(self, api: Any) -> Route:
        settings = UpstreamSettings(api, api, "http://upstream/v1")
        return Route(settings, self.pool, b"/v1", fixed_headers(settings, "upstream", "sk-operator"))  # type: ignore[arg-type]

    def connected(self) -> tuple[Customer, Transport]:
        """A customer that has just come."""
        self.desk.taken.clear()
        self.pool.open.clear()
        self.pool.kept.clear()
        self.pool.sent.clear()
        transport = Transport()
        customer = Customer(self.desk, self.clock)  # type: ignore[arg-type]
        customer.connection_made(transport)  # type: ignore[arg-type]
        return customer, transport

    def ask(self) -> bytes:
        """An ordinary request."""
        body = b'{"model":"m","messages":[]}'
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n"
        )
        return head % (self.key, len(body)) + body

    def asked(self, pieces: Iterable[bytes], answer: bytes = ANSWER) -> tuple[list[Asked], bytes]:
        """What was taken up of these reads, each request answered at once, and what was written back."""
        customer, transport = self.connected()
        for piece in pieces:
            if transport.is_closed:
                break
            customer.data_received(piece)
            while self.pool.open and not transport.is_closed:
                self.pool.open.pop(0).data_received(answer)
            assert transport.is_closed or not transport.is_paused, "nobody reads on"
        customer.connection_lost(None)
        assert not self.desk.flows
        taken = [
            Asked(head.method, _target(head), tuple(head.fields.get(name) for name in DECIDING), body)
            for head, body in self.desk.taken
        ]
        return taken, bytes(transport.written)

    def answered(self, pieces: Iterable[bytes], *, ends: bool) -> tuple[bytes, bool, bool]:
        """For one request: what its customer gets; whether there the end is the connection's; whether both are kept.

        `ends` says that the upstream closes behind the pieces.
        """
        customer, transport = self.connected()
        customer.data_received(self.ask())
        [connection] = self.pool.open
        upstream: Transport = connection.transport  # type: ignore[assignment]
        for piece in pieces:
            if not upstream.is_closed:
                connection.data_received(piece)
        if ends or upstream.is_closed:
            connection.connection_lost(None)
        is_open = bool(self.desk.flows)
        is_kept = connection in self.pool.kept and not upstream.is_closed
        customer.connection_lost(None)
        return bytes(transport.written), is_open, is_kept


def _target(head: Head) -> bytes:
    """The target without "/v1", which the gateway takes as given."""
    return head.path + head.query


# --- the other reader ------------------------------------------------------------------------------------------------

_BLANK = re.compile(rb"[\r\n]+")
_FIRST_LINE = re.compile(rb"([!-~]+) +([^ ]+) +(?:HTTP|RTSP)(/1\.[01]\r\n)")


def _plain(data: bytes) -> bytes:
    """`data` without what llhttp passes over and h11 does not: blank lines first, several spaces, RTSP for HTTP."""
    if blank := _BLANK.match(data):
        data = data[blank.end() :]
    if first := _FIRST_LINE.match(data):
        data = first.expand(rb"\1 \2 HTTP\3") + data[first.end() :]
    return data


def read_by_h11(data: bytes) -> list[Asked]:
    """The requests in `data` one behind the other, up to what is none or has no end yet."""
    found: list[Asked] = []
    while data:
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
        reader.receive_data(_plain(data))
        try:
            request = reader.next_event()
            body = b""
            while isinstance(event := reader.next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            break
        if not isinstance(request, h11.Request) or not isinstance(event, h11.EndOfMessage) or event.headers:
            break
        fields = dict(request.headers)
        target = request.target.removeprefix(b"/v1") if request.target.startswith(b"/v1/") else request.target
        found.append(Asked(request.method, target, tuple(fields.get(name) for name in DECIDING), body))
        if reader.their_state is h11.MUST_CLOSE and not _is_kept_of_old(request):
            break
        data = reader.trailing_data[0]
    return found


def _is_kept_of_old(request: h11.Request) -> bool:
    """Whether an HTTP/1.0 client keeps its connection, which h11 does not do."""
    said = dict(request.headers).get(b"connection", b"").lower()
    return request.http_version == b"1.0" and b"keep-alive" in said and b"close" not in said


_INTERIM = re.compile(rb"HTTP/1\.[01] 1[0-9]{2}[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")
_CODING = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*", re.IGNORECASE)


def _plain_answer(data: bytes) -> bytes:
    """`data` without what llhttp passes over and h11 does not: blank lines first, how an interim answer is coded.

    Interim answers end with their head whatever it says. Source: RFC 9112, section 6.3, rule 1.
    """
    data = data.lstrip(b"\r\n")
    interim = _INTERIM.match(data)
    if interim is None:
        return data
    return _CODING.sub(b"", interim.group()) + _plain_answer(data[interim.end() :])


def answer_by_h11(data: bytes, *, ends: bool) -> tuple[Answered, bytes, bool] | None:
    """The final answer in `data`, what is behind it, and whether its connection may be used again; None for none."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 22)
    reader.send(h11.Request(method="POST", target="/", headers=[("host", "a"), ("content-length", "0")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(_plain_answer(data))
    if ends:
        reader.receive_data(b"")
    head, body, event = None, b"", None
    try:
        while isinstance(head := reader.next_event(), h11.InformationalResponse):
            head = None
        while isinstance(event := reader.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError:
        event = None
    if not isinstance(head, h11.Response):
        return None
    is_whole = isinstance(event, h11.EndOfMessage)
    said = Answered(head.status_code, list(head.headers), body, is_whole)
    may_keep = reader.our_state is reader.their_state is h11.DONE or _may_stay_of_old(head)
    return said, reader.trailing_data[0] if is_whole else b"", is_whole and may_keep


def _may_stay_of_old(answer: h11.Response) -> bool:
    """Whether an HTTP/1.0 server may be asked again, which h11 never does.

    llhttp passes over a "close" beside the "keep-alive". Then the server closes, and the next request is sent anew.
    """
    said = [value.lower() for name, value in answer.headers if name == b"connection"]
    return answer.http_version == b"1.0" and any(b"keep-alive" in value for value in said)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` in pieces, cut at these places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


# --- both alike -------------------------------------------------------------------------------------------------------


def assert_read_alike(wired: Wired, data: bytes, places: list[int]) -> list[Asked]:
    """The gateway's requests are the first of h11's; returns them."""
    data = data.replace(b"{key}", wired.key)
    ours, said = wired.asked(cut(data, places))
    theirs = read_by_h11(data)
    assert ours == theirs[: len(ours)]
    assert len(FINAL.findall(said)) <= len(ours) + 1
    return ours


def assert_answered_alike(wired: Wired, data: bytes, places: list[int], *, ends: bool) -> int:
    """What a customer is given is one answer, and the one that h11 finds; returns its status, 0 for none yet."""
    written, is_open, is_kept = wired.answered(cut(data, places), ends=ends)
    return assert_same_answer(data, written, ends=ends, is_open=is_open, is_kept=is_kept)


def assert_same_answer(data: bytes, written: bytes, *, ends: bool, is_open: bool, is_kept: bool) -> int:
    """What was `written` to a customer is what h11 finds in an upstream's `data`; returns its status, 0 for none yet.

    `ends` says that the upstream closed behind it, `is_open` that the customer may get more, `is_kept` that the
    upstream's connection was used again.
    """
    theirs = answer_by_h11(data, ends=ends)
    got = answer_by_h11(written, ends=not is_open)
    if got is None:
        assert written == b""
        return 0
    answer, behind, _ = got
    assert behind == b""
    if answer.status == 502 and b"x-spiritsafe-id" in dict(answer.headers) and b"upstream" in answer.body:
        return 502
    if theirs is None:
        assert ODD_REASON.search(data)
        return answer.status
    found, surplus, may_keep = theirs
    assert (answer.status, answer.body) == (found.status, found.body) or (
        not answer.is_whole and found.body.startswith(answer.body)
    )
    assert found.is_whole or not answer.is_whole
    assert not is_kept or (may_keep and not surplus.strip(b"\r\n"))  # blank lines are passed over, here and there
    return answer.status
