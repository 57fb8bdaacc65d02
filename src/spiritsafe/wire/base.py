"""Dialect: the single place a native API format lives.

A dialect turns a `Request` into the bytes of an HTTP request and the bytes of an answer into an `Answer`, and, for
whoever stands on the other side of the wire (scripted servers, a gateway), the other way round; no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Request, TokenLogprobs, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream said, in our words.

    Attributes:
        text: the answer, without reasoning.
        reasoning: reasoning text, from its own field or from think tags at the start of the answer; else None.
        finish_reason: "stop", "length", "content_filter", "tool_calls", "refusal" or the upstream's own word.
        usage: token counts where given.
        version: the model name the upstream answered with.
        fingerprint: its system fingerprint.
        dollars: what it said it charged, where it said so.
        logprobs: top-k log-probabilities, packed, where asked for and given.
    """

    text: str
    reasoning: str | None = None
    finish_reason: str = "stop"
    usage: Usage = Usage()
    version: str | None = None
    fingerprint: str | None = None
    dollars: float | None = None
    logprobs: TokenLogprobs | None = None


class Dialect(Protocol):
    """One API format."""

    @property
    def name(self) -> str:
        """The word in recipes and records: "chat", "anthropic"."""
        ...

    @property
    def path(self) -> str:
        """Path below the base URL that a request is posted to."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """Headers that carry the key (None: no key is needed) and the format's version."""
        ...

    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        """The JSON body that asks `model` for `request`; `extra_body` holds the endpoint's own fields."""
        ...

    def parse(self, body: bytes) -> Answer:
        """The answer in a successful body.

        Raises:
            UpstreamError: the body is not what this format promises (kind "malformed", maybe billed).
        """
        ...

    def error(self, status: int, body: bytes, retry_after: str | None) -> UpstreamError:
        """The error in an unsuccessful answer, with whether to retry and how long to wait.

        `retry_after` is a number of seconds as text; whoever has a clock turns an HTTP date into one first. Never
        raises, whatever the body.
        """
        ...

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model name and the request in a body that a customer sent: what `render` wrote, read back.

        Raises:
            InputError: the body is not a request of this format.
        """
        ...

    def write(self, model: str, answer: Answer) -> bytes:
        """The body that gives `answer` to a customer who asked for `model`: what `parse` reads. No log-probs."""
        ...
