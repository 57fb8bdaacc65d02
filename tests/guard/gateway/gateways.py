"""A gateway for tests: the real data plane over loopback, in a thread of its own, and upstreams of raw bytes."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

from spiritsafe.exchanges.segments import Scan, SegmentWriter, segment_numbers, segment_path
from spiritsafe.guard.accounts import SEGMENTS, Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.gateway.cells import Cells
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.customer import Customer
from spiritsafe.guard.gateway.desk import Desk
from spiritsafe.guard.gateway.journal import Append, Journal
from spiritsafe.guard.gateway.routes import Route, Routes, fixed_headers
from spiritsafe.guard.gateway.upstream import Pool
from spiritsafe.guard.limits import Meter
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.guard.settings import Bounds, ClientSettings, LogSettings, UpstreamSettings

OPEN = Policy("enforce", dict.fromkeys(SEGMENTS, Segment()))
"""No limits, no hygiene, no rules."""

BOUNDS = Bounds()

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM = ASK | {"stream": True}


@dataclass
class Running:
    """A gateway that serves; `records()` once it has stopped or whenever the log has been written."""

    port: int
    key: str
    desk: Desk
    folder: Path
    _loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, what: Callable[[], Any]) -> Any:
        """Call `what` in the gateway's loop."""

        async def doing() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(10)

    def until(self, what: Callable[[], bool]) -> None:
        """Return when `what` holds in the gateway's loop."""

        async def waiting() -> None:
            while not what():
                await asyncio.sleep(0.002)

        asyncio.run_coroutine_threadsafe(waiting(), self._loop).result(20)

    def records(self) -> list[dict[str, Any]]:
        """What is on disk, after all that has ended is there."""
        self.until(lambda: self.desk.journal.waiting_bytes == 0 and not self.desk.flows)
        return records_in(self.folder)

    def only_record(self) -> dict[str, Any]:
        """The one exchange there was, its records put together."""
        merged: dict[str, Any] = {}
        records = self.records()
        assert len({record["id"] for record in records}) == 1, records
        for record in records:
            merged |= record
        return merged

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, *pieces: bytes) -> bytes:
        """All that comes back for these bytes, until the gateway ends the connection."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)

    def post(
        self, body: Any, *, path: str = "/v1/chat/completions", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        return answer_in(self.send(self.request(body, path=path, headers=headers)))

    def request(
        self, body: Any, *, path: str = "/v1/chat/completions", headers: Mapping[str, str] | None = None
    ) -> bytes:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        fields = {"host": "gateway", "authorization": f"Bearer {self.key}", "connection": "close"}
        fields |= {"content-type": "application/json", "content-length": str(len(data))} | dict(headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def answer_in(data: bytes) -> Answer:
    """The first answer in `data`."""
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    if headers.get("transfer-encoding") == "chunked":
        body, is_whole = _unchunked(rest)
        return Answer(status, headers, body, is_whole)
    length = int(headers.get("content-length", len(rest)))
    return Answer(status, headers, rest[:length], len(rest) >= length)


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while data:
        size, found, data = data.partition(b"\r\n")
        if not found:
            return body, False
        length = int(size, 16)
        if length == 0:
            return body, data == b"\r\n"
        body, data = body + data[:length], data[length + 2 :]
    return body, False


def read_all(connection: socket.socket) -> bytes:
    data = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            data += piece
    except ConnectionError:
        pass
    return bytes(data)


def records_in(folder: Path) -> list[dict[str, Any]]:
    """The records of every segment in `folder`."""
    return [
        orjson.loads(record)
        for number in segment_numbers(folder)
        for frame in Scan(segment_path(folder, number))
        for record in frame.records
    ]


@contextmanager
def gateway(
    upstream: str,
    folder: Path,
    *,
    policy: Policy = OPEN,
    segment: str = "ordinary",
    durability: Any = "interval",
    bounds: Bounds = BOUNDS,
    client: ClientSettings | None = None,
    facts: Mapping[str, str] | None = None,
    append: Append | None = None,
    most_waiting_bytes: int = 1 << 26,
    upstreams: Sequence[UpstreamSettings] | None = None,
    now_s: Callable[[], float] = time.time,
) -> Iterator[Running]:
    """A gateway in front of `upstream` (a base URL), for both formats, while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    log.mkdir(exist_ok=True)
    settings = upstreams or [UpstreamSettings(f"up-{api}", api, upstream) for api in ("openai", "anthropic")]
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with Accounts.open(folder) as accounts:
        key = accounts.add("acme", segment=segment)
        accounts.note("acme", facts or {})
        book_key = key

        async def start() -> tuple[Desk, asyncio.Server, asyncio.Task[None]]:
            with Accounts.open(folder) as own:  # sqlite objects stay in the thread that made them
                book = Book(own)
            routes = [_route(loop, one, bounds) for one in settings]
            writer = SegmentWriter(log)
            journal = Journal(loop, append or writer.append, 0.002, most_waiting_bytes, retry_s=0.01)
            desk = Desk(
                book=book,
                routes=Routes(routes),
                policy=policy,
                meter=Meter(Cells(folder / "limits", 1).columns, 0),
                journal=journal,
                counters=Counters(folder / "counters", 0),
                bounds=bounds,
                log=LogSettings(durability=durability),
                client=client or ClientSettings(),
                now_s=now_s,
            )
            server = await loop.create_server(lambda: Customer(desk, loop), "127.0.0.1", 0)
            return desk, server, loop.create_task(_sweep(desk, loop))

        desk, server, sweeper = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        port = server.sockets[0].getsockname()[1]
        try:
            yield Running(port, book_key, desk, log, loop)
        finally:

            async def stop() -> None:
                server.close()
                desk.drain()
                for flow in list(desk.flows):
                    flow.give_up("shut_down")
                await desk.journal.close(5.0)
                sweeper.cancel()
                for customer in list(desk.customers):
                    customer.cut()
                desk.routes.close()
                await asyncio.sleep(0)

            asyncio.run_coroutine_threadsafe(stop(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _route(loop: asyncio.AbstractEventLoop, settings: UpstreamSettings, bounds: Bounds) -> Route:
    parts = urlsplit(settings.url)
    assert parts.hostname is not None
    assert parts.port is not None
    pool = Pool(loop, parts.hostname, parts.port, None, bounds.connect_s, settings.most_connections)
    return Route(settings, pool, parts.path.encode(), fixed_headers(settings, parts.netloc, "sk-operator"))


async def _sweep(desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        await asyncio.sleep(0.02)
        desk.sweep(loop)


@dataclass
class RawUpstream:
    """An upstream of raw bytes.

    Attributes:
        url: its base.
        requests: the requests it got, as bytes.
        left: set when a client has gone in the middle of an answer.
    """

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)


@contextmanager
def raw_upstream(script: Callable[[socket.socket, RawUpstream], None]) -> Iterator[RawUpstream]:
    """`script` is called with the connection after each request has come; what it raises closes the connection."""
    server = RawUpstream()
    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while request := _read_request(connection):
                    server.requests.append(request)
                    script(connection, server)
            except (OSError, EOFError):
                server.left.set()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        piece = connection.recv(1 << 16)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = [
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"Bl"},"finish_reason":null}]}\n\n',
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":'
    b'{"content":"ue"},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
]
