"""The log of a worker: nothing is said to be on disk that is not, and a full disk loses nothing at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import orjson

from spiritsafe.errors import StoreError
from spiritsafe.guard.gateway.journal import Entry, Journal


class Disk:
    """Takes batches while it is `well`; each waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.is_well = True
        self.gate = threading.Event()
        self.gate.set()

    def append(self, records: Sequence[bytes]) -> None:
        self.gate.wait(10)
        if not self.is_well:
            raise StoreError("no room")
        self.batches.append([orjson.loads(record) for record in records])

    def kinds(self) -> list[str]:
        return [record["k"] for batch in self.batches for record in batch]


def entry(number: int) -> Entry:
    return Entry({"id": f"{number:04d}", "at": 1.0, "account": "acme"}, b'{"model":"m"}')


def ended(number: int) -> dict[str, Any]:
    return {"id": f"{number:04d}", "status": 200, "outcome": "completed"}


def with_journal(test: Any, *, most_waiting_bytes: int = 1 << 20) -> None:
    async def run() -> None:
        disk = Disk()
        journal = Journal(asyncio.get_running_loop(), disk.append, 0.001, most_waiting_bytes, retry_s=0.01)
        try:
            await test(journal, disk)
        finally:
            disk.gate.set()
            await journal.close(5.0)

    asyncio.run(run())


async def durable(journal: Journal, one: Entry, number: int) -> bool:
    told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    one.when_durable = told.set_result
    journal.ended(one, ended(number), b'{"a":1}')
    return await asyncio.wait_for(told, 10)


def test_an_exchange_that_ends_at_once_is_one_record() -> None:
    async def run(journal: Journal, disk: Disk) -> None:
        one = entry(1)
        journal.received(one)
        assert await durable(journal, one, 1)
        assert disk.kinds() == ["whole"]
        assert (journal.durable, journal.waiting_bytes) == (1, 0)

    with_journal(run)


def test_one_that_goes_on_is_two_and_the_first_is_on_disk_before_the_end() -> None:
    async def run(journal: Journal, disk: Disk) -> None:
        one = entry(1)
        journal.received(one)
        while not disk.batches:
            await asyncio.sleep(0.001)
        assert disk.kinds() == ["received"]
        assert await durable(journal, one, 1)
        assert disk.kinds() == ["received", "ended"]
        assert disk.batches[0][0]["request"] == {"model": "m"}
        assert disk.batches[1][0]["response"] == {"a": 1}

    with_journal(run)


def test_an_end_that_comes_while_the_first_record_is_being_written_is_not_lost() -> None:
    async def run(journal: Journal, disk: Disk) -> None:
        disk.gate.clear()
        one = entry(1)
        journal.received(one)
        while not one.is_taken:
            await asyncio.sleep(0.001)
        told = asyncio.ensure_future(durable(journal, one, 1))
        await asyncio.sleep(0.01)
        assert not told.done()
        disk.gate.set()
        assert await told
        assert disk.kinds() == ["received", "ended"]

    with_journal(run)


def test_a_disk_that_takes_nothing_is_tried_again_and_nobody_is_told_too_early() -> None:
    async def run(journal: Journal, disk: Disk) -> None:
        disk.is_well = False
        one = entry(1)
        journal.received(one)
        told = asyncio.ensure_future(durable(journal, one, 1))
        while not journal.is_failing:
            await asyncio.sleep(0.001)
        assert not told.done()
        assert "no room" in journal.last_error
        disk.is_well = True
        assert await told
        assert not journal.is_failing
        assert (journal.durable, journal.dropped, journal.waiting_bytes) == (1, 0, 0)

    with_journal(run)


def test_beyond_what_may_wait_the_oldest_go_and_are_counted() -> None:
    async def run(journal: Journal, disk: Disk) -> None:
        disk.is_well = False
        told: list[bool] = []
        for number in range(20):
            one = entry(number)
            one.when_durable = told.append
            journal.ended(one, ended(number), b'"%b"' % (b"x" * 200))
        assert journal.is_full
        while journal.dropped < 5:
            await asyncio.sleep(0.001)
        assert told == [False] * journal.dropped
        assert journal.waiting_bytes <= 4096
        disk.is_well = True
        await journal.close(5.0)
        assert journal.durable > 0
        assert journal.durable + journal.dropped == 20
        assert len(disk.kinds()) == journal.durable

    with_journal(run, most_waiting_bytes=4096)
