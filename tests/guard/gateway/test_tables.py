"""Tables in a real Redis: who may write, what is read, what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.guard.gateway.redises import NEEDS_REDIS, RealRedis, real_redis

from spiritsafe.errors import StoreError
from spiritsafe.guard.gateway.tables import KEPT_S, PAGE_ROWS, Batch, Tables

pytestmark = NEEDS_REDIS

MOST = 10_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    with real_redis(tmp_path_factory.mktemp("tables") / "redis") as redis:
        yield redis


@pytest.fixture
def redis(server: RealRedis) -> RealRedis:
    server.call("FLUSHALL")
    return server


def ask(redis: RealRedis, *questions: Callable[[Batch], object], password: str | None = None) -> list[Any]:
    """The answers to one batch."""

    async def asking() -> list[Any]:
        tables = Tables(redis.url, password)
        batch = tables.batch()
        for question in questions:
            question(batch)
        try:
            return await batch.ask()
        finally:
            await tables.close()

    return asyncio.run(asking())


def test_rows_are_read_once_in_the_order_in_which_they_changed(redis: RealRedis) -> None:
    refused, page = ask(
        redis,
        lambda batch: batch.push("t", [("a", b"1"), ("b", b"2"), ("a", b"3")], most=MOST),
        lambda batch: batch.pull("t", 0),
    )
    assert refused == frozenset()
    assert (page.rows, page.is_full) == ([("b", b"2"), ("a", b"3")], False)
    [page] = ask(redis, lambda batch: batch.pull("t", page.last))
    assert page.rows == []


@pytest.mark.parametrize("score", ["1000", "9007199254740000", "1e30"])
def test_a_number_that_something_else_wrote_hides_no_change_from_who_has_read_as_far(
    redis: RealRedis, score: str
) -> None:
    ask(redis, lambda batch: batch.push("t", [("a", b"1")], most=MOST))
    redis.call("HSET", "spiritsafe:1:t", "forged", "x")
    redis.call("ZADD", "spiritsafe:1:t:order", score, "forged")
    [read] = ask(redis, lambda batch: batch.pull("t", 0))
    [_, page] = ask(
        redis,
        lambda batch: batch.push("t", [("b", b"2")], most=MOST),
        lambda batch: batch.pull("t", read.last),
    )
    assert ("b", b"2") in page.rows


def test_a_row_that_is_there_already_is_no_change(redis: RealRedis) -> None:
    [_, first] = ask(redis, lambda b: b.push("t", [("a", b"1")], most=MOST), lambda b: b.pull("t", 0))
    [refused, page] = ask(
        redis, lambda b: b.push("t", [("a", b"1")], most=MOST, seen=0), lambda b: b.pull("t", first.last)
    )
    assert (refused, page.rows) == (frozenset(), [])


def test_a_row_is_only_written_by_who_has_seen_its_last_change(redis: RealRedis) -> None:
    [_, page] = ask(redis, lambda b: b.push("t", [("a", b"1")], most=MOST), lambda b: b.pull("t", 0))
    [refused] = ask(redis, lambda b: b.push("t", [("a", b"2"), ("b", b"2")], most=MOST, seen=page.last - 1))
    assert refused == {"a"}
    [refused, page] = ask(
        redis, lambda b: b.push("t", [("a", b"3")], most=MOST, seen=page.last), lambda b: b.pull("t", 0)
    )
    assert (refused, dict(page.rows)) == (frozenset(), {"a": b"3", "b": b"2"})


def test_many_rows_come_in_pages_and_own_ones_do_not_come(redis: RealRedis) -> None:
    rows = [(f"a{n} {'me' if n % 2 else 'you'}/0", b"%d" % n) for n in range(2 * PAGE_ROWS + 3)]
    ask(redis, lambda batch: batch.push("t", rows, most=MOST))
    since, read, pages = 0, [], 0
    is_full = True
    while is_full:
        [page] = ask(redis, lambda batch, since=since: batch.pull("t", since, " me/"))
        since, is_full, pages = page.last, page.is_full, pages + 1
        read += page.rows

    assert read == rows[::2]
    assert pages == 3


def test_a_table_keeps_the_rows_that_changed_last(redis: RealRedis) -> None:
    rows = [(name, b"1") for name in "abcd"]
    ask(redis, lambda batch: batch.push("t", rows, most=MOST))
    _, page = ask(redis, lambda b: b.push("t", [("a", b"2")], most=3), lambda b: b.pull("t", 0))
    assert [name for name, _ in page.rows] == ["c", "d", "a"]
    assert redis.call("HLEN", "spiritsafe:1:t") == b":3"


def test_members_hear_of_each_other_until_one_leaves_or_is_silent(redis: RealRedis) -> None:
    [first, other, again] = ask(
        redis,
        lambda batch: batch.beat("m/0", "one", 60.0),
        lambda batch: batch.beat("n/0", "two", 60.0),
        lambda batch: batch.beat("m/0", "three", 60.0),
    )
    assert (first.last, other.last, again.last) == (None, None, "one")
    assert again.living == {"m/0", "n/0"}
    [*_, beat] = ask(redis, lambda batch: batch.leave("n/0"), lambda batch: batch.beat("m/0", "four", 60.0))
    assert beat.living == {"m/0"}
    redis.call("ZADD", "spiritsafe:1:alive", "1", "m/0")
    [beat] = ask(redis, lambda batch: batch.beat("o/0", "five", 60.0))
    assert beat.living == {"o/0"}


def test_every_key_expires_by_itself(redis: RealRedis) -> None:
    ask(
        redis,
        lambda batch: batch.push("t", [("a", b"1")], most=MOST),
        lambda batch: batch.pull("t", 0),
        lambda batch: batch.beat("m/0", "one", 60.0),
    )
    for key in ("t", "t:order", "version", "alive", "word:m/0"):
        left_s = int(redis.call("TTL", f"spiritsafe:1:{key}")[1:])
        assert 0 < left_s <= KEPT_S


def test_the_first_to_come_says_which_fingerprint_holds(redis: RealRedis) -> None:
    async def agreeing() -> list[str]:
        tables = Tables(redis.url, None)
        agreed = [await tables.agreed(word) for word in ("one", "two")]
        await tables.close()
        return agreed

    assert asyncio.run(agreeing()) == ["one", "one"]


def test_what_redis_refuses_is_one_error_that_names_it_and_holds_no_password(redis: RealRedis) -> None:
    with pytest.raises(StoreError, match=r"Redis at 127\.0\.0\.1:\d+ is not reached") as error:
        ask(redis, lambda batch: batch.pull("t", 0), password="secret-word")
    assert "secret-word" not in str(error.value)
    redis.call("SET", "spiritsafe:1:t", "junk")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        ask(redis, lambda batch: batch.push("t", [("a", b"1")], most=MOST))
