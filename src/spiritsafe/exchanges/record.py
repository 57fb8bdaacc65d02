"""What was asked and answered: the one record that every side reads. Standard library only.

An `Exchange` says who was asked, what, with which sampling, what came back and on which terms. It never says why: a
record that carried a purpose could leak the answer key of a drill to a detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RECORD_VERSION = 1
"""Version written into every stored exchange; readers accept this version and the ones before it."""

TermsClass = Literal["open_weights", "permits", "forbids", "unknown"]
"""What the teacher's terms say about training another model on its answers."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `content` is text; other content parts are kept as parsed JSON in `parts`."""

    role: str
    content: str
    parts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is to be drawn. None means "not sent": the upstream's default applies.

    `other` holds fields that only some dialects know, as (name, JSON value) pairs sorted by name.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    other: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model: the messages, the sampling, and which of several samples this one is (0, 1, …)."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the upstream counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_input_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from sending the request to the first and to the last byte of the answer; None where unknown."""

    first_byte_s: float | None = None
    last_byte_s: float | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Top-k log-probabilities of an answer, packed (see `exchanges.logprobs` for the layout).

    Attributes:
        tokens: T, the number of answer tokens covered.
        k: alternatives kept a token.
        packed: the bytes; at k = 20 at most 80 a token.
        has_ids: True if ids are the teacher's vocabulary ids; False if they index `table`.
        table: the distinct token strings, as bytes, where the upstream gave no ids.
    """

    tokens: int
    k: int
    packed: bytes
    has_ids: bool = True
    table: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Which model answered and on what terms: carried on every exchange and into every card.

    Attributes:
        endpoint: name of the endpoint row; with `model` it identifies the teacher in the ledger.
        model: the name asked for.
        version: the name or snapshot the upstream answered with.
        fingerprint: the upstream's system fingerprint or the sha256 of local weights.
        terms: class of the terms.
        licence: SPDX id for open weights.
        permission: the recipe's words where the terms alone do not allow it.
        terms_as_of: ISO date at which the terms were read.
    """

    endpoint: str = ""
    model: str = ""
    version: str | None = None
    fingerprint: str | None = None
    terms: TermsClass = "unknown"
    licence: str | None = None
    permission: str | None = None
    terms_as_of: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        id: hex id; for a teacher's exchange the canonical request key of the ledger.
        at: unix seconds at which the request was sent.
        dialect: the API format spoken.
        messages, sampling, sample: the request.
        answer: the answer's text, without reasoning.
        reasoning: the reasoning text where the model gave one, else None.
        finish_reason: "stop", "length", "content_filter", "tool_calls", "error" or what the upstream said.
        source: who answered, on what terms.
        dollars: what it cost; None where the price is unknown (never zero for "unknown").
        price_version: version of the price table used, or "reported" where the upstream said what it charged.
        charged_to: the recipe name or account whose budget paid for it.
        account, segment, client: filled in by a gateway; empty for our own requests.
        other: keys this version does not know, kept as they came.
    """

    id: str
    at: float
    dialect: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    sample: int = 0
    answer: str = ""
    reasoning: str | None = None
    finish_reason: str = "stop"
    usage: Usage = Usage()
    timing: Timing = Timing()
    logprobs: TokenLogprobs | None = None
    source: Source = Source()
    dollars: float | None = None
    price_version: str | None = None
    charged_to: str = ""
    account: str = ""
    segment: str = ""
    client: Mapping[str, Any] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)
