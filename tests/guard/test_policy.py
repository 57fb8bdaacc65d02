"""Policy: one pure function, by its properties."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.limits import DAY_S, Limits
from spiritsafe.guard.policy import (
    ACTIONS,
    NAMED_ONLY,
    Decision,
    Evidence,
    Policy,
    Rule,
    Ruling,
    Segment,
    decide,
    id_of,
    policy_from_json,
    policy_to_json,
    severity,
)

NOW = 1_700_000_000.0
SEGMENTS = ("ordinary", "batch", "evaluation", "licensed", "internal")

times = st.floats(NOW - 20 * DAY_S, NOW + DAY_S)
names = st.sampled_from(["coverage", "templates", "timing"])
actions = st.sampled_from(ACTIONS)
levels = st.sampled_from([1.0, 20.0, 20.5, 1000.0])
ends = st.none() | st.floats(NOW - DAY_S, NOW + DAY_S)
evidence = st.builds(
    Evidence, names, st.just("acme"), times, levels, st.lists(names, max_size=2).map(tuple), ends, ends
).map(lambda found: replace(found, campaign=None if found.campaign is None else "c"))
some_evidence = st.lists(evidence, max_size=5)
rules = st.builds(
    Rule,
    levels,
    actions,
    st.lists(st.sampled_from(SEGMENTS), max_size=2).map(tuple),
    st.lists(names, max_size=2).map(tuple),
    st.floats(0.1, 30),
)
limits = st.builds(Limits, *[st.none() | st.integers(1, 10**9)] * 4, st.none() | st.floats(0, 1e6))
hygienes = st.builds(
    Hygiene,
    *[st.none() | st.integers(0, 20)] * 3,
    st.booleans(),
    st.sampled_from(["raw", "summarised", "withheld"]),
    st.booleans(),
)
contracts = st.builds(Segment, limits, hygienes, st.sampled_from(["raw", "redacted", "features"]), st.floats(0, 99))
policies = st.builds(
    Policy,
    st.sampled_from(["shadow", "enforce"]),
    st.just({}),
    st.lists(rules, max_size=4).map(tuple),
    st.floats(0.01, 1),
    st.integers(0, 99),
)
segments = st.sampled_from(SEGMENTS)
rulings = st.builds(Ruling, st.just("acme"), actions, st.just("seen"), st.just("jo"), times, ends)


def decided(policy: Policy, found: list[Evidence], ruling: Ruling | None = None, **other: Any) -> Decision:
    return decide(policy, "acme", other.get("segment", "ordinary"), found, ruling, other.get("now_s", NOW))


@given(policies, segments, some_evidence, evidence)
def test_more_evidence_never_makes_a_decision_milder(
    policy: Policy, segment: str, found: list[Evidence], more: Evidence
) -> None:
    before = decided(policy, found, segment=segment)
    after = decided(policy, [*found, more], segment=segment)

    assert severity(after.action) >= severity(before.action)


@given(policies, segments, some_evidence.filter(bool), st.floats(1, 1e6))
def test_stronger_evidence_never_makes_a_decision_milder(
    policy: Policy, segment: str, found: list[Evidence], by: float
) -> None:
    stronger = [replace(found[0], level=found[0].level + by), *found[1:]]

    before = decided(policy, found, segment=segment)
    assert severity(decided(policy, stronger, segment=segment).action) >= severity(before.action)


@given(policies, segments, some_evidence, rulings)
def test_a_live_ruling_outranks_all_and_an_expired_one_nothing(
    policy: Policy, segment: str, found: list[Evidence], ruling: Ruling
) -> None:
    decision = decided(policy, found, ruling, segment=segment)

    if ruling.expires_at is None or ruling.expires_at > NOW:
        assert (decision.action, decision.by, decision.reasons) == (ruling.action, "jo", ("seen",))
        assert (decision.at, decision.expires_at) == (ruling.at, ruling.expires_at)
    else:
        assert decision == decided(policy, found, segment=segment)


@given(policies, segments, some_evidence)
def test_evidence_that_has_expired_does_not_count(policy: Policy, segment: str, found: list[Evidence]) -> None:
    live = [piece for piece in found if piece.expires_at is None or piece.expires_at > NOW]
    longest = max((rule.days for rule in policy.rules), default=0.0) * DAY_S
    live = [piece for piece in live if piece.at + longest > NOW]

    assert decided(policy, found, segment=segment) == decided(policy, live, segment=segment)


@given(policies, segments, some_evidence)
def test_a_decision_holds_until_it_expires_and_not_longer(policy: Policy, segment: str, found: list[Evidence]) -> None:
    decision = decided(policy, found, segment=segment)
    if decision.expires_at is None:
        assert decision.action == "allow"
        return

    assert decision.expires_at > NOW
    before = decided(policy, found, segment=segment, now_s=decision.expires_at - 0.001)
    after = decided(policy, found, segment=segment, now_s=decision.expires_at)
    assert before.action == decision.action
    assert severity(after.action) < severity(decision.action)


@given(policies, segments, some_evidence, st.none() | rulings, st.randoms())
def test_deciding_again_gives_the_same_whatever_the_order(
    policy: Policy, segment: str, found: list[Evidence], ruling: Ruling | None, random: Any
) -> None:
    decision = decided(policy, found, ruling, segment=segment)
    shuffled = list(found)
    random.shuffle(shuffled)

    assert decided(policy, shuffled, ruling, segment=segment) == decision


@given(policies, segments, some_evidence)
def test_the_same_decision_keeps_its_id_later_and_under_another_version_and_mode(
    policy: Policy, segment: str, found: list[Evidence]
) -> None:
    decision = decided(policy, found, segment=segment)
    later = replace(policy, version=policy.version + 1, mode="shadow")
    end_s = NOW + 1.0 if decision.expires_at is None else min(NOW + 1.0, decision.expires_at - 0.001)
    again = decided(later, found, segment=segment, now_s=max(NOW, end_s))

    if again.at == decision.at or decision.action == "allow":
        assert again.id == decision.id


@given(st.lists(rulings, min_size=2, max_size=6, unique_by=lambda ruling: (ruling.action, ruling.at)))
def test_other_decisions_have_other_ids(made: list[Ruling]) -> None:
    policy = Policy("enforce", {})
    live = [replace(ruling, expires_at=None) for ruling in made]

    assert len({decided(policy, [], ruling).id for ruling in live}) == len(live)


@given(policies, segments, some_evidence, st.none() | rulings)
def test_in_shadow_mode_only_a_persons_ruling_acts(
    policy: Policy, segment: str, found: list[Evidence], ruling: Ruling | None
) -> None:
    shadow = decided(replace(policy, mode="shadow"), found, ruling, segment=segment)
    real = decided(replace(policy, mode="enforce"), found, ruling, segment=segment)

    is_ruled = ruling is not None and ruling.account == shadow.account and shadow.by == ruling.by
    assert shadow.shadow or is_ruled
    assert not shadow.acts or is_ruled
    assert replace(shadow, shadow=False) == real
    assert real.acts == (real.action not in ("allow", "observe"))


@given(policies, st.sampled_from(NAMED_ONLY), some_evidence)
def test_who_may_learn_from_the_model_is_touched_only_by_rules_that_say_so(
    policy: Policy, segment: str, found: list[Evidence]
) -> None:
    named = replace(policy, rules=tuple(rule for rule in policy.rules if segment in rule.segments))

    assert decided(policy, found, segment=segment) == decided(named, found, segment=segment)


@given(policies, some_evidence, rulings)
def test_what_is_known_of_others_does_not_count(policy: Policy, found: list[Evidence], ruling: Ruling) -> None:
    others = [replace(piece, account="globex") for piece in found]

    assert decided(policy, others, replace(ruling, account="globex")) == decided(policy, [])


def test_a_decision_says_why_since_when_and_until_when() -> None:
    policy = Policy("enforce", {}, (Rule(20, "throttle", days=2), Rule(99, "block", detectors=("timing",))), version=3)
    found = [
        Evidence("coverage", "acme", NOW - 100, 50, ("covers as much as 400 tenants",)),
        Evidence("coverage", "acme", NOW - 50, 60, ("covers as much as 400 tenants",)),
        Evidence("templates", "acme", NOW, 5000),
        Evidence("timing", "acme", NOW, 19.9),
    ]
    decision = decided(policy, found)

    assert (decision.action, decision.by, decision.at) == ("throttle", "policy 3", NOW - 100)
    assert decision.reasons == ("covers as much as 400 tenants", "templates: e-value 5e+03")
    assert decision.expires_at == NOW + 2 * DAY_S
    assert decided(policy, [*found, Evidence("timing", "acme", NOW, 99)]).action == "block"
    assert decision.logged == {
        "id": decision.id,
        "action": "throttle",
        "reasons": list(decision.reasons),
        "by": "policy 3",
        "shadow": False,
    }


def test_without_evidence_the_account_may_go_on() -> None:
    decision = decided(Policy("enforce", {}, (Rule(0, "block"),)), [])

    assert (decision.action, decision.acts, decision.reasons, decision.expires_at) == ("allow", False, (), None)


def test_a_level_that_is_no_number_matches_nothing() -> None:
    policy = Policy("enforce", {}, (Rule(0, "block"),))

    assert decided(policy, [Evidence("timing", "acme", NOW, float("nan"))]).action == "allow"


@given(st.binary())
def test_an_id_can_be_read_out(decided: bytes) -> None:
    assert re.fullmatch(r"D-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", id_of(decided))


def test_ids_use_every_letter_there_is() -> None:
    assert len(set("".join(id_of(bytes([number])) for number in range(100)))) == 32 + len("-")


@given(policies, st.dictionaries(segments, contracts, max_size=2))
def test_a_policy_comes_out_of_json_as_it_went_in(policy: Policy, contracts: dict[str, Segment]) -> None:
    policy = replace(policy, segments=contracts)

    assert policy_from_json(policy_to_json(policy)) == policy


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_are_ordered_from_mild_to_severe(action: Any) -> None:
    order = ["allow", "observe", "mark", "strip", "throttle", "challenge", "block"]

    assert severity(action) == order.index(action)
