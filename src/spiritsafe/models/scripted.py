"""A model that says what it is told: first-class, deterministic, no network. For tests, drills and dry runs.

    model = ScriptedModel(lambda request: request.messages[-1].content.upper())
    exchange = await model.ask(Request((Message("user", "hello"),)))     # exchange.answer == "HELLO"

The function gets the `Request` and gives a str, an `Answer`, or an `UpstreamError` (which is then raised). It may be
`async` and wait for an event of its own, so that a test decides when an answer comes. Tokens are counted as
white-space-separated words, an answer longer than `max_tokens` words is cut there and finishes with "length".

The same over real HTTP, with faults on the wire: `spiritsafe.models.replies.serve_scripted`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from inspect import isawaitable

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Exchange, Request, Source, Timing, Usage
from spiritsafe.wire.base import Answer

Said = str | Answer | UpstreamError
"""What a script may answer."""

Script = Callable[[Request], Said | Awaitable[Said]]

SCRIPTED = Source(endpoint="scripted", model="scripted", terms="permits")


class ScriptedModel:
    """Implements `models.base.Model` by asking a function.

    Args:
        script: what to say to a request.
        source: who it claims to be, on what terms.
        dollars_per_token: what every input and output token costs; None for an unknown price.
        clock: unix seconds, for `Exchange.at`.

    Attributes:
        asked: every request so far, in order.
        closed: whether `close` was called.
    """

    dialect = "scripted"

    def __init__(
        self,
        script: Script,
        *,
        source: Source = SCRIPTED,
        dollars_per_token: float | None = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self.asked: list[Request] = []
        self.closed = False
        self._script = script
        self._dollars_per_token = dollars_per_token
        self._clock = clock

    async def ask(self, request: Request) -> Exchange:
        """Ask the script once; see `models.base.Model.ask`."""
        if self.closed:
            raise RuntimeError("this scripted model is closed; make another")
        self.asked.append(request)
        at = self._clock()
        said = self._script(request)
        if isawaitable(said):
            said = await said
        if isinstance(said, UpstreamError):
            raise said
        return self._exchange(request, as_answer(said, request), at)

    def _exchange(self, request: Request, answer: Answer, at: float) -> Exchange:
        known = answer.version is not None or answer.fingerprint is not None
        price = self._dollars_per_token
        tokens = (answer.usage.input_tokens or 0) + (answer.usage.output_tokens or 0)
        return Exchange(
            id="",
            at=at,
            dialect=self.dialect,
            messages=request.messages,
            sampling=request.sampling,
            sample=request.sample,
            answer=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            timing=Timing(last_byte_s=max(0.0, self._clock() - at)),
            logprobs=answer.logprobs,
            source=replace(self.source, version=answer.version, fingerprint=answer.fingerprint)
            if known
            else self.source,
            dollars=answer.dollars if answer.dollars is not None else None if price is None else price * tokens,
            price_version="scripted" if price is not None else None,
        )

    async def close(self) -> None:
        """Refuse to be asked again."""
        self.closed = True


def as_answer(said: str | Answer, request: Request) -> Answer:
    """`said` as an `Answer`, cut to the limit and with its words counted where it does not say its usage itself."""
    if isinstance(said, Answer) and said.usage != Usage():
        return said
    answer = said if isinstance(said, Answer) else Answer(said)
    limit = request.sampling.max_tokens
    words = answer.text.split()
    if limit is not None and len(words) > limit:
        words = words[:limit]
        answer = replace(answer, text=" ".join(words), finish_reason="length")
    thoughts = len(answer.reasoning.split()) if answer.reasoning is not None else None
    asked = sum(len(message.content.split()) for message in request.messages)
    return replace(answer, usage=Usage(asked, len(words) + (thoughts or 0), thoughts))
