"""Several gateways that act as one, through a real Redis that is killed, emptied, stopped and filled with junk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.guard.gateway.gateways import ASK, OPEN, Running, gateway
from tests.guard.gateway.redises import NEEDS_REDIS, RealRedis, real_redis

from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.gateway.following import Following
from spiritsafe.guard.gateway.sharing import Sharing, joined
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import Evidence, Policy, Rule, Segment
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.settings import Settings
from spiritsafe.models.replies import served_in_thread

pytestmark = NEEDS_REDIS

PEPPER = b"p" * 32
EVERY_S, ALIVE_S = 0.02, 0.5


@dataclass
class Machine:
    """A gateway that shares, as one of several; `said` is what it has said of that."""

    guard: Running
    folder: Path
    sharing: Sharing
    said: list[str] = field(default_factory=list)

    def status(self, key: str = "") -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return self.guard.post(ASK, headers=headers).status

    def asks(self, times: int) -> list[int]:
        return [self.status() for _ in range(times)]

    def until(self, status: int, key: str = "") -> None:
        """Return when a request is answered so."""
        for _ in range(2000):
            if self.status(key) == status:
                return
        raise AssertionError(f"never {status}")

    def hears(self, **fields: int) -> None:
        """Return when others have used so much of the first account, as far as this machine knows."""
        others = self.guard.desk.meter.others
        self.guard.until(lambda: 1 in others and all(getattr(others[1], f) == n for f, n in fields.items()))

    @property
    def is_alone(self) -> bool:
        return self.guard.desk.counters.now["redis_failing"] == 1


def limited(**limits: Any) -> Policy:
    return Policy("enforce", {**OPEN.segments, "ordinary": Segment(Limits(**limits))})


@contextmanager
def machine(
    up: str, folder: Path, redis: str, policy: Policy = OPEN, *, pepper: bytes = PEPPER, now_s: float | None = None
) -> Iterator[Machine]:
    """A machine with an account "acme" of its own key, in `folder`, while the block lasts.

    Its clock stands still, so that no minute turns in the middle of a test.
    """
    stands_at = time.time() // 60 * 60 + 5 if now_s is None else now_s
    folder.mkdir(exist_ok=True)
    (folder / "pepper").write_bytes(pepper)
    settings = Settings("127.0.0.1", 0, "127.0.0.1", 0, 1, str(folder), "", (), redis_url=redis)
    with ExitStack() as stack:
        guard = stack.enter_context(gateway(up, folder, policy=policy))
        said: list[str] = []

        async def begin() -> tuple[Sharing, asyncio.Task[None]]:
            rulings, accounts = Rulings.open(folder), Accounts.open(folder)
            rulings.add_policy(repr(policy), policy)
            desk = guard.desk
            desk.book = Book(accounts)  # one that can be read again
            desk.now_s = lambda: stands_at
            sharing = await joined(settings, 0, desk, desk.counters, {}, said.append, every_s=EVERY_S, alive_s=ALIVE_S)
            sharing.start()
            return sharing, asyncio.create_task(_follow(Following(desk, rulings), rulings, accounts))

        def run(what: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(what, guard._loop).result(20)

        sharing, following = run(begin())
        try:
            yield Machine(guard, folder, sharing, said)
        finally:
            guard.do(following.cancel)
            run(sharing.leave())


async def _follow(following: Following, rulings: Rulings, accounts: Accounts) -> None:
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            following.look()
    finally:
        rulings.close()
        accounts.close()


@contextmanager
def two(tmp_path: Path, policy: Policy = OPEN) -> Iterator[tuple[Machine, Machine, RealRedis]]:
    now_s = time.time() // 60 * 60 + 5
    with (
        served_in_thread(lambda asked: "blue") as up,
        real_redis(tmp_path / "redis") as redis,
        machine(up.base_url, tmp_path / "a", redis.url, policy, now_s=now_s) as a,
        machine(up.base_url, tmp_path / "b", redis.url, policy, now_s=now_s) as b,
    ):
        yield a, b, redis


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_limit_holds_over_both_machines_once_each_has_heard_the_other(tmp_path: Path) -> None:
    with two(tmp_path, limited(requests_per_minute=9)) as (a, b, _):
        assert a.asks(4) == [200] * 4
        b.hears(requests=4)
        assert b.asks(3) == [200] * 3
        a.hears(requests=3)
        assert a.asks(3) == [200, 200, 429]
        b.hears(requests=6)
        assert b.asks(2) == [429, 429]


def test_what_both_let_in_before_they_hear_of_each_other_is_the_tolerance(tmp_path: Path) -> None:
    """The limit of each machine alone is never exceeded, and when both have heard nothing more passes."""
    with two(tmp_path, limited(requests_per_minute=20)) as (a, b, _):
        passed = 0
        while 200 in (statuses := [a.status(), b.status()]):
            passed += statuses.count(200)
        assert 20 <= passed <= 40
        assert set(a.asks(3) + b.asks(3)) == {429}


def test_tokens_of_a_day_count_everywhere(tmp_path: Path) -> None:
    with two(tmp_path, limited(tokens_per_day=1)) as (a, b, _):
        assert a.asks(2) == [200, 429]
        b.until(429)


def test_a_minute_that_has_passed_is_forgotten_and_what_was_said_before_a_machine_came_is_known_to_it(
    tmp_path: Path,
) -> None:
    policy = limited(requests_per_minute=3)
    with two(tmp_path, policy) as (a, b, redis):
        a.asks(3)
        b.hears(requests=3)
        now_s = a.guard.desk.now_s()
        with (
            served_in_thread(lambda asked: "blue") as up,
            machine(up.base_url, tmp_path / "c", redis.url, policy, now_s=now_s) as c,
        ):
            c.hears(requests=3)
            assert c.status() == 429
            c.guard.do(lambda: setattr(c.guard.desk, "now_s", lambda: 1e10))
            assert c.status() == 200


def test_open_requests_of_a_machine_that_went_silent_count_no_more(tmp_path: Path) -> None:
    with two(tmp_path, limited(concurrency=1)) as (a, b, _):
        a.guard.do(lambda: a.guard.desk.meter.admit(1, Limits(), a.guard.desk.now_s()))
        b.hears(open_now=1)
        assert b.status() == 429
        a.guard.do(lambda: a.sharing.stop())
        b.hears(open_now=0)
        assert b.status() == 200


# --- accounts and decisions ------------------------------------------------------------------------------------------


def test_an_account_that_is_added_or_revoked_on_one_machine_is_so_on_the_other(tmp_path: Path) -> None:
    with two(tmp_path) as (a, b, _), Accounts.open(a.folder) as on_a, Accounts.open(b.folder) as on_b:
        key = on_a.add("newco", segment="batch")
        b.until(200, key)
        assert on_b.get("newco").segment == "batch"
        on_a.set_segment("newco", "evaluation")
        on_a.note("newco", {"org": "Newco"})
        b.guard.until(lambda: b.guard.desk.book.named("newco").segment == "evaluation")  # type: ignore[union-attr]
        other = on_b.rotate("newco", overlap_s=3600)
        a.until(200, other)
        on_b.revoke("newco")
        a.until(401, key)
        assert on_a.get("newco").revoked_at is not None
        assert on_b.get("newco").facts == {"org": "Newco"}


def test_accounts_of_the_same_name_become_one_and_keep_all_their_keys(tmp_path: Path) -> None:
    with two(tmp_path) as (a, b, _):
        a.until(200, b.guard.key)
        b.until(200, a.guard.key)


def test_a_ruling_on_one_machine_acts_on_the_other_and_the_last_one_counts(tmp_path: Path) -> None:
    with two(tmp_path) as (a, b, _), Rulings.open(a.folder) as on_a, Rulings.open(b.folder) as on_b:
        decision = on_a.rule("acme", "block", "confirmed by mail", by="jo")
        b.until(403)
        assert decision is not None
        assert on_b.decision(decision.id).reasons == ("confirmed by mail",)
        on_b.rule("acme", "allow", "it was a mistake", by="al")
        a.until(200)
        assert [ruling.by for ruling in on_a.rulings("acme")] == ["al", "jo"]


def test_evidence_found_on_one_machine_leads_to_the_same_decision_on_the_other(tmp_path: Path) -> None:
    policy = Policy("enforce", OPEN.segments, (Rule(20.0, "block"),))
    with two(tmp_path, policy) as (a, b, _), Rulings.open(a.folder) as on_a, Rulings.open(b.folder) as on_b:
        now_s = a.guard.desk.now_s()
        on_a.add_evidence([Evidence("coverage", "acme", now_s, float("inf"), ("many — and more",), "c1", now_s + 99)])
        b.until(403)
        a.until(403)
        [mine], [its] = on_a.decisions("acme"), on_b.decisions("acme")
        assert mine == its
        assert on_b.evidence("acme") == on_a.evidence("acme")


def test_another_pepper_is_an_error_that_names_it(tmp_path: Path) -> None:
    with two(tmp_path) as (a, _, redis):
        with (
            pytest.raises(InputError, match="another pepper") as error,
            machine("http://127.0.0.1:9/v1", tmp_path / "c", redis.url, pepper=b"q" * 32),
        ):
            pass
        assert not a.is_alone
    assert "copy the file 'pepper'" in str(error.value)


# --- Redis goes and comes back ---------------------------------------------------------------------------------------


def test_without_redis_each_machine_goes_on_alone_and_later_all_is_said_again(tmp_path: Path) -> None:
    with two(tmp_path, limited(requests_per_minute=8)) as (a, b, redis), Accounts.open(a.folder) as on_a:
        a.asks(2)
        b.hears(requests=2)
        redis.kill()
        a.guard.until(lambda: a.is_alone)
        b.guard.until(lambda: b.is_alone)
        assert a.asks(3) + b.asks(3) == [200] * 6
        key = on_a.add("newco")
        redis.start()
        b.hears(requests=5)
        a.hears(requests=3)
        assert (a.status(), b.status()) == (429, 429)
        b.until(200, key)
        assert not a.is_alone
        assert len(a.said) == len(b.said) == 2
        assert "is not reached" in a.said[0]
        assert "goes on" in a.said[1]


def test_what_was_known_stays_in_force_without_redis(tmp_path: Path) -> None:
    with two(tmp_path) as (a, b, redis), Rulings.open(a.folder) as on_a, Accounts.open(a.folder) as accounts:
        key = accounts.add("newco")
        b.until(200, key)
        accounts.revoke("newco")
        on_a.rule("acme", "block", "confirmed by mail", by="jo")
        b.until(403)
        b.until(401, key)
        redis.kill()
        b.guard.until(lambda: b.is_alone)
        assert (b.status(), b.status(key)) == (403, 401)


def test_a_redis_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    with two(tmp_path, limited(requests_per_minute=8)) as (a, b, redis):
        redis.hang()
        assert a.asks(4) == [200] * 4
        a.guard.until(lambda: a.is_alone)
        redis.go_on()
        b.hears(requests=4)
        assert b.asks(5) == [200] * 4 + [429]


def test_a_redis_that_comes_back_with_an_old_snapshot_is_told_what_it_has_forgotten(tmp_path: Path) -> None:
    with two(tmp_path, limited(requests_per_minute=9)) as (a, b, redis), Accounts.open(a.folder) as on_a:
        a.asks(2)
        b.hears(requests=2)
        assert redis.call("SAVE") == b"+OK"
        a.asks(1)
        b.hears(requests=3)
        key = on_a.add("newco")
        b.until(200, key)
        redis.kill()
        redis.start()
        with (
            served_in_thread(lambda asked: "blue") as up,
            machine(up.base_url, tmp_path / "c", redis.url, OPEN, now_s=a.guard.desk.now_s()) as c,
        ):
            c.hears(requests=3)
            c.until(200, key)


def test_a_redis_that_is_emptied_is_filled_again(tmp_path: Path) -> None:
    with two(tmp_path, limited(requests_per_minute=9)) as (a, b, redis):
        a.asks(3)
        b.hears(requests=3)
        assert redis.call("FLUSHALL") == b"+OK"
        a.guard.until(lambda: redis.call("EXISTS", "spiritsafe:1:accounts") == b":1")
        with (
            served_in_thread(lambda asked: "blue") as up,
            machine(up.base_url, tmp_path / "c", redis.url, OPEN, now_s=a.guard.desk.now_s()) as c,
        ):
            c.hears(requests=3)
            c.until(200, a.guard.key)


def test_a_gateway_that_starts_without_redis_serves_and_shares_when_it_is_there(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, real_redis(tmp_path / "redis") as redis:
        redis.kill()
        with (
            machine(up.base_url, tmp_path / "a", redis.url) as a,
            machine(up.base_url, tmp_path / "b", redis.url) as b,
        ):
            assert (a.status(), b.status(), a.is_alone, b.is_alone) == (200, 200, True, True)
            redis.start()
            b.until(200, a.guard.key)


def test_whoever_can_write_to_redis_makes_no_account_and_stops_nothing(tmp_path: Path) -> None:
    with two(tmp_path) as (a, b, redis), Accounts.open(b.folder) as on_b:
        row = b"x" * 16 + b'{"segment":"internal","facts":"{}","made_at":0,"revoked_at":null,"keys":{}}'
        for table, name, value in (("accounts", b"forged", row), (f"used:{today(a)}", b"acme x/0", b"short")):
            redis.call("HSET", f"spiritsafe:1:{table}", name, value)
            redis.call("ZADD", f"spiritsafe:1:{table}:order", "1000", name)
        with Accounts.open(a.folder) as on_a:
            key = on_a.add("newco")
        redis.call("SET", "spiritsafe:1:version", "2000")
        b.until(200, key)
        assert [account.name for account in on_b.all()] == ["acme", "newco"]


def test_what_is_no_table_is_said_and_nothing_is_refused(tmp_path: Path) -> None:
    with two(tmp_path) as (a, b, redis):
        redis.call("DEL", "spiritsafe:1:accounts")
        redis.call("SET", "spiritsafe:1:accounts", "junk")
        b.guard.until(lambda: b.is_alone)
        assert (a.status(), b.status()) == (200, 200)
        assert "WRONGTYPE" in b.said[0]


def today(one: Machine) -> int:
    return int(one.guard.desk.now_s() // 86_400)


def test_a_copied_data_folder_is_said(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, real_redis(tmp_path / "redis") as redis:
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "machine").write_text("0123456789abcdef")
        with (
            machine(up.base_url, tmp_path / "a", redis.url) as a,
            machine(up.base_url, tmp_path / "b", redis.url),
        ):
            a.guard.until(lambda: a.is_alone)
            assert "remove the file 'machine'" in a.said[0]
            assert a.status() == 200


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:6379", "wanted an address like redis://"),
        ("redis://:secret-word@127.0.0.1:6379", "SPIRITSAFE_REDIS_PASSWORD"),
    ],
)
def test_an_address_that_is_wrong_is_an_error_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error, machine("http://127.0.0.1:9/v1", tmp_path / "a", url):
        pass
    assert "secret-word" not in str(error.value)
