"""A process beside the gateway decides as the gateway does, and counts with the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.guard.adapters.deciding import ENFORCED, folder_of, limited
from tests.guard.clocks import still

from spiritsafe.errors import StoreError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.adapters.decider import MOST_BESIDE, Decider
from spiritsafe.guard.gateway.cells import Cells
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.heads import BadRequest
from spiritsafe.guard.limits import Limits, Meter
from spiritsafe.guard.policy import Evidence
from spiritsafe.guard.rulings import Rulings


@contextmanager
def decider(tmp_path: Path, policy: str = ENFORCED) -> Iterator[Decider]:
    with Decider(folder_of(tmp_path, policy), say=print, now_s=still()) as one:
        yield one


def added(tmp_path: Path, name: str, segment: str = "ordinary") -> str:
    with Accounts.open(tmp_path / "guard") as accounts:
        return accounts.add(name, segment=segment)


def refusal(one: Decider, name: str) -> tuple[int, str]:
    with pytest.raises(BadRequest) as refused:
        one.passed_by_name(name)
    return refused.value.status, refused.value.code


def test_several_processes_count_together(tmp_path: Path) -> None:
    key = added(tmp_path, "acme").encode()
    with decider(tmp_path, limited(4)) as one, decider(tmp_path, limited(4)) as other:
        for each in (one, other, one, other):
            each.passed(key)
        for each in (one, other):
            with pytest.raises(BadRequest, match="its limit is 4"):
                each.passed(key)


def test_what_the_gateways_workers_counted_counts_too(tmp_path: Path) -> None:
    key = added(tmp_path, "acme").encode()
    with decider(tmp_path, limited(4)) as one:
        worker = Meter(Cells(GuardFolder(tmp_path / "guard").limits, 1).columns, 0)
        for _ in range(3):
            worker.admit(one.gate.account_of(key).number, Limits(), one.gate.now_s())
        one.passed(key)
        with pytest.raises(BadRequest, match="its limit is 4"):
            one.passed(key)


def test_a_process_takes_the_place_of_one_that_ended_and_there_are_not_endlessly_many(tmp_path: Path) -> None:
    settings = folder_of(tmp_path)
    with ExitStack() as stack:
        for _ in range(MOST_BESIDE):
            last = stack.enter_context(Decider(settings, say=print))
        with pytest.raises(StoreError, match="end one of them"):
            Decider(settings, say=print)
        last.close()
        Decider(settings, say=print).close()


def test_an_account_that_another_gateway_found_out_has_its_limits_here(tmp_path: Path) -> None:
    added(tmp_path, "acme")
    with decider(tmp_path, limited(2)) as one:
        passed = [one.passed_by_name("acme") for _ in range(2)]
        assert (passed[0].account, passed[0].segment, passed[0].action) == ("acme", "ordinary", "allow")
        assert refusal(one, "acme") == (429, "rate_limit_exceeded")


def test_an_account_that_nobody_added_passes_until_something_is_decided_about_it(tmp_path: Path) -> None:
    with decider(tmp_path) as one, Rulings.open(tmp_path / "guard") as rulings:
        assert one.passed_by_name("from-elsewhere").decision is None
        found = Evidence("templates", "from-elsewhere", one.gate.now_s(), 1e6, ("one template",))
        rulings.add_evidence([found])
        one.follow()
        assert refusal(one, "from-elsewhere") == (403, "verification_required")


def test_an_account_that_is_revoked_here_passes_nowhere(tmp_path: Path) -> None:
    added(tmp_path, "acme")
    with decider(tmp_path) as one, Accounts.open(tmp_path / "guard") as accounts:
        one.passed_by_name("acme")
        accounts.revoke("acme")
        one.follow()
        assert refusal(one, "acme") == (401, "account_revoked")
        one.spent("acme", 5, 0.1)


def test_what_an_answer_used_counts_against_the_account(tmp_path: Path) -> None:
    added(tmp_path, "acme")
    policy = ENFORCED.replace("tokens_per_minute = 200_000", "tokens_per_minute = 1000", 1)
    with decider(tmp_path, policy) as one:
        one.passed_by_name("acme")
        one.spent("acme", 1000, 0.5)
        assert refusal(one, "acme")[0] == 429
        one.spent("nobody", 1000, 0.5)


def test_an_account_under_another_contract_is_decided_about_anew(tmp_path: Path) -> None:
    added(tmp_path, "acme")
    with decider(tmp_path) as one, Rulings.open(tmp_path / "guard") as rulings:
        rulings.add_evidence([Evidence("templates", "acme", one.gate.now_s(), 1e6, ("one template",))])
        with Accounts.open(tmp_path / "guard") as accounts:
            accounts.set_segment("acme", "licensed")
        one.follow()
        assert one.passed_by_name("acme").action == "allow"


def test_what_goes_wrong_again_and_again_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    with Decider(folder_of(tmp_path), say=said.append) as one:
        with sqlite3.connect(tmp_path / "guard" / "guard.sqlite") as damaged:
            damaged.execute("alter table decisions rename to elsewhere")
            damaged.execute("pragma user_version = 1000")
        damaged.close()
        for _ in range(3):
            one.follow()
        assert one.passed_by_name("from-elsewhere").action == "allow"
    assert len(said) == 1
    assert "nothing has changed, since" in said[0]


def test_what_expires_is_decided_anew_without_a_gateway(tmp_path: Path) -> None:
    added(tmp_path, "acme")
    with decider(tmp_path) as one, Rulings.open(tmp_path / "guard") as rulings:
        now_s = one.gate.now_s()
        one.follow()
        rulings.rule("acme", "block", "for an hour", by="jo", expires_at=now_s + 3600)
        one.follow()
        assert refusal(one, "acme")[0] == 403
        one.gate.now_s = lambda: now_s + 3601
        assert one.passed_by_name("acme").action == "allow"
