"""Group commit: on disk when it returns, many in one batch, and every error to whom it concerns."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.commit import GroupCommit
from spiritsafe.exchanges.ledger import Attempt, Ledger
from spiritsafe.exchanges.record import Exchange, Message
from spiritsafe.exchanges.segments import Scan, segment_path

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def an_answer(number: int) -> Exchange:
    return Exchange(id=f"{number:032x}", at=0.0, dialect="chat", messages=(Message("user", "?"),), charged_to="demo")


def rows_a_frame(folder: Path) -> list[int]:
    return [len(frame.records) for frame in Scan(segment_path(folder / "segments", 1))]


def test_a_record_is_on_disk_when_add_returns(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> None:
        with Ledger.open(tmp_path) as ledger:
            async with GroupCommit(ledger) as commit:
                for number in range(3):
                    await commit.add(an_answer(number))
                    with Ledger.open(tmp_path, read_only=True) as reader:
                        assert reader.get(bytes.fromhex(an_answer(number).id)) == an_answer(number)
                await commit.add(Attempt(0.0, b"", "demo", "timeout", 1.0))
                assert ledger.spent("demo").attempts == 1

    in_virtual_time(run())


def test_what_comes_together_is_written_together(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> None:
        with Ledger.open(tmp_path) as ledger:
            async with GroupCommit(ledger, max_rows=10) as commit:
                await asyncio.gather(*[commit.add(an_answer(number)) for number in range(25)])
            assert ledger.spent("demo").exchanges == 25

    in_virtual_time(run())

    assert rows_a_frame(tmp_path) == [10, 10, 5]


def test_a_lone_record_waits_no_longer_than_it_is_told(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        with Ledger.open(tmp_path) as ledger:
            async with GroupCommit(ledger, max_wait_s=5.0) as commit:
                started_s = loop.time()
                await commit.add(an_answer(0))
                return loop.time() - started_s

    assert in_virtual_time(run()) == pytest.approx(5.0)


def test_a_disk_error_reaches_all_of_the_batch(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> Sequence[Any]:
        ledger = Ledger.open(tmp_path)
        async with GroupCommit(ledger) as commit:
            ledger.close()
            return await asyncio.gather(*[commit.add(an_answer(n)) for n in range(3)], return_exceptions=True)

    assert [type(error) for error in in_virtual_time(run())] == [StoreError] * 3


def test_a_record_that_cannot_be_stored_fails_alone(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> Sequence[Any]:
        with Ledger.open(tmp_path) as ledger:
            async with GroupCommit(ledger) as commit:
                records = [an_answer(0), replace(an_answer(1), id="no key"), an_answer(2)]
                outcomes = await asyncio.gather(*[commit.add(one) for one in records], return_exceptions=True)
            assert list(ledger.exchanges()) == [an_answer(0), an_answer(2)]
            return outcomes

    assert [type(outcome) for outcome in in_virtual_time(run())] == [type(None), InputError, type(None)]


def test_a_task_that_is_cancelled_leaves_its_record_to_be_stored(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> None:
        with Ledger.open(tmp_path) as ledger:
            async with GroupCommit(ledger) as commit:
                tasks = [asyncio.create_task(commit.add(an_answer(number))) for number in range(2)]
                await asyncio.sleep(0)
                tasks[0].cancel()
                await tasks[1]
                assert tasks[0].cancelled()
            assert list(ledger.exchanges()) == [an_answer(0), an_answer(1)]

    in_virtual_time(run())


def test_closing_writes_what_is_waiting_at_once(tmp_path: Path, in_virtual_time: Run) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        with Ledger.open(tmp_path) as ledger:
            commit = GroupCommit(ledger, max_rows=2, max_wait_s=1000.0)
            tasks = [asyncio.create_task(commit.add(an_answer(number))) for number in range(5)]
            await asyncio.sleep(0)
            started_s = loop.time()
            await commit.close()
            await asyncio.gather(*tasks)
            assert ledger.spent("demo").exchanges == 5
            with pytest.raises(StoreError, match="before closing"):
                await commit.add(an_answer(9))
            return loop.time() - started_s

    assert in_virtual_time(run()) < 1000.0
