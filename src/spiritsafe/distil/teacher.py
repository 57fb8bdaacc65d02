"""Teacher: the model that a recipe learns from, its terms and price, and what it is asked for each prompt.

Everything here is decided before the first request: who answers, on what terms, whether that is permitted, what it
costs. The rest of the collector only asks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import SamplingSettings, Teacher
from spiritsafe.errors import PermissionMissing
from spiritsafe.exchanges.keys import request_key
from spiritsafe.exchanges.record import Message, Request, Sampling, Source
from spiritsafe.models import prices
from spiritsafe.models.api import ApiModel
from spiritsafe.models.endpoints import Endpoint, Terms, endpoint_for, price_for, terms_for
from spiritsafe.models.licences import LICENCES_AS_OF, weights_of
from spiritsafe.models.pacing import PaceLimits

LOCAL = "local"
"""The endpoint name of weights loaded with transformers: no endpoint's terms, limits or price apply."""

LOCAL_LIMITS = PaceLimits(max_in_flight=1)


def build_teacher(teacher: Teacher, environ: Mapping[str, str] = os.environ) -> ApiModel:
    """The model to ask behind an endpoint; it carries the terms and the permission on every answer.

    Local weights are loaded by `distil.ask`, so that nothing here reaches torch.

    Raises:
        PermissionMissing: learning from it is not allowed, see `require_permission`.
        InputError: the endpoint is unknown, or its key is not set.
    """
    source = resolve_terms(teacher)
    require_permission(source)
    return ApiModel(
        _endpoint(teacher),
        teacher.model,
        terms=Terms(source.terms, source.licence, source.terms_as_of),
        permission=teacher.permission,
        prices=teacher_prices(teacher),
        extra_body=teacher.extra_body,
        timeout_s=teacher.timeout_s,
        environ=environ,
    )


def _endpoint(teacher: Teacher) -> Endpoint:
    return endpoint_for(teacher.endpoint, teacher.base_url, teacher.dialect, teacher.key_env)


def resolve_terms(teacher: Teacher) -> Source:
    """Who is asked and on what terms: the endpoint's row, and what the recipe knows beyond it.

    The recipe's `terms` hold where the row does not forbid: a ban is lifted by a permission alone, and stays in the
    record beside it.

    Raises:
        InputError: the endpoint is unknown and no address is given.
    """
    known = _local_terms(teacher.model) if teacher.endpoint == LOCAL else terms_for(_endpoint(teacher), teacher.model)
    said = teacher.terms
    if said is not None and known.terms != "forbids":
        known = Terms(said.terms, said.licence or known.licence, said.as_of or known.as_of)
    return Source(
        endpoint=teacher.endpoint,
        model=teacher.model,
        terms=known.terms,
        licence=known.licence,
        permission=teacher.permission,
        terms_as_of=known.as_of,
    )


def _local_terms(model: str) -> Terms:
    weights = weights_of(model)
    return Terms("unknown") if weights is None else Terms(weights.terms, weights.licence, LICENCES_AS_OF)


def require_permission(source: Source) -> None:
    """Check that learning from `source` is allowed, by its terms or by a permission; call it before any request.

    Raises:
        PermissionMissing: the terms forbid it or are unknown, and there is no permission.
    """
    if source.terms in ("open_weights", "permits") or (source.permission or "").strip():
        return
    who = f"{source.endpoint}/{source.model}"
    as_of = f" (as of {source.terms_as_of})" if source.terms_as_of else ""
    if source.terms == "forbids":
        raise PermissionMissing(
            f"terms of {who} forbid training competing models{as_of}; "
            f'put permission = "why it is allowed" under [teacher], or choose another teacher'
        )
    raise PermissionMissing(
        f"terms of {who} on training other models are unknown{as_of}; put terms and licence under [teacher.terms], "
        f'or permission = "why it is allowed" under [teacher]'
    )


def teacher_prices(teacher: Teacher) -> prices.Prices | None:
    """What the teacher charges: as the recipe says, else as the endpoint's table says; None where it is unknown."""
    said = teacher.prices
    if said is not None:
        return prices.Prices(said.input_per_million, said.output_per_million, said.version)
    return prices.OWN_HARDWARE if teacher.endpoint == LOCAL else price_for(_endpoint(teacher), teacher.model)


def pace_limits(teacher: Teacher) -> PaceLimits:
    """How fast the teacher may be asked: the recipe's limits, else the endpoint's."""
    if teacher.endpoint == LOCAL:
        return LOCAL_LIMITS
    said, row = teacher.limits, _endpoint(teacher).limits
    return PaceLimits(
        max_in_flight=said.max_in_flight or row.max_in_flight,
        requests_per_minute=said.requests_per_minute or row.requests_per_minute,
        tokens_per_minute=said.tokens_per_minute or row.tokens_per_minute,
    )


def teacher_messages(teacher: Teacher, prompt: Prompt) -> tuple[Message, ...]:
    """What the teacher sees: its system prompt, the worked examples, then the prompt.

    A prompt that brings a system message of its own has it joined to the teacher's, since most templates take one.
    """
    own = prompt.messages[0] if prompt.messages and prompt.messages[0].role == "system" else None
    if own is None and teacher.system is None and not teacher.shots:
        return prompt.messages
    parts = [text for text in (teacher.system, own.content if own else None) if text]
    system = [Message("system", "\n\n".join(parts), own.parts if own else ())] if parts or own else []
    shots = chain.from_iterable((Message("user", s.user), Message("assistant", s.assistant)) for s in teacher.shots)
    return (*system, *shots, *prompt.messages[1 if own else 0 :])


def requests_for(teacher: Teacher, prompt: Prompt, first: Sampling | None = None) -> Iterator[Request]:
    """The requests that `prompt` takes: one for each sample; where a seed is set, each sample has one of its own.

    Args:
        teacher: who is asked.
        prompt: about what.
        first: `sampling_of(teacher.sampling)`, where the caller has it; made here otherwise.
    """
    messages = teacher_messages(teacher, prompt)
    if first is None:
        first = sampling_of(teacher.sampling)
    for sample in range(teacher.samples):
        sampling = first if sample == 0 or first.seed is None else replace(first, seed=first.seed + sample)
        yield Request(messages, sampling, sample)


def key_for(teacher: Teacher, request: Request) -> bytes:
    """The ledger's key of asking `teacher` for `request`."""
    return request_key(teacher.endpoint, teacher.model, request, teacher.extra_body)


def sampling_of(settings: SamplingSettings) -> Sampling:
    """The sampling of the first sample."""
    return Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        seed=settings.seed,
        stop=settings.stop,
        top_logprobs=settings.top_logprobs,
        other=tuple(sorted(settings.other.items())),
    )


def escalated(teacher: Teacher, request: Request) -> Request | None:
    """`request` with the larger limit that a truncated answer is asked again with; None where there is none."""
    limit = teacher.sampling.escalated
    if limit <= teacher.sampling.max_tokens:
        return None
    return replace(request, sampling=replace(request.sampling, max_tokens=limit))
