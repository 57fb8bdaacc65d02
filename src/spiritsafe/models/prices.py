"""What answers cost: dollars per million tokens, by model, each with the day it was read.

Only prices that a provider publishes and that could be checked are here; every other price is unknown, and an unknown
price is never taken for zero. Prices change: a recipe's own `[teacher.prices]` goes before this table, and what an
upstream itself reports goes before both.

Limits: one price a model. Surcharges for very long prompts (OpenAI above 272,000 tokens, Claude Haiku 5.5 above
100,000), for writing to a prompt cache and for faster tiers are not in it; DeepSeek is listed at its peak rate, twice
the off-peak one, so that a budget stops early rather than late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spiritsafe.exchanges.record import Usage

PRICES_VERSION = "2026-11-24"
"""The day this table was last gone through. A row's own `version` is the day its price was read."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per million tokens.

    Attributes:
        input_per_million, output_per_million: for fresh input and for output (reasoning included).
        version: the day they were read, or where they come from.
        cached_input_per_million: for input the provider had cached; None: charge it as fresh, which errs upwards.
    """

    input_per_million: float
    output_per_million: float
    version: str = PRICES_VERSION
    cached_input_per_million: float | None = None


OWN_HARDWARE = Prices(0.0, 0.0, "own hardware")
"""A server of one's own sends no bill. What its hardware and power cost is not counted."""


def cost(usage: Usage, prices: Prices | None, share: float = 1.0) -> float | None:
    """Dollars for `usage`, or None where the price or one of the two token counts is unknown.

    Args:
        usage: tokens as the upstream counted them; the cached part of the input is charged at its own price.
        prices: of the model asked.
        share: what is charged of the list price, e.g. 0.5 in a batch.
    """
    if prices is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_input_tokens or 0, usage.input_tokens)
    if prices.cached_input_per_million is None:
        cached = 0
    dollars = (usage.input_tokens - cached) * prices.input_per_million + usage.output_tokens * prices.output_per_million
    return share * (dollars + cached * (prices.cached_input_per_million or 0.0)) / 1e6


_SNAPSHOT = re.compile(r"-(20\d{2}-?\d{2}-?\d{2}|latest)$")


def find_price(table: Mapping[str, Prices], model: str) -> Prices | None:
    """The price of `model` in `table`; a dated snapshot costs what its model costs."""
    return table.get(model) or table.get(_SNAPSHOT.sub("", model))


def _read(version: str, rows: Mapping[str, tuple[float, float, float]]) -> dict[str, Prices]:
    """Rows of (input, output, cached input), all read on the same day."""
    return {model: Prices(fresh, out, version, cached) for model, (fresh, out, cached) in rows.items()}


OPENAI = _read(
    # developers.openai.com/api/docs/pricing and the notes of the models' launches.
    "2026-10-27",
    {
        "gpt-6.1-sol": (2.00, 10.00, 0.10),
        "gpt-6.1-terra": (1.00, 5.00, 0.05),
        "gpt-6-sol": (2.00, 10.00, 0.20),
        "gpt-6-luna": (0.10, 0.50, 0.01),
        "gpt-5.6-terra": (2.00, 12.00, 0.20),
        "gpt-5.6-luna": (0.20, 1.20, 0.02),
    },
)

ANTHROPIC = _read(
    # platform.claude.com/docs/en/about-claude/pricing.
    "2026-10-16",
    {
        "claude-opus-5-5": (4.00, 20.00, 0.20),
        "claude-sonnet-5-5": (2.00, 10.00, 0.10),
        "claude-haiku-5-5": (0.10, 0.50, 0.01),
        "claude-sonnet-5": (2.00, 10.00, 0.20),
        "claude-opus-4-6": (5.00, 25.00, 0.50),
        "claude-opus-4-5": (5.00, 25.00, 0.50),
        "claude-sonnet-4-6": (3.00, 15.00, 0.30),
        "claude-sonnet-4-5": (3.00, 15.00, 0.30),
        "claude-haiku-4-5": (1.00, 5.00, 0.10),
    },
)

DEEPSEEK = _read(
    # api-docs.deepseek.com/quick_start/pricing, peak rates; `deepseek-v4-flash` is served and billed as flash.
    "2026-11-15",
    {
        "deepseek-flash": (0.30, 1.20, 0.006),
        "deepseek-v4-flash": (0.30, 1.20, 0.006),
        "deepseek-v4-pro": (1.32, 3.96, 0.044),
    },
)
