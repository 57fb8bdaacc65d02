from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.models.pacing import BURST_S, Aimd, Bucket, Gate, PaceLimits, Pacer

Run = Callable[[Any], Any]


@given(
    ceiling=st.integers(1, 200),
    events=st.lists(st.tuples(st.sampled_from(["answer", "overload"]), st.floats(0, 5)), max_size=200),
)
def test_concurrency_is_never_above_the_ceiling_or_below_one(ceiling: int, events: list[tuple[str, float]]) -> None:
    aimd, now_s = Aimd(ceiling), 0.0
    for kind, step_s in events:
        now_s += step_s
        if kind == "answer":
            aimd.success(aimd.limit)
        else:
            aimd.overload(now_s, now_s)
        assert 1 <= aimd.limit <= ceiling


def test_concurrency_doubles_a_round_until_the_first_overload_and_then_grows_by_one() -> None:
    aimd = Aimd(1000, start=8)
    for _ in range(8):
        aimd.success(8)
    assert aimd.limit == 16
    aimd.overload(sent_at_s=1.0, now_s=2.0)
    assert aimd.limit == 8
    for _ in range(9):
        aimd.success(8)
    assert aimd.limit == 9


def test_a_round_of_overloads_halves_only_once() -> None:
    aimd = Aimd(64, start=64)
    for now_s in (1.0, 1.1, 1.2, 1.3):
        aimd.overload(sent_at_s=0.5, now_s=now_s)
    assert aimd.limit == 32
    aimd.overload(sent_at_s=1.5, now_s=2.0)
    assert aimd.limit == 16


def test_a_limit_that_is_not_used_is_not_raised() -> None:
    aimd = Aimd(64, start=16)
    for _ in range(100):
        aimd.success(2)
    assert aimd.limit == 16


@given(
    rate_per_s=st.floats(0.1, 100),
    burst=st.floats(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 50)), min_size=1, max_size=60),
)
def test_what_a_bucket_lets_through_in_any_window_is_within_rate_and_burst(
    rate_per_s: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    bucket, now_s, taken = Bucket(rate_per_s, burst), 0.0, []
    for step_s, amount in steps:
        now_s += step_s
        amount = min(amount, burst)
        if bucket.wait_s(now_s, amount) == 0.0:
            bucket.take(now_s, amount)
            taken.append((now_s, amount))
    for first in range(len(taken)):
        total = 0.0
        for at_s, amount in taken[first:]:
            total += amount
            assert total <= rate_per_s * (at_s - taken[first][0]) + burst * (1 + 1e-6)


@given(rate_per_s=st.floats(0.01, 1000), burst=st.floats(1, 1000), amount=st.floats(0.1, 5000), now_s=st.floats(0, 1e6))
def test_waiting_as_long_as_a_bucket_says_is_enough(
    rate_per_s: float, burst: float, amount: float, now_s: float
) -> None:
    bucket = Bucket(rate_per_s, burst, now_s)
    bucket.take(now_s, burst)
    later_s = now_s + bucket.wait_s(now_s, amount)
    # A clock near 1e6 s resolves 1e-10 s: at most one more sliver of that size is left.
    assert bucket.wait_s(later_s, amount) <= 1e-9 * max(1.0, now_s)


def test_an_amount_above_the_burst_goes_when_the_bucket_is_full_and_leaves_it_in_debt() -> None:
    bucket = Bucket(rate_per_s=1.0, burst=10.0)
    assert bucket.wait_s(0.0, 25.0) == 0.0
    bucket.take(0.0, 25.0)
    assert bucket.wait_s(0.0, 1.0) == pytest.approx(16.0)


def test_an_estimate_is_corrected_by_what_was_used() -> None:
    pacer = Pacer(PaceLimits(max_in_flight=10, tokens_per_minute=6000))  # 100 a second, burst 100
    pacer.sent(0.0, 100.0)
    assert pacer.wait_s(0.0, 50.0) == pytest.approx(0.5)
    pacer.answered(0.0, 100.0, actual=30.0)
    assert pacer.wait_s(0.0, 50.0) == 0.0
    pacer.sent(0.0, 50.0)
    pacer.answered(0.0, 50.0, actual=90.0)
    assert pacer.wait_s(0.0, 50.0) == pytest.approx(0.7)


def test_retry_after_holds_the_whole_teacher_back() -> None:
    pacer = Pacer(PaceLimits(max_in_flight=10))
    pacer.sent(0.0, 1.0)
    pacer.sent(0.0, 1.0)
    pacer.failed(1.0, 0.0, overload=True, retry_after_s=30.0)
    pacer.failed(2.0, 0.0, overload=True, retry_after_s=5.0)
    assert pacer.wait_s(3.0, 1.0) == pytest.approx(28.0)
    assert pacer.wait_s(31.0, 1.0) == 0.0


def test_a_full_house_waits_for_somebody_to_leave() -> None:
    pacer = Pacer(PaceLimits(max_in_flight=1))
    pacer.sent(0.0, 1.0)
    assert pacer.wait_s(0.0, 1.0) == inf
    pacer.abandoned()
    assert pacer.wait_s(0.0, 1.0) == 0.0


async def _send_all(gate: Gate, count: int, takes_s: float) -> tuple[list[float], int]:
    sent_s: list[float] = []
    most = 0

    async def one() -> None:
        nonlocal most
        sent_s.append(await gate.enter(1.0))
        most = max(most, gate.pacer.in_flight)
        await asyncio.sleep(takes_s)
        gate.answered(1.0, None)

    await asyncio.gather(*(one() for _ in range(count)))
    return sent_s, most


def test_a_gate_keeps_the_rate_and_the_ceiling(in_virtual_time: Run) -> None:
    async def run() -> tuple[list[float], int]:
        limits = PaceLimits(max_in_flight=16, requests_per_minute=120)
        return await _send_all(Gate(Pacer(limits, asyncio.get_running_loop().time())), 41, takes_s=3.0)

    sent_s, most = in_virtual_time(run())
    assert len(sent_s) == 41
    assert most <= 16
    burst = 2.0 * BURST_S
    for first, start_s in enumerate(sent_s):
        for count, at_s in enumerate(sent_s[first:], 1):
            assert count <= 2.0 * (at_s - start_s) + burst + 1e-6
    assert sent_s[-1] - sent_s[0] == pytest.approx(19.5, abs=1.0), "and no slower than it may"


def test_a_gate_lets_tasks_through_in_the_order_they_came(in_virtual_time: Run) -> None:
    async def run() -> list[int]:
        gate, order = Gate(Pacer(PaceLimits(max_in_flight=1))), []

        async def one(number: int) -> None:
            await gate.enter(1.0)
            order.append(number)
            await asyncio.sleep(0.1)
            gate.answered(1.0, None)

        await asyncio.gather(*(one(number) for number in range(20)))
        return order

    order = in_virtual_time(run())
    assert all(a < b for a, b in pairwise(order))
    assert len(order) == 20


def test_a_task_cancelled_at_the_gate_leaves_no_slot_taken(in_virtual_time: Run) -> None:
    async def run() -> int:
        gate = Gate(Pacer(PaceLimits(max_in_flight=1)))
        await gate.enter(1.0)
        waiting = [asyncio.create_task(gate.enter(1.0)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.answered(1.0, None)  # lets waiting[1] through
        waiting[1].cancel()  # in the same turn of the loop, before it could go on
        await asyncio.wait(waiting)
        assert waiting[2].result() > 0
        return gate.pacer.in_flight

    assert in_virtual_time(run()) == 1


def test_a_gate_holds_everybody_back_after_retry_after(in_virtual_time: Run) -> None:
    async def run() -> float:
        gate = Gate(Pacer(PaceLimits(max_in_flight=4)))
        sent_at_s = await gate.enter(1.0)
        gate.failed(sent_at_s, overload=True, retry_after_s=60.0)
        others = await asyncio.gather(*(gate.enter(1.0) for _ in range(2)))
        return min(others) - sent_at_s

    assert in_virtual_time(run()) == pytest.approx(60.0, abs=1e-3)
