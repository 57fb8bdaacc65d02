"""How much companies ask, how steadily and at what length: drawn from what real clients of a serving cloud did.

`clients.toml` holds quantiles over clients, fitted by `benchmarks/fit_clients.py`. A draw takes each fact at a level of
its own; levels go together with that of the rate by a Gaussian copula with the rank correlations of the data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import erf, exp, log, sqrt

from spiritsafe.drills.dice import Dice

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The levels at which `clients.toml` gives each fact."""

_LENGTHS = ("input_tokens", "input_spread", "output_tokens", "output_spread")
FACTS = ("active_share", "gap_cv", *_LENGTHS)


@dataclass(frozen=True, slots=True)
class Client:
    """One company.

    Attributes:
        requests_per_day: in the mean over days.
        active_share: share of ten-minute bins in which it asks at all.
        gap_cv: coefficient of variation of the gaps between requests.
        input_tokens, output_tokens: medians over its requests.
        input_spread, output_spread: standard deviations of their logarithms.
    """

    requests_per_day: float
    active_share: float
    gap_cv: float
    input_tokens: float
    input_spread: float
    output_tokens: float
    output_spread: float

    @property
    def week(self) -> str:
        """The week of `clock.WEEKS` that comes nearest to how often it is active."""
        return "night" if self.active_share < 0.1 else "office" if self.active_share < 0.5 else "service"

    def answer_tokens(self, dice: Dice) -> int:
        """The length of one of its answers."""
        return max(1, int(dice.lognormal(self.output_tokens, self.output_spread, 2000.0)))


@dataclass(frozen=True, slots=True)
class Clients:
    """The fitted population."""

    requests_per_day: Sequence[float]
    facts: Mapping[str, Sequence[float]]
    with_rate: Mapping[str, float]

    @staticmethod
    @cache
    def read() -> Clients:
        """The parameters that come with the package."""
        rows = tomllib.loads(files(__package__).joinpath("clients.toml").read_text(encoding="utf-8"))
        return Clients(rows["requests_per_day"], {name: rows[name] for name in FACTS}, rows["with_rate"])

    def draw(self, dice: Dice) -> Client:
        """A client."""
        rate = dice.normal()
        values = {}
        for name in FACTS:
            share = self.with_rate[name]
            level = share * rate + sqrt(1.0 - share * share) * dice.normal()
            values[name] = _value(self.facts[name], _level(level))
        return Client(requests_per_day=_value(self.requests_per_day, _level(rate)), **values)


def _level(normal: float) -> float:
    return 0.5 * (1.0 + erf(normal / sqrt(2.0)))


def _value(quantiles: Sequence[float], level: float) -> float:
    """The value at `level`, between the quantiles on a logarithmic scale."""
    at = next((place for place, bound in enumerate(LEVELS[1:]) if level <= bound), len(LEVELS) - 2)
    low, high = LEVELS[at], LEVELS[at + 1]
    part = (level - low) / (high - low)
    return exp(log(quantiles[at]) + part * (log(quantiles[at + 1]) - log(quantiles[at])))
