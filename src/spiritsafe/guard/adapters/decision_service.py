"""Decisions asked over HTTP, one for the head of each request: for nginx's auth_request and Envoy's ext_authz.

A proxy asks with its customer's headers, and with the customer's path behind one of two prefixes:

    /decide/v1/chat/completions    200, or the refusal as the customer shall get it (Envoy passes it on)
    /nginx/v1/chat/completions     200, 401 or 403: auth_request knows no others, so the refusal itself is in headers

A 200 says in headers whose request it is, and what holds for it. /healthz and /metrics are there for the operator.

Limits: a body is never seen here. So nothing is logged, what leaves the model is not cut, tokens are counted only where
another process counts them, and the end of a request is not known: requests at once are not limited. Whoever reaches
the address may ask about keys, as at the gateway; keep it to the proxy's own machine or network.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable

import httptools

from spiritsafe.errors import InputError, shown
from spiritsafe.guard.adapters.decider import Decider, Passed
from spiritsafe.guard.gateway.answers import Header, head_of
from spiritsafe.guard.gateway.heads import MOST_HEAD_BYTES, BadRequest, Headers, checked_head
from spiritsafe.guard.settings import Settings
from spiritsafe.wire.refusals import refusal_body

ADDRESS = "127.0.0.1:9465"

DECIDE = b"/decide"
NGINX = b"/nginx"

FOLLOW_S = 0.25
"""How often accounts and decisions are looked at for changes: a revoked key works for no longer."""

Say = Callable[[str], None]


class Service:
    """Answers what a proxy asks.

    Args:
        decider: decides.

    Attributes:
        answered: how often each status was given for a customer's request.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self.answered: Counter[int] = Counter()

    def answer(self, method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
        """The whole answer to a request of HTTP `version` ("1.1")."""
        for prefix in (DECIDE, NGINX):
            if target.startswith(prefix + b"/"):
                return self._decided(method, target[len(prefix) :], version, headers, for_nginx=prefix == NGINX)
        if target == b"/healthz":
            return _text(200, b"ok\n")
        if target == b"/metrics":
            return _text(200, self._metrics().encode())
        return _text(404, b"wanted /decide/..., /nginx/..., /healthz or /metrics\n")

    def _decided(self, method: bytes, target: bytes, version: str, headers: Headers, *, for_nginx: bool) -> bytes:
        api = "anthropic" if any(name.lower() == b"anthropic-version" for name, _ in headers) else "openai"
        try:
            head = checked_head(method, target, version, headers)
            api = self._decider.gate.api_of(head)
            passed = self._decider.passed(head.key)
        except BadRequest as refused:
            self.answered[refused.status] += 1
            return _refused_to_nginx(api, refused) if for_nginx else _refused(api, refused)
        self.answered[200] += 1
        return head_of(200, [*_facts(passed), (b"content-length", b"0")], self._limits(passed, api))

    def _limits(self, passed: Passed, api: str) -> bytes:
        return b"" if passed.known is None else self._decider.gate.limit_lines(passed.known, api)

    def _metrics(self) -> str:
        name = "spiritsafe_decided_total"
        lines = [f"# HELP {name} Requests decided about, by the status they got.", f"# TYPE {name} counter"]
        lines += [f'{name}{{status="{status}"}} {count}' for status, count in sorted(self.answered.items())]
        return "".join(f"{line}\n" for line in lines)


def _facts(passed: Passed) -> list[Header]:
    """All of them each time: what is not set would be what the customer wrote."""
    return [
        (b"x-spiritsafe-account", passed.account.encode()),
        (b"x-spiritsafe-segment", passed.segment.encode()),
        (b"x-spiritsafe-action", passed.action.encode()),
        (b"x-spiritsafe-decision", b"none" if passed.decision is None else passed.decision.id.encode()),
    ]


def _refused(api: str, refused: BadRequest) -> bytes:
    body = refusal_body(api, refused.status, str(refused), refused.code)
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return head_of(refused.status, [*own, *refused.headers]) + body


def _refused_to_nginx(api: str, refused: BadRequest) -> bytes:
    body = refusal_body(api, refused.status, str(refused), refused.code)
    own = [(b"x-spiritsafe-status", b"%d" % refused.status), (b"x-spiritsafe-body", body)]
    return head_of(401 if refused.status == 401 else 403, [*own, *refused.headers, (b"content-length", b"0")])


def _text(status: int, body: bytes) -> bytes:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    return head_of(status, headers) + body


class _Proxy(asyncio.Protocol):
    """The connection of a proxy; it asks again and again on it. A body that it sends is passed over."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parser = httptools.HttpRequestParser(self)
        self._waiting_bytes = 0
        self._target = b""
        self._headers: Headers = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A proxy has connected."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream, as was asked for

    def data_received(self, data: bytes) -> None:
        """What the proxy sends."""
        self._waiting_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.close()
        if self._waiting_bytes > 2 * MOST_HEAD_BYTES:
            self._transport.close()

    def on_url(self, target: bytes) -> None:
        """Parser: a piece of the request target."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        self._headers.append((name, value))

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        parser = self._parser
        target, headers = self._target, self._headers
        self._target, self._headers, self._waiting_bytes = b"", [], 0
        self._transport.write(self._service.answer(parser.get_method(), target, parser.get_http_version(), headers))
        if not parser.should_keep_alive():
            self._transport.close()


def serve_decisions(settings: Settings, address: str, say: Say) -> None:
    """Answer proxies at `address` (HOST:PORT) until SIGTERM or an interrupt; `say` is told what happens, by lines.

    Raises:
        InputError: the address is none or is taken, or the policy is wrong.
        StoreError: the data folder cannot be used.
    """
    import uvloop

    host, port = _address(address)

    async def serve() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await answering(settings, host, port, say, stop)

    uvloop.run(serve())


async def answering(
    settings: Settings,
    host: str,
    port: int,
    say: Say,
    stop: asyncio.Event,
    *,
    follow_s: float = FOLLOW_S,
    now_s: Callable[[], float] = time.time,
) -> None:
    """Answer proxies at that address, port 0 taking a free one, until `stop` is set. Raises as `serve_decisions`."""
    loop = asyncio.get_running_loop()
    with Decider(settings, say=say, now_s=now_s) as decider:
        service = Service(decider)
        try:
            server = await loop.create_server(lambda: _Proxy(service), host, port)
        except OSError as error:
            raise InputError(f"cannot listen on {host}:{port}: {error.strerror}; choose another address") from None
        say(f"decisions at {host}:{server.sockets[0].getsockname()[1]}")
        follower = loop.create_task(_follow(decider, follow_s))
        await stop.wait()
        server.close()
        follower.cancel()


async def _follow(decider: Decider, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        decider.follow()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"got address {shown(text)}, wanted HOST:PORT like {ADDRESS}; give one")
    return host.strip("[]"), int(port)
