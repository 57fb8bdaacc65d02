"""Several gateways that act as one: what is used, added, revoked or ruled on one holds on the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.guard.gateway.gateways import OPEN
from tests.guard.gateway.machines import limited, machine, two
from tests.guard.gateway.redises import NEEDS_REDIS

from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.limits import Counts, Limits
from spiritsafe.guard.policy import Evidence, Policy, Rule
from spiritsafe.guard.rulings import Rulings
from spiritsafe.models.replies import served_in_thread

pytestmark = NEEDS_REDIS

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


def test_an_account_that_is_not_known_yet_counts_from_when_it_is(tmp_path: Path) -> None:
    with two(tmp_path) as (a, _, redis), Accounts.open(a.folder) as on_a:
        key = on_a.add("newco")
        a.until(200, key)
        with (
            served_in_thread(lambda asked: "blue") as up,
            machine(up.base_url, tmp_path / "c", redis.url, now_s=a.guard.desk.now_s(), number=1) as c,
            Accounts.open(c.folder) as on_c,
        ):
            a.asks(1)
            c.hears(requests=1)
            assert [account.name for account in on_c.all()] == ["acme"]  # the first worker would bring in the other
            on_c.add("newco")
            c.guard.until(lambda: c.guard.desk.meter.others.get(2, Counts()).requests == 1)


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
