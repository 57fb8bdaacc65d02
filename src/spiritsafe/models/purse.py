"""Purse: a `Budget` that many tasks draw on, and that stays hard across `kill -9`.

A task that wants to send waits here until its worst case fits; what all requests in flight may cost is on disk, as the
level of a `Lease`, before any of them is sent. The decisions are `models.budget`'s; this is the shell that waits and
writes.
"""

from __future__ import annotations

import asyncio
from collections import deque

from spiritsafe.exchanges.entries import NANO
from spiritsafe.exchanges.lease import Lease
from spiritsafe.models.budget import Budget, Cost


class Purse:
    """Reserves from `budget` for tasks of one event loop, first come first served.

    Args:
        budget: what may be spent.
        lease: where the worst case of all that is in flight is written before it is.
        priced: whether the price is known; without one the lease holds tokens alone.
    """

    def __init__(self, budget: Budget, lease: Lease, *, priced: bool) -> None:
        self.budget = budget
        self.lease = lease
        self.priced = priced
        self._covered = Cost()
        self._waiting: deque[tuple[asyncio.Future[None], Cost]] = deque()

    async def reserve(self, cost: Cost) -> None:
        """Set `cost` aside for one request, waiting for those in flight where it does not fit beside them.

        Raises:
            BudgetError: it does not fit, and nothing is in flight that could make room.
            StoreError: the lease could not be written; nothing may be sent.
        """
        if self._waiting or not self.budget.try_reserve(cost):
            await self._wait(cost)
        try:
            self._cover()
        except BaseException:
            self.release(cost)
            raise

    async def _wait(self, cost: Cost) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, cost))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(cost)
            self._admit()
            raise

    def settle(self, reserved: Cost, actual: Cost) -> None:
        """As `Budget.settle`; call it when the answer is in the ledger."""
        self.budget.settle(reserved, actual)
        self._admit()

    def keep(self, reserved: Cost) -> None:
        """As `Budget.keep`; call it when the failed attempt is in the ledger."""
        self.budget.keep(reserved)
        self._admit()

    def release(self, reserved: Cost) -> None:
        """As `Budget.release`."""
        self.budget.release(reserved)
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            turn, cost = self._waiting[0]
            if not turn.done():
                if self.budget.try_reserve(cost):
                    turn.set_result(None)
                elif self.budget.in_flight:
                    return
                else:
                    turn.set_exception(self.budget.exhausted(cost))
            self._waiting.popleft()

    def _cover(self) -> None:
        """Have the lease cover what is in flight."""
        budget, reserved = self.budget, self.budget.reserved
        if reserved.nanodollars <= self._covered.nanodollars and reserved.tokens <= self._covered.tokens:
            return
        limit = budget.limit_nanodollars
        self.lease.raise_to(
            reserved.dollars if self.priced else None,
            reserved.tokens,
            None if limit is None else (limit - budget.spent.nanodollars) / NANO,
            None if budget.limit_tokens is None else budget.limit_tokens - budget.spent.tokens,
        )
        level = self.lease.level
        self._covered = Cost(reserved.nanodollars if level.dollars is None else int(level.dollars * NANO), level.tokens)
