"""What machines tell each other of accounts and decisions: in any order, twice, or forged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.guard.accounts import SEGMENTS, Accounts
from spiritsafe.guard.gateway.replica import KINDS, Replica
from spiritsafe.guard.gateway.shared_account import SharedAccount, SharedKey, merged
from spiritsafe.guard.policy import Evidence, Policy, Rule, Segment
from spiritsafe.guard.rulings import Rulings

SECRET = b"s" * 32
POLICY = Policy("enforce", dict.fromkeys(SEGMENTS, Segment()), (Rule(20.0, "block"),))

times = st.floats(0, 100)
keys = st.dictionaries(
    st.sampled_from(["k1", "k2", "k3"]), st.builds(SharedKey, st.just("ss-…"), times, st.none() | times), max_size=3
)
accounts = st.builds(SharedAccount, st.sampled_from(SEGMENTS), st.just("{}"), times, st.none() | times, keys)


@dataclass
class Shared:
    """The tables as Redis keeps them: each row with the number of its last change."""

    rows: dict[str, dict[str, tuple[int, bytes]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    last: int = 0


class Machine:
    """One machine: `hear` and `tell` are the two halves of a round."""

    def __init__(self, folder: Path, shared: Shared) -> None:
        (folder / "pepper").parent.mkdir()
        (folder / "pepper").write_bytes(b"p" * 32)
        self.clock = 1_700_000_000.0
        self.accounts = Accounts.open(folder, now_s=lambda: self.clock)
        self.rulings = Rulings.open(folder, now_s=lambda: self.clock)
        self.rulings.add_policy("policy", POLICY)
        self.replica = Replica(folder, SECRET)
        self.replica.send_all()
        self._shared = shared
        self._seen = dict.fromkeys(KINDS, 0)

    def hear(self) -> None:
        for kind in KINDS:
            changed = [(n, name, value) for name, (n, value) in self._shared.rows[kind].items() if n > self._seen[kind]]
            self.replica.take(kind, [(name, value) for _, name, value in sorted(changed)])
            self._seen[kind] = self._shared.last

    def tell(self) -> int:
        """Write what has changed, but for rows that have changed after they were last heard; how many there were."""
        told = 0
        for kind in KINDS:
            rows = self._shared.rows[kind]
            for change in self.replica.changes(kind, 500):
                number, value = rows.get(change.name, (0, b""))
                if value != change.value:
                    if number > self._seen[kind]:
                        continue
                    self._shared.last += 1
                    rows[change.name] = (self._shared.last, change.value)
                    told += 1
                self.replica.sent([change])
        return told

    def close(self) -> None:
        for one in (self.replica, self.rulings, self.accounts):
            one.close()


@pytest.fixture
def machines(tmp_path: Path) -> Any:
    shared = Shared()
    both = [Machine(tmp_path / name, shared) for name in "ab"]
    yield both
    for one in both:
        one.close()


def settle(machines: list[Machine]) -> None:
    """Rounds until nobody has anything to say."""
    for _ in range(8):
        told = 0
        for one in machines:
            one.hear()
            told += one.tell()
        if not told:
            for one in machines:
                one.hear()
            return
    raise AssertionError("they never agree")


# --- accounts --------------------------------------------------------------------------------------------------------


@given(accounts, accounts, accounts)
def test_merging_is_the_same_in_any_order_and_twice(a: SharedAccount, b: SharedAccount, c: SharedAccount) -> None:
    b, c = replace(b, segment=a.segment), replace(c, segment=a.segment)

    def both(one: SharedAccount, other: SharedAccount) -> SharedAccount:
        return merged(one, other, keeps_contract=False)

    assert both(a, b) == both(b, a)
    assert both(a, both(b, c)) == both(both(a, b), c)
    assert both(both(a, b), b) == both(a, b)


@given(accounts, accounts, st.booleans())
def test_what_is_revoked_or_ends_stays_so(came: SharedAccount, here: SharedAccount, keeps: bool) -> None:
    account = merged(came, here, keeps_contract=keeps)

    for one in (came, here):
        assert one.revoked_at is None or (account.revoked_at is not None and account.revoked_at <= one.revoked_at)
        for digest, key in one.keys.items():
            ends_at = account.keys[digest].ends_at
            assert key.ends_at is None or (ends_at is not None and ends_at <= key.ends_at)
    assert account.segment == (here if keeps else came).segment


CHANGES: dict[str, Callable[[Machine], object]] = {
    "rotate": lambda one: one.accounts.rotate("acme"),
    "revoke": lambda one: one.accounts.revoke("acme"),
    "batch": lambda one: one.accounts.set_segment("acme", "batch"),
    "internal": lambda one: one.accounts.set_segment("acme", "internal"),
    "note": lambda one: one.accounts.note("acme", {"org": "Acme"}),
    "evidence": lambda one: one.rulings.add_evidence([Evidence("d", "acme", one.clock, 30.0, ("same prompts",))]),
    "block": lambda one: one.rulings.rule("acme", "block", "by mail", by="jo"),
    "allow": lambda one: one.rulings.rule("acme", "allow", "by phone", by="al"),
}


@settings(max_examples=15)  # each syncs a dozen transactions to the disk
@given(st.data())
def test_whatever_is_done_where_and_heard_when_all_agree_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, shared = tmp_path_factory.mktemp("machines"), Shared()
    three = [Machine(folder / name, shared) for name in "abc"]
    three[0].accounts.add("acme")
    settle(three)
    is_revoked = False
    for clock in range(data.draw(st.integers(1, 8))):
        one = data.draw(st.sampled_from(three))
        one.clock += clock
        what = data.draw(st.sampled_from([*CHANGES, "hear", "tell"]))
        if what in ("hear", "tell"):
            getattr(one, what)()
        elif not (what == "rotate" and one.accounts.get("acme").revoked_at is not None):
            CHANGES[what](one)
            is_revoked |= what == "revoke"
    settle(three)

    [first, *others] = [
        (
            replace(one.accounts.get("acme"), hints=()),
            sorted(one.accounts.working_keys(), key=lambda key: key.digest),
            sorted(map(repr, one.rulings.evidence("acme"))),
            one.rulings.rulings("acme")[:1],
        )
        for one in three
    ]
    assert others == [first, first]
    assert (first[0].revoked_at is not None) == is_revoked
    for one in three:
        one.close()


def test_of_two_contracts_that_were_given_in_turn_the_later_one_holds(machines: list[Machine]) -> None:
    a, b = machines
    a.accounts.add("acme")
    settle(machines)
    a.accounts.set_segment("acme", "batch")
    settle(machines)
    b.accounts.rotate("acme")
    a.accounts.set_segment("acme", "licensed")
    settle(machines)

    assert [one.accounts.get("acme").segment for one in machines] == ["licensed", "licensed"]


def test_a_change_that_comes_while_another_is_on_its_way_is_not_lost(machines: list[Machine]) -> None:
    a, b = machines
    a.accounts.add("acme")
    settle(machines)
    a.accounts.revoke("acme")
    b.accounts.set_segment("acme", "batch")
    b.hear()
    a.tell()
    b.tell()  # b has not heard of it, and must not write over it
    settle(machines)

    for one in machines:
        account = one.accounts.get("acme")
        assert account.revoked_at is not None
        assert account.segment == "batch"


def test_an_older_ruling_that_comes_late_does_not_count_before_a_newer_one(machines: list[Machine]) -> None:
    a, b = machines
    a.accounts.add("acme")
    settle(machines)
    a.rulings.rule("acme", "block", "by mail", by="jo")
    b.clock += 60
    b.rulings.rule("acme", "allow", "by phone", by="al")
    settle(machines)

    for one in machines:
        assert [ruling.by for ruling in one.rulings.rulings("acme")] == ["al", "jo"]
        assert one.rulings.standing(one.clock) == {}


def test_what_is_not_signed_right_is_passed_over(machines: list[Machine]) -> None:
    a, b = machines
    a.accounts.add("acme")
    [change] = a.replica.changes("accounts", 9)

    b.replica.take("accounts", [("other", change.value), ("acme", change.value[:-1] + b" "), ("acme", b"")])
    b.replica.take("rulings", [(change.name, change.value)])
    assert b.accounts.all() == []
    b.replica.take("accounts", [(change.name, change.value)])
    assert [one.name for one in b.accounts.all()] == ["acme"]


def test_what_has_come_from_elsewhere_is_not_sent_back(machines: list[Machine]) -> None:
    a, b = machines
    a.accounts.add("acme")
    settle(machines)

    assert b.replica.changes("accounts", 9) == []
    a.accounts.set_segment("acme", "batch")
    a.tell()
    b.hear()
    assert b.replica.changes("accounts", 9) == []
