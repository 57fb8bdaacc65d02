"""Two watches beside two gateways that share through a real Redis: together they find what neither finds alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from tests.guard.gateway.redises import NEEDS_REDIS, real_redis
from tests.guard.log.logged import write
from tests.guard.watch.test_live import record
from tests.guard.watch.worlds import small_world

from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.tables import KEPT_S, PREFIX
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.watch.accounts import EPOCH_S
from spiritsafe.guard.watch.alarms import Alarm
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.live import GRACE_S, Live
from spiritsafe.guard.watch.others import RedisOthers, joined

pytestmark = NEEDS_REDIS
UNTIL_S = 10_000.0
"""All traffic shows the campaign after 7,800 s, half of it after 11,400."""


class Machine:
    """A gateway's folder and its watch."""

    def __init__(self, folder: Path, others: RedisOthers | None, said: list[str]) -> None:
        self.folder, self.others, self.said = GuardFolder(folder), others, said
        self.name = (folder / "machine").read_text() if others else ""
        self.live = Live(folder, small_world().reference, others=others)
        self.alarms: list[Alarm] = []

    def named(self) -> set[str]:
        return {name for one in self.alarms if one.scope == "campaign" for name in one.accounts}

    def hears(self, number: int, exchanges: list[Exchange]) -> None:
        """An epoch and its exchanges."""
        if exchanges:
            write(self.folder.log, [record(one) for one in exchanges])
        self.alarms += self.live.step((number + 1) * EPOCH_S + GRACE_S)

    @property
    def known(self) -> list[str]:
        return self.live.watch.accounts.sketches.names

    def prompts(self, account: str) -> int:
        sketches = self.live.watch.accounts.sketches
        return int(sketches.columns["seen"][sketches.slot_of[account]])


@contextmanager
def machine(folder: Path, url: str = "", pepper: bytes = b"p" * 32) -> Iterator[Machine]:
    GuardFolder(folder).make()
    (folder / "pepper").write_bytes(pepper)
    said: list[str] = []
    others = joined(url, folder, {}, said.append) if url else None
    try:
        yield Machine(folder, others, said)
    finally:
        if others:
            others.close()


def halves(until_s: float = UNTIL_S) -> Iterator[tuple[int, list[list[Exchange]]]]:
    """Epochs of the small world, each in two halves."""
    watched = small_world().watched
    kept = [one for one in watched if one.at < watched[0].at + until_s]
    for number, held in epochs(kept):
        yield number, [held[0::2], held[1::2]]


def test_two_with_half_the_traffic_each_find_what_neither_finds_alone(tmp_path: Path) -> None:
    campaign = small_world().campaign
    with (
        real_redis(tmp_path / "redis") as redis,
        machine(tmp_path / "a", redis.url) as a,
        machine(tmp_path / "b", redis.url) as b,
        machine(tmp_path / "lone a") as lone_a,
        machine(tmp_path / "lone b") as lone_b,
    ):
        for number, (mine, theirs) in halves():
            for one in (a, lone_a):
                one.hears(number, mine)
            for one in (b, lone_b):
                one.hears(number, theirs)

        assert not lone_a.named() | lone_b.named()
        for one in (a, b):
            assert len(one.named() & campaign) >= 22
            assert len(one.named() - campaign) <= 1
            assert one.said == []
            with Rulings.open(one.folder.path) as rulings:
                assert all(rulings.evidence(name) for name in one.named())
        day = int(small_world().watched[0].at // DAY_S)
        assert 0 < int(redis.call("TTL", f"{PREFIX}watched:{day}")[1:]) <= KEPT_S


def test_without_redis_each_goes_on_alone_and_says_all_again_when_it_is_back(tmp_path: Path) -> None:
    with (
        real_redis(tmp_path / "redis") as redis,
        machine(tmp_path / "a", redis.url) as a,
        machine(tmp_path / "b", redis.url) as b,
        machine(tmp_path / "lone") as lone,
    ):
        redis.kill()
        first, second, *_, last = halves(5_000.0)
        for number, (mine, _) in (first, second):
            a.hears(number, mine)
            lone.hears(number, mine)
        assert len(a.said) == 1
        assert "is not reached" in a.said[0]
        assert "goes on with its own exchanges" in a.said[0]
        assert [one.line() for one in a.alarms] == [one.line() for one in lone.alarms]
        assert a.live.watch.seen == lone.live.watch.seen == len(first[1][0]) + len(second[1][0])

        redis.start()
        number, (mine, theirs) = last
        a.hears(number, mine)
        b.hears(number, theirs)
        assert a.said[1:] == [f"watch: hears the other gateways again, through Redis at 127.0.0.1:{redis.port}"]
        counts = Counter(one.account for one in (*first[1][0], *second[1][0], *mine, *theirs))
        assert {name: b.prompts(name) for name in counts} == counts

        redis.kill()  # it forgets all, and comes back before anybody has noticed
        redis.start()
        with machine(tmp_path / "c", redis.url) as c:
            later = [replace(one, at=one.at + EPOCH_S, id=f"{one.id} again") for one in mine]
            a.hears(number + 1, later)
            c.hears(number + 1, later[:1])
            ours = Counter(one.account for one in (*first[1][0], *second[1][0], *mine, *later))
            ours[later[0].account] += 1
            assert {name: c.prompts(name) for name in ours} == ours
        assert len(a.said) == 2


def test_what_is_damaged_or_signed_with_another_pepper_is_refused(tmp_path: Path) -> None:
    number, (mine, theirs) = next(halves())
    table = f"{PREFIX}watched:{int(mine[0].at // DAY_S)}"
    with (
        real_redis(tmp_path / "redis") as redis,
        machine(tmp_path / "a", redis.url) as a,
        machine(tmp_path / "b", redis.url) as b,
        machine(tmp_path / "c", redis.url, pepper=b"q" * 32) as c,
    ):
        a.hears(number, mine)
        spoilt = next(one.account for one in theirs if one.account in {own.account for own in mine})
        redis.call("HSET", table, f"{spoilt} {a.name}", redis.call("HGET", table, f"{spoilt} {a.name}")[:-1] + b"?")
        b.hears(number, theirs)
        c.hears(number, theirs)

        own, all_of_it = Counter(one.account for one in theirs), Counter(one.account for one in (*mine, *theirs))
        assert {name: b.prompts(name) for name in b.known} == all_of_it | {spoilt: own[spoilt]}
        assert len(b.said) == 1
        assert f"machine {a.name}" in b.said[0]
        assert {name: c.prompts(name) for name in c.known} == own
        assert len(c.said) == 2
        assert all("give all machines the same pepper" in one for one in c.said)


def test_a_copy_of_a_machine_is_told(tmp_path: Path) -> None:
    with real_redis(tmp_path / "redis") as redis, machine(tmp_path / "a", redis.url) as a:
        GuardFolder(tmp_path / "b").make()
        (tmp_path / "b" / "machine").write_text(a.name)
        with machine(tmp_path / "b", redis.url) as b:
            for number, (mine, theirs) in islice(halves(), 2):
                a.hears(number, mine)
                b.hears(number, theirs)
            assert any("remove the file 'machine'" in one for one in a.said)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    GuardFolder(tmp_path / "a").make()
    with pytest.raises(InputError, match="wanted an address like"):
        joined("127.0.0.1:6379", tmp_path / "a", {}, print)
