"""Plan: what a run will take, before a cent is spent.

Counts the requests, finds those already in the ledger, and estimates tokens, dollars and minutes for the rest: from
this teacher's own exchanges in the ledger where there are any, else from the size of the text. The worst case is what
the budget will reserve. What cannot be known stays None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.teacher import key_for, pace_limits, requests_for, teacher_prices
from spiritsafe.exchanges.record import Exchange, Request, Source, Usage
from spiritsafe.models.budget import Cost, worst_case
from spiritsafe.models.endpoints import endpoint_for
from spiritsafe.models.prices import Prices, cost

BYTES_A_TOKEN = 4
"""Of English text in current vocabularies, for estimates only."""

OUTPUT_SHARE = 0.5
"""Of `max_tokens` that an answer is guessed to use while none has been seen."""

BYTES_A_WEIGHT = 16
"""Training in float32: the weight, its gradient and two moments of AdamW, four bytes each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will take.

    Attributes:
        prompts, held_out: prompts to train on and to evaluate on.
        expansion: requests that make new prompts out of the seeds, at least.
        requests: requests in all, `in_ledger` of them answered and paid for already.
        input_tokens, output_tokens: estimate for those that are new.
        dollars: estimate for those that are new; None where the price is unknown.
        dollars_at_most: what the budget would reserve for them in all; None where the price is unknown.
        price_version: of the price table.
        minutes: estimate of asking; None where neither a limit nor an earlier answer tells.
        training_gb: weights, gradients and optimiser of the student; None where its size is not known before loading.
        estimated_from: "earlier exchanges" or "size of the text".
        source: the teacher, its terms, licence and permission.
    """

    prompts: int
    held_out: int
    expansion: int
    requests: int
    in_ledger: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    dollars_at_most: float | None
    price_version: str | None
    minutes: float | None
    training_gb: float | None
    estimated_from: str
    source: Source

    def to_json(self) -> dict[str, Any]:
        """As `stages/plan.json` holds it."""
        return asdict(self)


@dataclass
class _New:
    """Sums over the requests that are not in the ledger."""

    requests: int = 0
    text_bytes: int = 0
    most_output_tokens: int = 0
    worst: Cost = field(default_factory=Cost)

    def add(self, request: Request, prices: Prices | None) -> None:
        self.requests += 1
        self.text_bytes += sum(len(m.content.encode()) for m in request.messages)
        self.most_output_tokens += request.sampling.max_tokens or 0
        self.worst += worst_case(request, prices)


@dataclass
class _Seen:
    """Sums over this teacher's exchanges that are in the ledger."""

    exchanges: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    def add(self, exchange: Exchange) -> None:
        usage = exchange.usage
        self.exchanges += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        self.seconds += exchange.timing.last_byte_s or 0.0


def plan(
    recipe: Recipe,
    source: Source,
    prompts: Iterable[Prompt],
    held_out: Callable[[], Iterable[Prompt]],
    find: Callable[[bytes], Exchange | None],
    *,
    expansion: Sequence[Request] = (),
    parameters: int | None = None,
) -> Plan:
    """Plan `recipe`.

    Args:
        recipe: the run.
        source: the teacher with its terms, see `teacher.resolve_terms`.
        prompts: to train on, read once.
        held_out: gives the held-out prompts, once the others have been read.
        find: an exchange of the ledger by its key.
        expansion: what is asked to have the prompts.
        parameters: of the student, where known.
    """
    prices = teacher_prices(recipe.teacher)
    seen, new, counts = _Seen(), _New(), [0, 0]

    def requests() -> Iterator[Request]:
        yield from expansion
        for which, stream in enumerate((lambda: prompts, held_out)):
            for prompt in stream():
                counts[which] += 1
                yield from requests_for(recipe.teacher, prompt)

    for request in requests():
        found = find(key_for(recipe.teacher, request))
        if found is not None:
            seen.add(found)
        else:
            new.add(request, prices)
    tokens_in, tokens_out = _tokens(seen, new)
    return Plan(
        prompts=counts[0],
        held_out=counts[1],
        expansion=len(expansion),
        requests=new.requests + seen.exchanges,
        in_ledger=seen.exchanges,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        dollars=_dollars(prices, tokens_in, tokens_out, _share(recipe)),
        dollars_at_most=None if prices is None else new.worst.dollars,
        price_version=None if prices is None else prices.version,
        minutes=_minutes(recipe, seen, new.requests, tokens_in + tokens_out),
        training_gb=None if parameters is None else round(parameters * BYTES_A_WEIGHT / 1e9, 2),
        estimated_from="earlier exchanges" if seen.exchanges else "size of the text",
        source=source,
    )


def _tokens(seen: _Seen, new: _New) -> tuple[int, int]:
    if seen.exchanges:
        share = new.requests / seen.exchanges
        return round(share * seen.input_tokens), round(share * seen.output_tokens)
    return new.text_bytes // BYTES_A_TOKEN, round(new.most_output_tokens * OUTPUT_SHARE)


def _share(recipe: Recipe) -> float:
    """Of the price, for the transport: batch files cost less."""
    teacher = recipe.teacher
    if teacher.transport != "batch":
        return 1.0
    return endpoint_for(teacher.endpoint, teacher.base_url, teacher.dialect, teacher.key_env).batch_share or 1.0


def _dollars(prices: Prices | None, tokens_in: int, tokens_out: int, share: float) -> float | None:
    return None if prices is None else cost(Usage(tokens_in, tokens_out), prices, share)


def _minutes(recipe: Recipe, seen: _Seen, new: int, tokens: int) -> float | None:
    """The longest of what the limits and the latency seen so far allow; None where neither is known."""
    limits = pace_limits(recipe.teacher)
    bounds = []
    if limits.requests_per_minute:
        bounds.append(new / limits.requests_per_minute)
    if limits.tokens_per_minute:
        bounds.append(tokens / limits.tokens_per_minute)
    if seen.seconds:
        bounds.append(new * seen.seconds / seen.exchanges / limits.max_in_flight / 60)
    return round(max(bounds), 2) if bounds else None
