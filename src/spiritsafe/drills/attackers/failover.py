"""Failover: where an account is refused, a fresh one of the reserve takes its place within the hour."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.attackers.spread import Spread, Spreading
from spiritsafe.drills.clock import HOUR_S
from spiritsafe.drills.dice import Dice


class Failover:
    """One account a lane, with a reserve behind all lanes."""

    def __init__(self, pool: Pool, dice: Dice) -> None:
        self._pool = pool
        self._dice = dice
        self._now = list(range(pool.active))
        self._from = [0.0] * pool.active
        self._next = pool.active

    def account(self, lane: int, turn: int, at: float) -> int | None:
        """The lane's account of the moment; None while a fresh one is on its way, or where the reserve is used up."""
        account = self._now[lane]
        return None if account < 0 or at < self._from[lane] else account

    def refused(self, lane: int, account: int, at: float) -> None:
        """The next of the reserve takes over."""
        if self._now[lane] != account:
            return
        self._pool.refused.add(account)
        has_more = self._next < len(self._pool.accounts)
        self._now[lane] = self._next if has_more else -1
        self._next += has_more
        self._from[lane] = at + self._dice.between(0.05, 1.0) * HOUR_S


def _make(plan: Plan, pool: Pool, starts_at: float, dice: Dice) -> Spread:
    return Failover(pool, dice)


FAILOVER = Spreading("failover", "a fresh account takes the place of each that is refused", _make)
