"""Round robin: the queries are dealt to all accounts in turn, as a load balancer does it."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.attackers.spread import Spread, Spreading
from spiritsafe.drills.dice import Dice


class RoundRobin:
    """Every account in turn; those that were refused are left out, and the others ask more."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._alive = list(range(len(pool.accounts)))

    def account(self, lane: int, turn: int, at: float) -> int | None:
        """The next one; lanes start at different places of the circle and never meet."""
        return self._alive[(lane + turn) % len(self._alive)] if self._alive else None

    def refused(self, lane: int, account: int, at: float) -> None:
        """It is left out from now on."""
        if account not in self._pool.refused:
            self._pool.refused.add(account)
            self._alive.remove(account)


def _make(plan: Plan, pool: Pool, starts_at: float, dice: Dice) -> Spread:
    return RoundRobin(pool)


ROUND_ROBIN = Spreading("round_robin", "queries dealt to all accounts in turn", _make)
