"""What is kept of policies, evidence, rulings and decisions, on real files."""

import sqlite3
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError, StoreError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.policy import ACTIONS, Action, Decision, Evidence, Policy, Rule, Segment, decide, policy_from_json
from spiritsafe.guard.rulings import Rulings

SEGMENTS = {name: Segment() for name in ("ordinary", "batch", "evaluation", "licensed", "internal")}
RULES = (Rule(20, "observe"), Rule(1000, "throttle", days=2), Rule(1000, "block", ("batch",)))
ENFORCE = Policy("enforce", SEGMENTS, RULES)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rulings(tmp_path: Path, clock: Clock) -> Iterator[Rulings]:
    with Accounts.open(tmp_path, now_s=clock) as accounts, Rulings.open(tmp_path, now_s=clock) as opened:
        accounts.add("acme")
        accounts.add("globex", segment="batch")
        yield opened


def found(clock: Clock, level: float, account: str = "acme", detector: str = "coverage") -> Evidence:
    return Evidence(detector, account, clock.now_s, level, ("covers much",), "c-1", None)


def test_evidence_leads_to_a_decision_that_stands_and_can_be_looked_up(rulings: Rulings, clock: Clock) -> None:
    rulings.add_policy("a", ENFORCE)
    rulings.add_evidence([found(clock, 1000), found(clock, 1000, "globex"), found(clock, 5, "nobody")])

    standing = rulings.standing(clock.now_s)
    assert {name: decision.action for name, decision in standing.items()} == {"acme": "throttle", "globex": "block"}
    decision = standing["acme"]
    assert (decision.reasons, decision.by, decision.acts) == (("covers much",), "policy 1", True)
    assert rulings.decision(f" {decision.id.lower()} ") == decision
    assert rulings.evidence("acme") == [found(clock, 1000)]


def test_without_a_policy_nothing_is_decided_and_with_the_first_all_is(rulings: Rulings, clock: Clock) -> None:
    rulings.add_evidence([found(clock, 1000)])
    assert rulings.rule("globex", "block", "seen", "jo") is None
    assert (rulings.standing(clock.now_s), rulings.policy_number()) == ({}, 0)
    with pytest.raises(InputError, match="there is no policy yet"):
        rulings.current_policy()

    rulings.add_policy("a", ENFORCE)
    assert {name: one.action for name, one in rulings.standing(clock.now_s).items()} == {
        "acme": "throttle",
        "globex": "block",
    }


def test_a_new_policy_decides_anew_and_the_old_ones_are_kept(rulings: Rulings, clock: Clock) -> None:
    assert rulings.add_policy("a", ENFORCE) == 1
    rulings.add_evidence([found(clock, 1000)])
    clock.now_s += 5
    assert rulings.add_policy("b", Policy("shadow", SEGMENTS, RULES)) == 2
    assert rulings.add_policy("b", Policy("shadow", SEGMENTS, RULES)) == 2

    decision = rulings.standing(clock.now_s)["acme"]
    assert (decision.action, decision.acts, decision.by) == ("throttle", False, "policy 2")
    assert [(one.number, one.at, one.text) for one in rulings.policies()] == [
        (2, clock.now_s, "b"),
        (1, clock.now_s - 5, "a"),
    ]
    assert policy_from_json(rulings.current_policy()).version == 2
    assert rulings.add_policy("a", ENFORCE) == 3


def test_a_ruling_stands_against_evidence_until_another_one(rulings: Rulings, clock: Clock) -> None:
    rulings.add_policy("a", ENFORCE)
    rulings.add_evidence([found(clock, 1000)])
    allowed = rulings.rule("acme", "allow", "their research was agreed on", "jo")
    assert allowed is not None
    assert (allowed.action, allowed.by) == ("allow", "jo")
    assert rulings.standing(clock.now_s) == {}

    clock.now_s += 1
    rulings.rule("acme", "block", "it was not", "max")
    assert rulings.standing(clock.now_s)["acme"].action == "block"
    assert [(one.action, one.by) for one in rulings.rulings("acme")] == [("block", "max"), ("allow", "jo")]
    assert [one.action for one in rulings.decisions("acme")] == ["block", "allow", "throttle"]
    assert rulings.decisions("globex") == []


def test_time_and_a_new_segment_change_what_stands_once_it_is_settled(tmp_path: Path, clock: Clock) -> None:
    with Accounts.open(tmp_path, now_s=clock) as accounts, Rulings.open(tmp_path, now_s=clock) as rulings:
        accounts.add("acme")
        rulings.add_policy("a", ENFORCE)
        rulings.add_evidence([found(clock, 1000)])
        rulings.rule("acme", "challenge", "who are they?", "jo", clock.now_s + 60)
        assert rulings.settle() == 0

        clock.now_s += 60
        assert rulings.standing(clock.now_s) == {}, "what has expired does not stand"
        assert (rulings.settle(), rulings.settle()) == (1, 0)
        assert rulings.standing(clock.now_s)["acme"].action == "throttle"

        accounts.set_segment("acme", "batch")
        assert (rulings.settle(), rulings.settle()) == (1, 0)
        assert rulings.standing(clock.now_s)["acme"].action == "block"
        accounts.set_segment("acme", "licensed")
        rulings.settle()
        assert rulings.standing(clock.now_s) == {}
        accounts.set_segment("acme", "ordinary")
        rulings.settle()

        clock.now_s += 2 * DAY_S
        assert (rulings.settle(), rulings.settle()) == (1, 0)
        assert rulings.standing(clock.now_s)["acme"].action == "observe"
        clock.now_s += 30 * DAY_S
        assert (rulings.settle(), rulings.settle()) == (1, 0)
        assert rulings.standing(clock.now_s) == {}


steps_taken = st.tuples(
    st.sampled_from(["rule", "find", "find", "wait"]),
    st.sampled_from([1.0, 20.0, 1000.0]),
    st.sampled_from(ACTIONS),
    st.integers(1, 9),
)


@settings(max_examples=25)
@given(st.lists(steps_taken, max_size=6))
def test_what_stands_is_what_the_policy_decides(steps: list[tuple[str, float, Action, int]]) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder, Rulings.open(Path(folder), now_s=clock) as rulings:
        with Accounts.open(Path(folder)) as accounts:
            accounts.add("acme")
        rulings.add_policy("a", ENFORCE)
        for step, level, action, days in steps:
            if step == "rule":
                rulings.rule("acme", action, "r", "jo", clock.now_s + days * DAY_S)
            elif step == "find":
                rulings.add_evidence([found(clock, level, detector=f"d{days}")])
            clock.now_s += days * DAY_S / 3
            rulings.settle()

            standing = rulings.standing(clock.now_s).get("acme")
            wanted = by_the_policy(rulings, clock)
            if standing is None:
                assert wanted.action == "allow"
            else:
                assert (standing.action, standing.expires_at) == (wanted.action, wanted.expires_at)


def by_the_policy(rulings: Rulings, clock: Clock) -> Decision:
    policy, ruled = policy_from_json(rulings.current_policy()), rulings.rulings("acme")
    return decide(policy, "acme", "ordinary", rulings.evidence("acme"), ruled[0] if ruled else None, clock.now_s)


@pytest.mark.parametrize(
    ("account", "action", "reason", "by", "said"),
    [
        ("nobody", "block", "r", "jo", "wanted one that exists"),
        ("acme", "ban", "r", "jo", "wanted one of allow, observe"),
        ("acme", "block", " ", "jo", "without a reason"),
        ("acme", "block", "r", "", "without a reason or without who rules"),
    ],
)
def test_a_ruling_that_makes_no_sense_is_refused(
    rulings: Rulings, account: str, action: Any, reason: str, by: str, said: str
) -> None:
    rulings.add_policy("a", ENFORCE)
    before = rulings.changes()
    with pytest.raises(InputError, match=said):
        rulings.rule(account, action, reason, by)

    assert (rulings.rulings(account), rulings.changes()) == ([], before)


def test_an_id_that_is_nobodys_is_said(rulings: Rulings) -> None:
    with pytest.raises(InputError, match="wanted the id of one"):
        rulings.decision("D-0000-0000")


def test_a_change_is_seen_by_whoever_else_has_the_file_open(rulings: Rulings, clock: Clock, tmp_path: Path) -> None:
    rulings.add_policy("a", ENFORCE)
    with Rulings.open(tmp_path, now_s=clock) as other:
        seen = other.changes()
        rulings.add_evidence([found(clock, 1000)])
        assert other.changes() != seen
        assert other.standing(clock.now_s) == rulings.standing(clock.now_s)
        seen = other.changes()
        rulings.add_evidence([])
        rulings.settle()
        assert other.changes() == seen


def test_a_copy_that_follows_what_is_new_is_the_same_as_a_new_one(rulings: Rulings, clock: Clock) -> None:
    rulings.add_policy("a", ENFORCE)
    copy: dict[str, Decision] = {}
    seen = rulings.changes()

    def follow() -> int:
        nonlocal copy, seen
        news, seen = rulings.standing_since(seen), rulings.changes()
        copy = {name: one for name, one in (copy | news).items() if one is not None}
        assert copy == rulings.standing(clock.now_s)
        return len(news)

    rulings.add_evidence([found(clock, 1000), found(clock, 1000, "globex")])
    assert follow() == 2
    rulings.rule("acme", "allow", "r", "jo", clock.now_s + 1)
    assert (follow(), follow()) == (1, 0)
    clock.now_s += 1
    rulings.settle()
    assert follow() == 1
    assert sorted(copy) == ["acme", "globex"]
    rulings.add_policy("b", Policy("shadow", SEGMENTS, RULES))
    assert follow() == 2


def test_what_fails_half_way_leaves_nothing(rulings: Rulings, clock: Clock, tmp_path: Path) -> None:
    rulings.add_policy("a", ENFORCE)
    with sqlite3.connect(tmp_path / "guard.sqlite") as db:
        db.execute("create trigger no before insert on decisions begin select raise(abort, 'disk full'); end")
    db.close()
    with pytest.raises(StoreError, match="disk full"):
        rulings.add_evidence([found(clock, 1000)])

    assert rulings.evidence("acme") == []


def test_a_decision_that_comes_back_has_a_history(rulings: Rulings, clock: Clock) -> None:
    rulings.add_policy("a", ENFORCE)
    rulings.add_evidence([found(clock, 20)])
    for _ in range(2):
        clock.now_s += 1
        rulings.rule("acme", "block", "r", "jo", clock.now_s + 1)
        clock.now_s += 1
        rulings.settle()

    assert [one.action for one in rulings.decisions()] == ["observe", "block", "block"]


def _find_some(folder: Path, who: int) -> None:
    with Rulings.open(folder) as rulings:
        for number in range(10):
            rulings.add_policy(f"{who} {number}", ENFORCE)
            rulings.add_evidence([Evidence("coverage", f"account-{who}", 4e9, 1000)])


def test_several_processes_may_write_at_once(tmp_path: Path) -> None:
    spawn = get_context("spawn")
    others = [spawn.Process(target=_find_some, args=(tmp_path, who)) for who in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()

    assert [other.exitcode for other in others] == [0, 0]
    with Rulings.open(tmp_path) as rulings:
        assert [one.number for one in rulings.policies()] == list(range(20, 0, -1))
        assert sorted(rulings.standing(4e9)) == ["account-0", "account-1"]
        assert len(rulings.evidence("account-1")) == 10
