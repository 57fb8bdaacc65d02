"""Who asks when: the contract that every file of `attackers.SPREADS` fulfils.

A campaign has lanes, one for each account that it keeps busy. A lane has a clock; at each of its turns the spread says
which account asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.dice import Dice


class Spread(Protocol):
    """How queries are spread over a pool."""

    def account(self, lane: int, turn: int, at: float) -> int | None:
        """The number of the account that asks; None where the lane has none any more."""

    def refused(self, lane: int, account: int, at: float) -> None:
        """That account was told no at `at` unix seconds."""


@dataclass(frozen=True, slots=True)
class Spreading:
    """A way of spreading.

    Attributes:
        name: its name in plans.
        says: what it is, in one line.
        make: the spread of one campaign over its pool; it starts at unix seconds, and the dice name it.
    """

    name: str
    says: str
    make: Callable[[Plan, Pool, float, Dice], Spread]
