"""Redis is killed, emptied, stopped, full, set back and filled with junk: the gateways go on, and share again later."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.guard.gateway.gateways import OPEN
from tests.guard.gateway.machines import Machine, limited, machine, two
from tests.guard.gateway.redises import NEEDS_REDIS, real_redis

from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.rulings import Rulings
from spiritsafe.models.replies import served_in_thread

pytestmark = NEEDS_REDIS


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


def test_requests_that_were_open_elsewhere_hold_nobody_up_without_redis(tmp_path: Path) -> None:
    with two(tmp_path, limited(concurrency=1)) as (a, b, redis):
        a.guard.do(lambda: a.guard.desk.meter.admit(1, Limits(), a.guard.desk.now_s()))
        b.hears(open_now=1)
        redis.kill()
        b.guard.until(lambda: b.is_alone)
        assert b.status() == 200


def test_a_redis_that_takes_nothing_is_told_later(tmp_path: Path) -> None:
    with (
        two(tmp_path) as (a, b, redis),
        served_in_thread(lambda asked: "blue") as up,
        machine(up.base_url, tmp_path / "c", redis.url, now_s=a.guard.desk.now_s(), number=1) as c,
    ):
        b.guard.until(lambda: redis.call("ZCARD", "spiritsafe:1:alive") == b":3")
        assert redis.call("CONFIG", "SET", "maxmemory", "1") == b"+OK"
        for one in (b, c):
            one.guard.until(lambda one=one: one.is_alone)
            assert one.asks(4) == [200] * 4
        for _ in range(2):  # they have tried again since
            assert redis.call("CONFIG", "RESETSTAT") == b"+OK"
            c.guard.until(lambda: redis.call("INFO", "errorstats").count(b"OOM") > 0)
        assert redis.call("CONFIG", "SET", "maxmemory", "0") == b"+OK"
        a.hears(requests=8)


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
