"""A small real HTTP server that answers from a function, over loopback. For tests, drills and benchmarks.

    async with serve_scripted(lambda asked: "blue") as server:
        model = ApiModel(endpoint_for("mine", base_url=server.base_url, dialect="chat"), "any-model")
        await model.ask(...)
        server.asked[0].headers["user-agent"]

    with served_in_thread(script) as server:      # the same for code that is not async, such as a command under test
        subprocess.run([..., server.base_url])

The script gets an `Asked` and gives a str, an `Answer` or an `UpstreamError`, which are written in the dialect that
was spoken (known by the path: /chat/completions or /messages), or a `Reply`, which is put on the wire as it is, with
any status, headers, body, and a place at which the connection breaks off. It may be `async`: then a test decides with
events of its own when the answer comes, and nothing has to sleep. Any path and method is served.

Limits: HTTP/1.1 without TLS, bodies held in memory, no log-probabilities (give a `Reply` with a body of your own).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from inspect import isawaitable
from typing import Any

import orjson

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Request
from spiritsafe.models.scripted import as_answer
from spiritsafe.wire.anthropic import ANTHROPIC
from spiritsafe.wire.base import Answer, Dialect
from spiritsafe.wire.chat import CHAT

_STATUS_OF = {
    "auth": 401,
    "quota": 402,
    "unknown_model": 404,
    "refused": 400,
    "rate_limited": 429,
    "timeout": 504,
}


@dataclass(frozen=True)
class Asked:
    """One request as it came.

    Attributes:
        number: how many came before it (0, 1, …), over all connections.
        method, path: of the request line; the path includes the query.
        headers: names in lower case.
        body: the bytes.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def dialect(self) -> Dialect | None:
        """The format spoken, by the end of the path; None for other paths."""
        route = self.path.partition("?")[0]
        return next((one for one in (CHAT, ANTHROPIC) if route.endswith(one.path)), None)

    @cached_property
    def _read(self) -> tuple[str, Request]:
        if self.dialect is None:
            raise InputError(f"{self.method} {self.path} is not a request for an answer; look at body instead")
        return self.dialect.read(self.body)

    @property
    def model(self) -> str:
        """The model asked for."""
        return self._read[0]

    @property
    def request(self) -> Request:
        """The messages and sampling asked for.

        Raises:
            InputError: the path or the body is not a request for an answer.
        """
        return self._read[1]

    @property
    def text(self) -> str:
        """The content of the last turn."""
        return self.request.messages[-1].content

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to put on the wire.

    Attributes:
        body: the bytes after the headers.
        status: the HTTP status.
        headers: added to content-type and content-length, or in their place.
        cut: close the connection after this many bytes of the whole response, status line included; 0 answers
            nothing at all. None sends everything and keeps the connection.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None

    def encoded(self) -> bytes:
        """The whole response."""
        headers = {"content-type": "application/json", "content-length": str(len(self.body))} | dict(self.headers)
        phrase = HTTPStatus(self.status).phrase if self.status in HTTPStatus._value2member_map_ else "Unknown"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} {phrase}\r\n{lines}\r\n".encode("latin-1") + self.body


Said = str | Answer | UpstreamError | Reply
"""What a script may answer."""

Script = Callable[[Asked], Said | Awaitable[Said]]


@dataclass
class ReplyServer:
    """A running server.

    Attributes:
        port: where it listens on 127.0.0.1.
        asked: every request so far, in the order they were complete.
        connections: how many connections were opened so far.
    """

    script: Script
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    _open: set[asyncio.Transport] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        """For an endpoint of either dialect."""
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def serve_scripted(script: Script, *, port: int = 0) -> AsyncIterator[ReplyServer]:
    """Serve `script` on 127.0.0.1 in the running loop until the block ends; port 0 takes a free one."""
    server = ReplyServer(script)
    listening = await asyncio.get_running_loop().create_server(lambda: _Connection(server), "127.0.0.1", port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for transport in list(server._open):
            transport.abort()


@contextmanager
def served_in_thread(script: Script, *, port: int = 0) -> Iterator[ReplyServer]:
    """`serve_scripted` in a thread with a loop of its own, for callers that are not async."""
    running: Future[tuple[ReplyServer, Callable[[], object]]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve_until_stopped(script, port, running)), daemon=True)
    thread.start()
    server, stop = running.result()
    try:
        yield server
    finally:
        stop()
        thread.join()


async def _serve_until_stopped(
    script: Script, port: int, running: Future[tuple[ReplyServer, Callable[[], object]]]
) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    try:
        async with serve_scripted(script, port=port) as server:
            running.set_result((server, lambda: loop.call_soon_threadsafe(stopped.set)))
            await stopped.wait()
    except OSError as error:
        running.set_exception(error)


class _Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other."""

    def __init__(self, server: ReplyServer) -> None:
        self.server = server
        self.received = bytearray()
        self.transport: asyncio.Transport
        self.answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections += 1
        self.server._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server._open.discard(self.transport)
        if self.answering is not None:
            self.answering.cancel()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._answer_what_is_complete()

    def _answer_what_is_complete(self) -> None:
        while self.answering is None:
            came = take_request(self.received)
            if came is None:
                return
            asked = Asked(len(self.server.asked), *came)
            self.server.asked.append(asked)
            self._answer(asked)

    def _answer(self, asked: Asked) -> None:
        try:
            said = self.server.script(asked)
            if isawaitable(said):
                self.answering = asyncio.ensure_future(self._answer_later(asked, said))
                return
            reply = _reply_of(said, asked)
        except Exception as error:
            reply = _failed(error)
        self._put(reply)

    async def _answer_later(self, asked: Asked, said: Awaitable[Said]) -> None:
        try:
            reply = _reply_of(await said, asked)
        except Exception as error:
            reply = _failed(error)
        self.answering = None
        self._put(reply)
        self._answer_what_is_complete()

    def _put(self, reply: Reply) -> None:
        self.transport.write(reply.encoded()[: reply.cut])
        if reply.cut is not None:
            self.transport.close()


def take_request(received: bytearray) -> tuple[str, str, dict[str, str], bytes] | None:
    """Take the first complete HTTP request off `received`: (method, path, headers, body); None if there is none yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    start = end + 4
    if headers.get("transfer-encoding", "").lower() == "chunked":
        chunked = _chunked_body(received, start)
        if chunked is None:
            return None
        body, stop = chunked
    else:
        stop = start + int(headers.get("content-length", "0"))
        if len(received) < stop:
            return None
        body = bytes(received[start:stop])
    del received[:stop]
    return method, path, headers, body


def _chunked_body(received: bytearray, at: int) -> tuple[bytes, int] | None:
    """(body, where it ends) of a chunked body that starts at `at`; None if it is not complete. No trailers."""
    body = bytearray()
    while (end := received.find(b"\r\n", at)) >= 0:
        size = int(received[at:end].partition(b";")[0], 16)
        at = end + 2 + size + 2
        if len(received) < at:
            return None
        if size == 0:
            return bytes(body), at
        body += received[end + 2 : end + 2 + size]
    return None


def _reply_of(said: Said, asked: Asked) -> Reply:
    """What a script said, as bytes of the dialect that was spoken."""
    if isinstance(said, Reply):
        return said
    if isinstance(said, UpstreamError):
        return error_reply(said)
    if asked.dialect is None:
        raise InputError(f"the script answered {said!r} to {asked.method} {asked.path}; wanted a Reply there")
    return Reply(asked.dialect.write(asked.model, as_answer(said, asked.request)))


def error_reply(error: UpstreamError) -> Reply:
    """The reply that a client reads as `error`: its status, or the usual one for its kind, and its Retry-After."""
    status = error.status or _STATUS_OF.get(error.kind, 503)
    headers = {} if error.retry_after_s is None else {"retry-after": f"{error.retry_after_s:g}"}
    return Reply(orjson.dumps({"error": {"message": str(error), "type": error.kind}}), status, headers)


def _failed(error: Exception) -> Reply:
    """A script that raises must be seen by the test that wrote it: as an error that no client retries."""
    return Reply(orjson.dumps({"error": {"message": f"the script failed: {error!r}"}}), 400)
