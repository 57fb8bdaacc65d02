from __future__ import annotations

import asyncio

import pytest

from spiritsafe.errors import BudgetError, StoreError
from spiritsafe.exchanges.entries import LeaseLevel
from spiritsafe.exchanges.lease import Lease
from spiritsafe.models.budget import Budget, Cost
from spiritsafe.models.purse import Purse


def _purse(
    tokens: int | None = None, dollars: float | None = None, *, priced: bool = True
) -> tuple[Purse, list[LeaseLevel]]:
    written: list[LeaseLevel] = []
    return Purse(Budget(dollars, tokens), Lease("demo", written.append), priced=priced), written


def test_the_lease_covers_what_is_in_flight_before_it_is_sent_and_is_written_rarely() -> None:
    async def run() -> list[LeaseLevel]:
        purse, written = _purse(dollars=1.0)
        for _ in range(1000):
            await purse.reserve(Cost(1000, 10))
            budget = purse.budget
            assert (written[-1].dollars or 0.0) * 1e9 >= budget.reserved.nanodollars - 1e-3
            assert written[-1].tokens >= budget.reserved.tokens
        return written

    assert len(asyncio.run(run())) <= 25


def test_who_does_not_fit_waits_for_those_in_flight_in_the_order_they_came() -> None:
    async def run() -> list[int]:
        purse, _ = _purse(tokens=10)
        order: list[int] = []
        await purse.reserve(Cost(0, 8))

        async def one(number: int, tokens: int) -> None:
            await purse.reserve(Cost(0, tokens))
            order.append(number)

        waiting = [asyncio.create_task(one(number, tokens)) for number, tokens in enumerate((5, 1, 1))]
        await asyncio.sleep(0)
        assert order == [], "a small one does not overtake a large one"
        purse.settle(Cost(0, 8), Cost(0, 2))
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(run()) == [0, 1, 2]


def test_with_nothing_in_flight_there_is_nothing_to_wait_for() -> None:
    async def run() -> None:
        purse, _ = _purse(tokens=10)
        await purse.reserve(Cost(0, 8))
        waiting = asyncio.create_task(purse.reserve(Cost(0, 5)))
        await asyncio.sleep(0)
        purse.keep(Cost(0, 8))
        await waiting

    with pytest.raises(BudgetError, match=r"raise budget\.tokens"):
        asyncio.run(run())


def test_who_is_cancelled_while_waiting_holds_nothing() -> None:
    async def run() -> Cost:
        purse, _ = _purse(tokens=10)
        await purse.reserve(Cost(0, 8))
        first, second = (asyncio.create_task(purse.reserve(Cost(0, 5))) for _ in range(2))
        await asyncio.sleep(0)
        purse.settle(Cost(0, 8), Cost(0, 0))  # lets both through
        first.cancel()
        await asyncio.wait([first, second])
        return purse.budget.reserved

    assert asyncio.run(run()) == Cost(0, 5)


def test_nothing_is_reserved_where_the_lease_cannot_be_written() -> None:
    def full(level: LeaseLevel) -> None:
        raise StoreError("no space left")

    async def run() -> None:
        purse = Purse(Budget(1.0, None), Lease("demo", full), priced=True)
        with pytest.raises(StoreError):
            await purse.reserve(Cost(5, 5))
        assert purse.budget.reserved == Cost()
        assert purse.budget.in_flight == 0

    asyncio.run(run())


def test_with_an_unknown_price_the_lease_holds_tokens_alone() -> None:
    async def run() -> LeaseLevel:
        purse, written = _purse(tokens=100, priced=False)
        await purse.reserve(Cost(0, 7))
        return written[-1]

    level = asyncio.run(run())
    assert (level.dollars, level.tokens) == (None, 7)
