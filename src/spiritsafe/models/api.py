"""A model asked over HTTP: an endpoint's row, a model's name, and one attempt a call.

    model = ApiModel(endpoint_for("openai"), "gpt-6-luna", permission="...")
    exchange = await model.ask(Request((Message("user", "hello"),), Sampling(max_tokens=64)))

Retries, pacing, budget and ledger belong to whoever asks. The key is read from the environment when the model is made
and is in no error, log, exchange or repr. For batch files, `render` and `parse_reply` do the same without sending, and
`get`, `post`, `upload` and `download` speak to the rest of the endpoint's API with the same errors.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Exchange, Request, Source, Timing
from spiritsafe.exchanges.rendering import trimmed
from spiritsafe.models.endpoints import Endpoint, Terms, price_for, refuse_unsupported, terms_for
from spiritsafe.models.http import MAX_BODY_BYTES, Came, Http
from spiritsafe.models.parsing import LARGE_BYTES, Parsers
from spiritsafe.models.prices import Prices, cost
from spiritsafe.models.secrets import read_key
from spiritsafe.wire import DIALECTS
from spiritsafe.wire.base import Answer

_MOST_SOURCES = 64
"""Different (version, fingerprint) pairs remembered; an upstream that invents one an answer must not fill memory."""


class ApiModel:
    """Implements `models.base.Model` over HTTP.

    Args:
        endpoint: who is asked.
        model: the name the endpoint knows it by.
        terms: what is known of the terms beyond the endpoint's row.
        permission: why learning from it is allowed where the terms alone do not say so; only carried along here.
        prices: what it costs where that is known better than in the table.
        extra_body: fields that every request carries, besides the endpoint's own.
        timeout_s: from sending to the last byte.
        environ: where the key's variable is looked up.
        max_body_bytes: longest answer that is read.
        clock: unix seconds.

    Raises:
        InputError: the key's variable is not set, or the endpoint's dialect is unknown.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        terms: Terms | None = None,
        permission: str | None = None,
        prices: Prices | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout_s: float = 120.0,
        environ: Mapping[str, str] = os.environ,
        max_body_bytes: int = MAX_BODY_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.prices = prices or price_for(endpoint, model)
        self.source = _source(endpoint, model, terms or terms_for(endpoint, model), permission)
        self._format = DIALECTS.get(endpoint.dialect)
        self._extra_body = dict(endpoint.extra_body) | dict(extra_body or {})
        self._key = read_key(endpoint.key_env, environ)
        self._http = Http(endpoint.base_url, self._format.headers(self._key.reveal()), timeout_s, max_body_bytes)
        self._parsers = Parsers()
        self._clock = clock
        self._sources: dict[tuple[str | None, str | None], Source] = {(None, None): self.source}

    def __repr__(self) -> str:
        return f"ApiModel({self.endpoint.name!r}, {self.model!r})"

    @property
    def dialect(self) -> str:
        """The name of the API format spoken."""
        return self._format.name

    async def ask(self, request: Request) -> Exchange:
        """Ask once; see `models.base.Model.ask`.

        Raises:
            InputError: the endpoint is known not to take this sampling; nothing was sent.
        """
        body = self.render(request)
        at = self._clock()
        started = time.perf_counter()
        came = await self._http.post(self._format.path, body)
        took_s = time.perf_counter() - started
        if came.status != 200:
            raise self._refusal(came)
        clean = self._key.out_of_body(came.body)
        try:
            if request.sampling.top_logprobs and len(clean) > LARGE_BYTES:
                answer = await self._parsers.parse(self._format, clean)
            else:
                answer = self._format.parse(clean)
        except UpstreamError as error:
            raise self._scrubbed(error) from None
        return self._exchange(request, answer, at, Timing(last_byte_s=took_s), 1.0)

    def render(self, request: Request) -> bytes:
        """The JSON body that asks for `request`, as `ask` sends it.

        Raises:
            InputError: the endpoint is known not to take this sampling.
        """
        refuse_unsupported(self.endpoint, request.sampling)
        extra = self._extra_body
        if request.sampling.top_logprobs and self.endpoint.id_fields:
            extra = dict(self.endpoint.id_fields) | extra
        return trimmed(self._format.render(self.model, request, extra))

    def parse_reply(self, request: Request, body: bytes, at: float, *, share: float = 1.0) -> Exchange:
        """The exchange of `request` and the successful body `body` that answered it, asked at unix second `at`.

        Args:
            request: what was asked.
            body: what came back.
            at: when it was asked.
            share: what is charged of the list price, e.g. 0.5 in a batch.

        Raises:
            UpstreamError: as `Dialect.parse`.
        """
        try:
            answer = self._format.parse(self._key.out_of_body(body))
        except UpstreamError as error:
            raise self._scrubbed(error) from None
        return self._exchange(request, answer, at, Timing(), share)

    def reply_error(self, status: int, body: bytes) -> UpstreamError:
        """The error of an unsuccessful body, as `ask` would raise it; for the failed lines of a batch."""
        return self._refusal(Came(status, body))

    async def get(self, path: str) -> bytes:
        """The body at `path` below the base URL.

        Raises:
            UpstreamError: no answer, or an unsuccessful one.
        """
        return self._succeeded(await self._http.get(path))

    async def post(self, path: str, body: bytes) -> bytes:
        """The body that answers `body` posted to `path`; errors as for `get`."""
        return self._succeeded(await self._http.post(path, body))

    async def upload(self, path: str, file: Path, fields: Mapping[str, str]) -> bytes:
        """The body that answers `file` posted as a form's part "file" beside `fields`; errors as for `get`."""
        return self._succeeded(await self._http.upload(path, file, fields))

    async def download(self, path: str, target: Path) -> None:
        """Write the body at `path` to `target`, however long it is; errors as for `get`.

        Raises:
            StoreError: the disk did not take it.
        """
        self._succeeded(await self._http.download(path, target))

    async def close(self) -> None:
        """Close the connections and end the parsing process. Asking afterwards is a RuntimeError."""
        self._parsers.close()
        await self._http.close()

    def _succeeded(self, came: Came) -> bytes:
        if not 200 <= came.status < 300:
            raise self._refusal(came)
        return self._key.out_of_body(came.body)

    def _refusal(self, came: Came) -> UpstreamError:
        """The error of an unsuccessful answer. A refused key is told in our own words, since theirs may quote it."""
        error = self._format.error(came.status, self._key.out_of_body(came.body), came.wait)
        if error.kind != "auth":
            return self._scrubbed(error)
        env = self.endpoint.key_env
        told = (
            f"the key in ${env} was refused by {self.endpoint.name} (HTTP {came.status}); check it and what it may use"
            if env
            else f"{self.endpoint.name} wants an API key (HTTP {came.status}); name its variable in key_env"
        )
        return UpstreamError(told, kind="auth", retryable=False, status=came.status)

    def _scrubbed(self, error: UpstreamError) -> UpstreamError:
        message = self._key.out_of(f"{self.endpoint.name}: {error}")
        return UpstreamError(message, **error.facts)

    def _exchange(self, request: Request, answer: Answer, at: float, timing: Timing, share: float) -> Exchange:
        dollars, version = answer.dollars, "reported"
        if dollars is None:
            dollars, version = cost(answer.usage, self.prices, share), self.prices.version if self.prices else ""
        return Exchange(
            id="",
            at=at,
            dialect=self._format.name,
            messages=request.messages,
            sampling=request.sampling,
            sample=request.sample,
            answer=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            timing=timing,
            logprobs=answer.logprobs,
            source=self._source_of(answer),
            dollars=dollars,
            price_version=version if dollars is not None else None,
        )

    def _source_of(self, answer: Answer) -> Source:
        """The source with what this answer says of its version; one object for all answers that say the same."""
        key = (answer.version, answer.fingerprint)
        known = self._sources.get(key)
        if known is None:
            if len(self._sources) >= _MOST_SOURCES:
                self._sources.clear()
            known = replace(self.source, version=answer.version, fingerprint=answer.fingerprint)
            self._sources[key] = known
        return known


def _source(endpoint: Endpoint, model: str, terms: Terms, permission: str | None) -> Source:
    return Source(
        endpoint=endpoint.name,
        model=model,
        terms=terms.terms,
        licence=terms.licence,
        permission=permission,
        terms_as_of=terms.as_of,
    )
