"""From an ask to a request over HTTP and its answer: what a customer's own program does.

Every account has its own key, speaks its own API format, and half of all accounts stream. Nothing that is sent says
that it was simulated. What only the operator's proxy in front could know comes in headers such as a proxy adds:
`x-real-ip`, `x-asn` and `x-ja4`; a gateway believes them if its guard.toml says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import NamedTuple

import orjson
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from spiritsafe.drills.acting import Ask
from spiritsafe.drills.loopback import Loopback
from spiritsafe.drills.recording import asks_for_stream
from spiritsafe.errors import InputError, UpstreamError, shown
from spiritsafe.exchanges.record import Request
from spiritsafe.models.http import failure
from spiritsafe.wire import DIALECTS
from spiritsafe.wire.base import Dialect
from spiritsafe.wire.surfaces import surface_of

PROXY_HEADERS = {"x-real-ip": "ip", "x-asn": "asn", "x-ja4": "ja4"}
"""Headers as a proxy in front adds them, and the client fact in each."""

TIMEOUT_S = 300.0
"""From sending to the last byte: a small model on a busy machine takes its time."""


class Sent(NamedTuple):
    """What came back.

    Attributes:
        status: the HTTP status; 0 where no whole answer came.
        text: the answer's text; "" unless the status is 200.
        fault: why there is no answer to read, as a word of `UpstreamError.kind`; "" where there is one.
    """

    status: int
    text: str = ""
    fault: str = ""


class Sender:
    """Asks one gateway, for all accounts.

    Args:
        gateway: where.
        keys: each account's key, by its name.
        dialect: the API format that everybody speaks; "" for each account's own.
        timeout_s: from sending to the last byte.
    """

    def __init__(
        self, gateway: Loopback, keys: Mapping[str, str], *, dialect: str = "", timeout_s: float = TIMEOUT_S
    ) -> None:
        self._gateway = gateway
        self._keys = keys
        self._dialect = dialect and DIALECTS.get(dialect).name
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Sender:
        builder = ClientBuilder().http1_only().follow_redirects(False).referer(False).no_proxy()
        self._client = builder.timeout(timedelta(seconds=self._timeout_s)).build()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(self, ask: Ask) -> Sent:
        """Ask once.

        Raises:
            InputError: there is no key for the account.
            UpstreamError: nothing listens at the address.
        """
        dialect = DIALECTS.get(self._dialect or ask.dialect)
        headers = {**self._headers(ask), **dialect.headers(self._key(ask.account))}
        request = self._client.post(self._gateway.base_url + dialect.path).headers(headers)
        try:
            async with request.body_bytes(_body(dialect, ask)).build_streamed() as response:
                is_stream = (response.get_header("content-type") or "").startswith("text/event-stream")
                status, body = response.status, (await response.bytes()).to_bytes()
        except PyreqwestError as error:
            return _failed(failure(error, f"{self._gateway.host}:{self._gateway.port}", self._timeout_s))
        return _sent(dialect, status, body, is_stream=is_stream)

    def _key(self, account: str) -> str:
        key = self._keys.get(account)
        if key is None:
            raise InputError(
                f"got no key for account {shown(account)}, wanted one for every account of the scenario; "
                "run  spiritsafe drills enrol  for this scenario"
            )
        return key

    def _headers(self, ask: Ask) -> dict[str, str]:
        seen = {name: ask.client[fact] for name, fact in PROXY_HEADERS.items() if fact in ask.client}
        return seen | {"user-agent": ask.client.get("user_agent", "")}


def _body(dialect: Dialect, ask: Ask) -> bytes:
    body = dialect.render(ask.model, Request(ask.messages, ask.sampling), {})
    return orjson.dumps({**orjson.loads(body), "stream": True}) if asks_for_stream(ask.account) else body


def _failed(error: UpstreamError) -> Sent:
    """No answer. That nobody is there at all is an error: it would be the same for everybody else."""
    if error.kind == "unreachable":
        raise error
    return Sent(0, "", error.kind)


def _sent(dialect: Dialect, status: int, body: bytes, *, is_stream: bool) -> Sent:
    if status != 200:
        return Sent(status, "", dialect.error(status, body, None).kind)
    try:
        return Sent(status, dialect.parse(_folded(dialect, body) if is_stream else body).text)
    except UpstreamError as error:
        return Sent(status, "", error.kind)


def _folded(dialect: Dialect, stream: bytes) -> bytes:
    """A stream as the body that the same request would have got without one."""
    surface = surface_of(b"POST", dialect.path.encode(), anthropic=dialect.name == "anthropic")
    assert surface is not None, "every dialect's path is a surface"
    assert surface.fold is not None, "what has a dialect can be streamed"
    fold = surface.fold()
    fold.feed(stream)
    return fold.body()
