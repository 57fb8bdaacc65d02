"""Sharded: each account has a share of the queries and asks it by itself; where one is lost, its share is lost."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.attackers.spread import Spread, Spreading
from spiritsafe.drills.dice import Dice


class Sharded:
    """One account a lane."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def account(self, lane: int, turn: int, at: float) -> int | None:
        """Always the lane's own, until it is refused."""
        return None if lane in self._pool.refused else lane

    def refused(self, lane: int, account: int, at: float) -> None:
        """The lane is over."""
        self._pool.refused.add(account)


def _make(plan: Plan, pool: Pool, starts_at: float, dice: Dice) -> Spread:
    return Sharded(pool)


SHARDED = Spreading("sharded", "each account asks its own share of the queries", _make)
