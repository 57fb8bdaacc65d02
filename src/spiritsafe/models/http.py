"""Bytes over HTTP with our errors: one client an upstream, connections kept, no redirects, no retries.

Around pyreqwest (Rust's reqwest). A proxy is taken from the environment, as usual, but never for this machine. Answers
are read up to a cap, whatever the upstream says of their length. Nothing here knows what a body means.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BodyDecodeError, DetailedPyreqwestError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.multipart import FormBuilder, PartBuilder
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

import spiritsafe
from spiritsafe.errors import InputError, StoreError, UpstreamError, shown

MAX_BODY_BYTES = 64 << 20
"""An answer longer than this is given up: 64 MiB is a hundred times the largest with log-probabilities."""

CONNECT_TIMEOUT_S = 15.0
"""A host that has not taken a connection by then is not there."""

_SETTLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Came:
    """What an upstream sent back.

    Attributes:
        status: the HTTP status.
        body: the bytes, decompressed.
        wait: seconds to wait before asking again, as text, where it said so (only looked for in failures).
    """

    status: int
    body: bytes
    wait: str | None = None


class Http:
    """A client for one upstream.

    Args:
        base_url: what paths are appended to.
        headers: sent with every request; they may hold a key, so they are kept by the client alone.
        timeout_s: from sending to the last byte of the answer.
        max_body_bytes: longest answer that is read.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], timeout_s: float, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self.base_url = base_url
        self.where = _where(base_url)
        self.timeout_s = timeout_s
        self.max_body_bytes = max_body_bytes
        self.closed = False
        self._client = _client(base_url, headers, timeout_s)
        self._urls: dict[str, Url] = {}

    def __repr__(self) -> str:
        return f"Http({self.base_url!r})"

    async def post(self, path: str, body: bytes) -> Came:
        """Post JSON and read the answer.

        Raises:
            UpstreamError: no answer came, or not a whole one.
        """
        # Reading an address takes longer than all else that is done to build a request.
        url = self._urls.get(path) or self._urls.setdefault(path, Url(self.base_url + path))
        return await self._send(self._client.post(url).body_bytes(body))

    async def get(self, path: str) -> Came:
        """Get `path`; errors as for `post`."""
        return await self._send(self._client.get(self.base_url + path))

    async def upload(self, path: str, file: Path, fields: Mapping[str, str]) -> Came:
        """Post `file` as the part "file" of a form with `fields`, streamed from disk; errors as for `post`.

        Raises:
            InputError: the file cannot be read.
        """
        form = FormBuilder()
        for name, value in fields.items():
            form = form.text(name, value)
        try:
            part = (await PartBuilder.from_file(file)).file_name(file.name).mime("application/jsonl")
        except OSError as error:
            raise InputError(f"cannot read {shown(str(file))}: {error.strerror or error}; write it first") from None
        return await self._send(self._client.post(self.base_url + path).multipart(form.part("file", part)))

    async def download(self, path: str, target: Path) -> Came:
        """Get `path` into the file `target`, of any length; the body that comes back is that of a failure, else empty.

        Raises:
            UpstreamError: as for `post`.
            StoreError: the disk did not take it.
        """
        try:
            async with self._client.get(self.base_url + path).build_streamed() as response:
                if response.status != 200:
                    return await self._came(response)
                with target.open("wb") as out:
                    async for chunk in _chunks(response):
                        out.write(chunk)
                return Came(200, b"")
        except PyreqwestError as error:
            raise self._failure(error) from None
        except OSError as error:
            raise StoreError(f"cannot write {shown(str(target))}: {error.strerror}; make room") from None

    async def _send(self, request: RequestBuilder) -> Came:
        try:
            async with request.build_streamed() as response:
                return await self._came(response)
        except PyreqwestError as error:
            raise self._failure(error) from None

    async def _came(self, response: Response) -> Came:
        status = response.status
        length = response.get_header("content-length")
        if length is not None and int(length) <= self.max_body_bytes:
            body = (await response.bytes()).to_bytes()
        else:
            body = await self._read_capped(response)
        return Came(status, body, None if status == 200 else _wait(response, time.time()))

    async def _read_capped(self, response: Response) -> bytes:
        body = bytearray()
        async for chunk in _chunks(response):
            body += chunk
            if len(body) > self.max_body_bytes:
                raise UpstreamError(
                    f"{self.where} sent more than {self.max_body_bytes >> 20} MiB; ask for shorter answers",
                    kind="malformed",
                    retryable=False,
                    maybe_billed=True,
                    status=response.status,
                )
        return bytes(body)

    def _failure(self, error: PyreqwestError) -> Exception:
        if self.closed:
            return RuntimeError("this model is closed; make another")
        return failure(error, self.where, self.timeout_s)

    async def close(self) -> None:
        """Close the connections; what is in flight fails."""
        self.closed = True
        await self._client.close()


async def _chunks(response: Response) -> AsyncIterator[memoryview]:
    while (chunk := await response.body_reader.read_chunk()) is not None:
        yield memoryview(chunk)


def _client(base_url: str, headers: Mapping[str, str], timeout_s: float) -> Client:
    _settle_at_exit()
    builder = (
        ClientBuilder()
        .http1_only()
        .follow_redirects(False)
        .referer(False)
        .user_agent(f"spiritsafe/{spiritsafe.__version__}")
        .timeout(timedelta(seconds=timeout_s))
        .connect_timeout(timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)))
        .default_headers(dict(headers))
    )
    host = urlsplit(base_url).hostname or ""
    return (builder.no_proxy() if host in ("localhost", "::1") or host.startswith("127.") else builder).build()


@cache
def _settle_at_exit() -> None:
    """Let pyreqwest's thread out of the interpreter before it is torn down.

    The thread that hands over the last result wakes the event loop before it has let go of the interpreter; a program
    that ends at once then dies of `PyGILState_Release` (seen in 5 to 10 % of runs; 0.15.1 on Python 3.11).
    """
    atexit.register(time.sleep, _SETTLE_S)


def _where(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _wait(response: Response, now_s: float) -> str | None:
    return wait_text(response.get_header("retry-after"), response.get_header("retry-after-ms"), now_s)


def wait_text(retry_after: str | None, retry_after_ms: str | None, now_s: float) -> str | None:
    """Seconds to wait, as text, from `Retry-After` (seconds or an HTTP date) or `retry-after-ms`, which is finer."""
    if retry_after_ms is not None and retry_after_ms.strip().isdecimal():
        return f"{int(retry_after_ms) / 1000:g}"
    if retry_after is None:
        return None
    try:
        at_s = parsedate_to_datetime(retry_after).timestamp()
    except (TypeError, ValueError, OverflowError):
        return retry_after.strip()
    return f"{max(0.0, at_s - now_s):g}"


def failure(error: PyreqwestError, where: str, timeout_s: float) -> UpstreamError:
    """What a failed transfer to `where` (host:port) means: whether anything was sent, and so whether it may cost."""
    details = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    causes = [cause["message"] for cause in details or ()]
    reason = causes[-1] if causes else error.message
    if "client error (Connect)" in causes or any("dns error" in cause for cause in causes):
        return _unreachable(where, reason)
    if isinstance(error, RequestTimeoutError):
        return UpstreamError(
            f"{where} did not answer within {timeout_s:g} s; raise timeout_s or ask for less",
            kind="timeout",
            retryable=True,
            maybe_billed=True,
        )
    if isinstance(error, BodyDecodeError) and "error reading a body from connection" not in causes:
        return UpstreamError(
            f"{where} sent a body that cannot be decompressed ({reason}); check the base URL and what is in between",
            kind="malformed",
            retryable=True,
            maybe_billed=True,
        )
    return UpstreamError(
        f"{where} broke off before the answer was complete ({reason}); try again later",
        kind="broken_off",
        retryable=True,
        maybe_billed=True,
    )


def _unreachable(where: str, reason: str) -> UpstreamError:
    host = where.rpartition(":")[0]
    here = host in ("localhost", "::1") or host.startswith("127.")
    advice = "is it running? start it or set base_url" if here else "check base_url and the network"
    return UpstreamError(f"cannot reach {where} ({reason}); {advice}", kind="unreachable", retryable=True)
