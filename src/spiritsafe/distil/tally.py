"""Tally: what a collection counted, and the summary it leaves behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spiritsafe.errors import UpstreamError, shown
from spiritsafe.exchanges.record import Exchange, Usage

SKIPPED_KEPT = 1000
"""Skipped prompts named in the summary; more are only counted, so that memory and file stay small."""

REFUSALS = frozenset({"refusal", "content_filter"})


@dataclass(frozen=True, slots=True)
class Skipped:
    """A prompt that stays without an answer."""

    prompt_id: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class CollectSummary:
    """What one sitting of a collection did.

    Attributes:
        prompts: prompts looked at.
        asked: answers asked for, received and stored in this sitting.
        from_ledger: answers that were in the ledger already.
        truncated: answers asked for that ran into their limit.
        escalated: answers asked for again with the larger limit, in this sitting.
        refused: answers asked for in which the teacher refused.
        empty: answers asked for without text.
        failed: failed attempts by kind, retried ones included.
        skipped: prompts left without an answer, in all.
        skipped_prompts: the first of them, with the reason.
        retries: attempts after a first one.
        dollars: what the answers of this sitting cost; None if a price was unknown.
        dollars_lost: what failed attempts that may have been billed could have cost, at most.
        tokens: input and output tokens of this sitting's answers, as far as the upstream counted them.
        wall_s: seconds from start to end.
        done: whether every prompt was looked at; False if the sitting was stopped.
    """

    prompts: int = 0
    asked: int = 0
    from_ledger: int = 0
    truncated: int = 0
    escalated: int = 0
    refused: int = 0
    empty: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0
    skipped_prompts: tuple[Skipped, ...] = ()
    retries: int = 0
    dollars: float | None = 0.0
    dollars_lost: float = 0.0
    tokens: int = 0
    wall_s: float = 0.0
    done: bool = False

    def to_json(self) -> dict[str, Any]:
        """The summary as `stages/collect.json` holds it."""
        return asdict(self)


@dataclass(slots=True)
class Tally:
    """The running counts behind a `CollectSummary`; same names, same meaning."""

    prompts: int = 0
    asked: int = 0
    from_ledger: int = 0
    truncated: int = 0
    escalated: int = 0
    refused: int = 0
    empty: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    skipped_prompts: list[Skipped] = field(default_factory=list)
    retries: int = 0
    dollars: float | None = 0.0
    dollars_lost: float = 0.0
    tokens: int = 0

    def answered(self, exchange: Exchange) -> None:
        """An answer was asked for, received and stored."""
        self.asked += 1
        self.truncated += exchange.finish_reason == "length"
        self.refused += exchange.finish_reason in REFUSALS
        self.empty += not exchange.answer.strip()
        self.tokens += tokens_of(exchange.usage)
        self.dollars = None if self.dollars is None or exchange.dollars is None else self.dollars + exchange.dollars

    def attempt_failed(self, error: UpstreamError) -> None:
        """An attempt failed."""
        self.failed[error.kind] += 1

    def skip(self, prompt_id: str, error: UpstreamError) -> None:
        """The prompt stays without an answer."""
        self.skipped += 1
        if len(self.skipped_prompts) < SKIPPED_KEPT:
            self.skipped_prompts.append(Skipped(prompt_id, error.kind, shown(str(error), 200)))

    def summary(self, wall_s: float, *, done: bool) -> CollectSummary:
        """The counts as they stand."""
        return CollectSummary(
            prompts=self.prompts,
            asked=self.asked,
            from_ledger=self.from_ledger,
            truncated=self.truncated,
            escalated=self.escalated,
            refused=self.refused,
            empty=self.empty,
            failed=dict(self.failed),
            skipped=self.skipped,
            skipped_prompts=tuple(self.skipped_prompts),
            retries=self.retries,
            dollars=self.dollars,
            dollars_lost=self.dollars_lost,
            tokens=self.tokens,
            wall_s=wall_s,
            done=done,
        )


def tokens_of(usage: Usage) -> int:
    """Input and output tokens, as far as they are known."""
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)
