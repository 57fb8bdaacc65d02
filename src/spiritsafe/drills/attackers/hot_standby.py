"""Hot standby: a second pool is kept warm, and takes over as a whole when enough of the first one is refused."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.attackers.spread import Spread, Spreading
from spiritsafe.drills.dice import Dice

GIVEN_UP = 0.3
"""Share of the first pool that is refused before the second one takes over."""

WARM = 0.04
"""Share of the turns that the second pool has before that, so that its accounts are not new when they are needed."""


class HotStandby:
    """Two pools, one of which works."""

    def __init__(self, pool: Pool, dice: Dice) -> None:
        self._pool = pool
        self._dice = dice
        self._standby = len(pool.accounts) - pool.active

    def account(self, lane: int, turn: int, at: float) -> int | None:
        """The lane's account in the pool that works; now and then its double in the other one."""
        pool = self._pool
        if not self._standby:
            return None if lane in pool.refused else lane
        second = pool.active + lane % self._standby
        is_over = len(pool.refused) >= GIVEN_UP * pool.active
        account = second if is_over or lane in pool.refused or self._dice.chance(WARM) else lane
        return None if account in pool.refused else account

    def refused(self, lane: int, account: int, at: float) -> None:
        """It is counted, and not used again."""
        self._pool.refused.add(account)


def _make(plan: Plan, pool: Pool, starts_at: float, dice: Dice) -> Spread:
    return HotStandby(pool, dice)


HOT_STANDBY = Spreading("hot_standby", "a second pool kept warm, which takes over when the first is refused", _make)
