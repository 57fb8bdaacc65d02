"""Endpoints: who can be asked over HTTP. A row each: address, dialect, key variable, limits, prices and terms.

A row before a class: whoever speaks a dialect we have is an `Endpoint(...)` in `ENDPOINTS`, or, in a recipe,
`base_url` and `dialect`. Terms say what the provider's own words say of training another model on the answers; where
nobody has read them for you, or they leave it open, the class is "unknown" and a run needs a permission.

Limits of pace depend on the account at nearly every provider; those that are not stated here are found by asking
(see `models.pacing`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Sampling, TermsClass
from spiritsafe.models import prices
from spiritsafe.models.licences import LICENCES_AS_OF, weights_of
from spiritsafe.models.prices import OWN_HARDWARE, Prices, find_price
from spiritsafe.registry import Table


@dataclass(frozen=True, slots=True)
class Terms:
    """What a teacher's terms say about training another model on its answers.

    Attributes:
        terms: the class.
        licence: SPDX id or name of the weights' licence, where there is one.
        as_of: ISO date at which they were read.
        url: where they are.
        note: what they say, in one sentence.
    """

    terms: TermsClass
    licence: str | None = None
    as_of: str | None = None
    url: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Ceilings on the pace of asking; None where they depend on the account."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int = 64


@dataclass(frozen=True)
class Endpoint:
    """One place that answers.

    Attributes:
        name: the word in recipes and in the ledger.
        base_url: up to and including the version, without a slash at the end.
        dialect: name of the API format, see `wire.DIALECTS`.
        key_env: environment variable that holds the key; None where no key is needed.
        terms: the provider's terms; None where the weights are one's own affair (`own`) and their licence decides.
        own: a server of one's own: the model's licence decides, and nothing is charged.
        prices: by model name.
        batch_share: what is charged of the list price in OpenAI-format batch files; None where they are not taken.
        limits: of the pace.
        id_fields: extra body fields that make the endpoint return vocabulary ids with log-probabilities.
        max_logprobs: most alternatives a token; 0 for none at all; None where it is not known.
        supports_seed: whether a seed may be sent; None where it is not known.
        extra_body: fields that every request to it carries.
    """

    name: str
    base_url: str
    dialect: str = "chat"
    key_env: str | None = None
    terms: Terms | None = None
    own: bool = False
    prices: Mapping[str, Prices] = field(default_factory=dict)
    batch_share: float | None = None
    limits: RateLimits = RateLimits()
    id_fields: Mapping[str, Any] = field(default_factory=dict)
    max_logprobs: int | None = None
    supports_seed: bool | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)


UNREAD = Terms(
    "unknown", note="nobody has read this endpoint's terms for you; for weights you host, say [teacher.terms]"
)
"""Terms of an endpoint that a recipe gives by its address."""

_HOSTED = "hosts other people's models: the model's licence and the provider's terms both apply"

ENDPOINTS: Table[Endpoint] = Table(
    "endpoint",
    (
        Endpoint(
            "openai",
            "https://api.openai.com/v1",
            dialect="openai",
            key_env="OPENAI_API_KEY",
            terms=Terms(
                "forbids",
                as_of="2026-11-24",
                url="https://openai.com/policies/services-agreement/",
                note="output may not be used to develop models that compete with OpenAI",
            ),
            prices=prices.OPENAI,
            batch_share=0.5,
            limits=RateLimits(max_in_flight=256),
            max_logprobs=20,
            supports_seed=True,
        ),
        Endpoint(
            "anthropic",
            "https://api.anthropic.com/v1",
            dialect="anthropic",
            key_env="ANTHROPIC_API_KEY",
            terms=Terms(
                "forbids",
                as_of="2026-11-24",
                url="https://www.anthropic.com/legal/commercial-terms",
                note="the service may not be used to build a competing product, including to train competing models",
            ),
            prices=prices.ANTHROPIC,
            max_logprobs=0,
            supports_seed=False,
        ),
        Endpoint(
            "openrouter",
            "https://openrouter.ai/api/v1",
            key_env="OPENROUTER_API_KEY",
            terms=Terms(
                "unknown",
                as_of="2026-11-24",
                url="https://openrouter.ai/docs/cookbook/evaluate-and-optimize/distillation.md",
                note="passes on to many providers; its model list says, at best effort, which may be distilled",
            ),
            limits=RateLimits(max_in_flight=128),
            # Older accounts report what they charged only when asked to.
            extra_body={"usage": {"include": True}},
        ),
        Endpoint(
            "together",
            "https://api.together.xyz/v1",
            key_env="TOGETHER_API_KEY",
            terms=Terms(
                "unknown",
                as_of="2026-04-29",
                url="https://www.together.ai/terms-of-service",
                note=f"{_HOSTED}; its terms restrict building competing products",
            ),
        ),
        Endpoint(
            "deepseek",
            "https://api.deepseek.com/v1",
            key_env="DEEPSEEK_API_KEY",
            terms=Terms(
                "permits",
                as_of="2026-04-29",
                url="https://cdn.deepseek.com/policies/en-US/deepseek-open-platform-terms-of-service.html",
                note="section 4.2 names training other models (such as model distillation) among the allowed uses",
            ),
            prices=prices.DEEPSEEK,
            # Its own limits are 2,500 (flash) and 500 (pro) at once.
            limits=RateLimits(max_in_flight=256),
            max_logprobs=20,
        ),
        Endpoint(
            "mistral",
            "https://api.mistral.ai/v1",
            key_env="MISTRAL_API_KEY",
            terms=Terms(
                "unknown",
                as_of="2026-11-24",
                url="https://legal.mistral.ai/terms/commercial-terms-of-service",
                note="the terms name a ban for image output only and do not speak of learning from text",
            ),
            # It takes `random_seed` and refuses a field it does not know.
            supports_seed=False,
        ),
        Endpoint(
            "groq",
            "https://api.groq.com/openai/v1",
            key_env="GROQ_API_KEY",
            terms=Terms(
                "unknown",
                as_of="2025-10-15",
                url="https://console.groq.com/docs/legal/services-agreement",
                note=_HOSTED,
            ),
            batch_share=0.5,
            max_logprobs=0,
        ),
        Endpoint(
            "fireworks",
            "https://api.fireworks.ai/inference/v1",
            key_env="FIREWORKS_API_KEY",
            terms=Terms(
                "unknown",
                as_of="2026-04-29",
                url="https://fireworks.ai/terms-of-service",
                note=f"{_HOSTED}; its terms restrict building competing products",
            ),
        ),
        Endpoint(
            "vllm",
            "http://127.0.0.1:8000/v1",
            own=True,
            limits=RateLimits(max_in_flight=512),
            id_fields={"return_tokens_as_token_ids": True},
            # The server's own default; it is started with --max-logprobs for more.
            max_logprobs=20,
            supports_seed=True,
        ),
        Endpoint("sglang", "http://127.0.0.1:30000/v1", own=True, limits=RateLimits(max_in_flight=512)),
        Endpoint(
            "llamacpp", "http://127.0.0.1:8080/v1", own=True, limits=RateLimits(max_in_flight=8), supports_seed=True
        ),
        Endpoint(
            "ollama", "http://127.0.0.1:11434/v1", own=True, limits=RateLimits(max_in_flight=4), supports_seed=True
        ),
        Endpoint(
            "embedded", "http://127.0.0.1:8089/v1", own=True, limits=RateLimits(max_in_flight=8), supports_seed=True
        ),
    ),
)
"""Every endpoint known by name. `embedded` is what `spiritsafe serve` serves."""


def endpoint_for(
    name: str, base_url: str | None = None, dialect: str | None = None, key_env: str | None = None
) -> Endpoint:
    """The row called `name`, changed as given; or, with `base_url`, an endpoint of one's own under that name.

    A row that is moved to another address keeps only what cannot be wrong there: prices and a permission in the terms
    are dropped, a ban stays. A server of one's own stays one within one's own network.

    Raises:
        InputError: no row is called `name` and no address is given, or the address is not one.
    """
    known = ENDPOINTS.names()
    if base_url is None and name not in known:
        raise InputError(f"unknown endpoint {shown(name)}; known: {', '.join(known)}; or give base_url and dialect")
    if name in known:
        row = ENDPOINTS.get(name)
        if base_url is not None and checked_url(base_url) != row.base_url:
            row = _moved(row, checked_url(base_url))
    else:
        row = Endpoint(name, checked_url(base_url or ""), terms=UNREAD)
    return replace(row, dialect=dialect or row.dialect, key_env=key_env or row.key_env)


def _moved(row: Endpoint, base_url: str) -> Endpoint:
    terms = row.terms
    if terms is not None and terms.terms not in ("forbids", "unknown"):
        terms = UNREAD
    own = row.own and is_private(base_url)
    return replace(
        row, base_url=base_url, terms=terms if own or terms else UNREAD, own=own, prices={}, batch_share=None
    )


def checked_url(base_url: str) -> str:
    """`base_url` without a slash at the end.

    Raises:
        InputError: it is no http or https address, or holds a user name, a query or a fragment.
    """
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound, parts = False, urlsplit("")
    if "@" in parts.netloc:
        raise InputError("base_url holds a user name or password; take it out and name the key's variable in key_env")
    if not sound or parts.query or parts.fragment:
        raise InputError(f"got base_url {shown(base_url)}, wanted an address such as http://127.0.0.1:8000/v1")
    return base_url.rstrip("/")


def is_loopback(base_url: str) -> bool:
    """Whether the address is this machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(base_url: str) -> bool:
    """Whether the address lies within one's own network: private numbers, and names that the internet does not know."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))


def terms_for(endpoint: Endpoint, model: str) -> Terms:
    """What is known of the terms of `model` at `endpoint`.

    For a server of one's own the licence of the weights decides; a provider's own terms otherwise, beside which the
    licence of the weights is still named where it is known.
    """
    weights = weights_of(model)
    if endpoint.terms is not None:
        return endpoint.terms if weights is None else replace(endpoint.terms, licence=weights.licence)
    if weights is None:
        return Terms("unknown", note="the licence of these weights is not known here; say it in [teacher.terms]")
    return Terms(weights.terms, weights.licence, LICENCES_AS_OF, note=weights.note)


def price_for(endpoint: Endpoint, model: str) -> Prices | None:
    """What `model` costs at `endpoint`; None where the price is not known, which is never zero."""
    return OWN_HARDWARE if endpoint.own else find_price(endpoint.prices, model)


def refuse_unsupported(endpoint: Endpoint, sampling: Sampling) -> None:
    """Refuse sampling that `endpoint` is known not to take, before anything is sent.

    Raises:
        InputError: log-probabilities beyond `max_logprobs`, or a seed where none is taken.
    """
    most = endpoint.max_logprobs
    if sampling.top_logprobs and most is not None and sampling.top_logprobs > most:
        allowed = f"at most {most}" if most else "none: this endpoint gives no log-probabilities"
        raise InputError(f"got top_logprobs = {sampling.top_logprobs} for {endpoint.name}, wanted {allowed}; lower it")
    if sampling.seed is not None and endpoint.supports_seed is False:
        raise InputError(f"got seed = {sampling.seed} for {endpoint.name}, which takes none; remove it")
