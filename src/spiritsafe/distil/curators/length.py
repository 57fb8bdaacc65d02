"""Length: answers shorter or longer than wanted, in characters, words or tokens.

Tokens are the upstream's own count without reasoning where it gave one, else a quarter of the characters, the usual
estimate for English; other scripts take more tokens a character.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field, model_validator

from spiritsafe.distil.curator import Curator, Reason, Surroundings, each_row
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Section
from spiritsafe.exchanges.record import Exchange

CHARS_A_TOKEN = 4


class LengthSettings(Section):
    """Bounds, each inclusive; None is no bound. At least one must be given."""

    min_chars: int | None = Field(None, ge=0)
    max_chars: int | None = Field(None, ge=0)
    min_words: int | None = Field(None, ge=0)
    max_words: int | None = Field(None, ge=0)
    min_tokens: int | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _some_bound(self) -> LengthSettings:
        if all(value is None for _, value in self):
            raise ValueError("give at least one bound, e.g. max_words = 200")
        for unit in ("chars", "words", "tokens"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_{unit} must not exceed max_{unit}")
        return self


def answer_tokens(exchange: Exchange) -> int:
    """Tokens of the answer without reasoning: counted by the upstream, or estimated from the characters."""
    if exchange.usage.output_tokens is not None:
        return max(0, exchange.usage.output_tokens - (exchange.usage.reasoning_tokens or 0))
    return -(-len(exchange.answer) // CHARS_A_TOKEN)


_MEASURES: tuple[tuple[str, Callable[[Exchange], int]], ...] = (
    ("chars", lambda exchange: len(exchange.answer)),
    ("words", lambda exchange: len(exchange.answer.split())),
    ("tokens", answer_tokens),
)


def _prepare(settings: LengthSettings, around: Surroundings) -> Callable[[CollectedRow], Reason]:
    bounds = [
        (unit, measure, getattr(settings, f"min_{unit}"), getattr(settings, f"max_{unit}"))
        for unit, measure in _MEASURES
    ]

    def judge(row: CollectedRow) -> Reason:
        for unit, measure, least, most in bounds:
            if least is not None and measure(row.exchange) < least:
                return f"length: under {least} {unit}"
            if most is not None and measure(row.exchange) > most:
                return f"length: over {most} {unit}"
        return None

    return judge


LENGTH = Curator(
    name="length",
    says="answers outside bounds on characters, words or tokens",
    settings=LengthSettings,
    cut=each_row(_prepare),
)
