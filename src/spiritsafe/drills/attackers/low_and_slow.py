"""Low and slow: each account asks on some days only, so that none of them ever stands out."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.attackers.spread import Spread, Spreading
from spiritsafe.drills.clock import DAY_S
from spiritsafe.drills.dice import Dice

WORKING = 0.5
"""Share of its days on which an account asks at all; the turns of the other days fall to accounts that work then."""


class LowAndSlow:
    """Every account rests on half of its days."""

    def __init__(self, pool: Pool, starts_at: float, dice: Dice) -> None:
        self._pool = pool
        self._starts_at = starts_at
        self._dice = dice

    def account(self, lane: int, turn: int, at: float) -> int | None:
        """The lane's own on its working days, else the next one that works; None where all are refused or rest."""
        day, count = int((at - self._starts_at) // DAY_S), len(self._pool.accounts)
        for step in range(min(count, 8)):
            account = (lane + step) % count
            if account not in self._pool.refused and self._dice.fork(day, account).chance(WORKING):
                return account
        return None

    def refused(self, lane: int, account: int, at: float) -> None:
        """It is not used again."""
        self._pool.refused.add(account)


def _make(plan: Plan, pool: Pool, starts_at: float, dice: Dice) -> Spread:
    return LowAndSlow(pool, starts_at, dice)


LOW_AND_SLOW = Spreading("low_and_slow", "each account asks on some days only", _make)
