from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean, pstdev
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from tests.drills.conftest import Seen, scenario, seen

from spiritsafe.drills.attackers import PRESETS
from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.round_robin import ROUND_ROBIN
from spiritsafe.drills.cast import cast
from spiritsafe.drills.clock import DAY_S, HOUR_S
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.logged import exchanges
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Exchange


def campaign(preset: str, **changes: object) -> dict[str, object]:
    return {"name": "c", "preset": preset, "day": 0.1, **changes}


def run(preset: str, days: float = 2.0, **changes: object) -> Seen:
    return seen(scenario(days=days, campaign=[campaign(preset, **changes)]))


def own(town: Seen) -> list[Exchange]:
    """The campaign's own queries."""
    return [exchange for cue, exchange in town.pairs if cue.ask.campaign]


@pytest.mark.parametrize("preset", [one.name for one in PRESETS])
def test_every_preset_plays_at_its_rate(preset: str) -> None:
    plan = PRESETS.get(preset).plan
    scale = min(1.0, 8 / plan.accounts)
    town = run(preset, 2.1, scale=scale, ramp_days=0.1, blocks=[], per_day=min(plan.per_day, 40))
    played = town.scenario.campaign[0].played
    expected = played.accounts * played.per_day * 2.0

    assert len(own(town)) > 0
    # bursts of a few accounts; conversations of the cover come in lumps
    assert len(town.exchanges) == pytest.approx(expected, rel=0.45)


@pytest.mark.parametrize("percent", [5, 25, 100])
def test_camouflage_has_its_share_of_own_queries(percent: int) -> None:
    town = run(f"camouflage_{percent:02d}", 3.0, scale=0.15)

    assert len(own(town)) / len(town.exchanges) == pytest.approx(percent / 100, rel=0.2)


def test_round_robin_asks_each_query_once_and_all_accounts_alike() -> None:
    town = run("round_robin", scale=0.004)
    texts = Counter(one.messages[-1].content for one in own(town))
    counts = Counter(one.account for one in town.exchanges)

    assert len(texts) > 0.995 * texts.total()
    assert len(counts) == 22
    assert pstdev(counts.values()) < 0.1 * fmean(counts.values())


def test_round_robin_goes_around_and_no_two_lanes_meet() -> None:
    spread = ROUND_ROBIN.make(Plan(), SimpleNamespace(accounts=range(7), refused=set()), 0.0, Dice.of("r"))  # type: ignore[arg-type]

    assert [spread.account(3, turn, 0.0) for turn in range(6)] == [3, 4, 5, 6, 0, 1]
    assert sorted(spread.account(lane, 9, 0.0) or 0 for lane in range(7)) == list(range(7))


def test_one_template_has_one_frame_and_paraphrase_has_none() -> None:
    framed, free = (own(run(preset, 1.0, scale=0.05)) for preset in ("one_template", "paraphrased"))

    def starts(side: list[Exchange]) -> int:
        return len({one.messages[-1].content[:25] for one in side})

    assert starts(framed) == 1
    assert starts(free) > 20


def test_repeats_are_asked_by_other_accounts_too() -> None:
    asked = defaultdict(set)
    for one in own(run("pure", 2.0, repeats=0.4, per_day=100, accounts=6)):
        asked[one.messages[-1].content].add(one.account)

    assert sum(len(accounts) > 1 for accounts in asked.values()) > 50


def test_follow_ups_are_no_queries_of_its_own_but_take_their_share_of_the_rate() -> None:
    town = run("pure", 2.0, follow_ups=1.0, accounts=8, per_day=100)

    assert len(own(town)) == pytest.approx(len(town.exchanges) / 2, rel=0.2)
    assert {len(one.messages) for one in own(town)} == {1}


def test_shifts_are_common_to_all_accounts() -> None:
    town = run("one_template", 2.0, scale=0.05)
    hours = {int(one.at / HOUR_S) % 24 for one in town.exchanges}

    assert len(hours) < 20


def test_refused_accounts_are_replaced_by_the_reserve() -> None:
    town = run("failover", 3.0, scale=0.05)
    lives = town.by_account("c")
    refused = {name for name, one in lives.items() if one[-1].finish_reason == "error"}
    block_s = town.scenario.starts_at + 0.6 * DAY_S

    assert 10 < len(refused) < 40
    assert all(sum(one.finish_reason == "error" for one in lives[name]) <= 2 for name in refused)
    fresh = [name for name, one in lives.items() if one[0].at > block_s]
    assert len(fresh) == pytest.approx(len(refused), abs=3)


def test_a_standby_pool_is_warm_and_then_takes_over() -> None:
    town = run("hot_standby", 2.0, scale=0.004, per_day=100)
    block_s = town.scenario.starts_at + 1.1 * DAY_S
    pool = cast(town.scenario).blocks
    lives = town.by_account("c")
    busy_first = {name for name, one in lives.items() if sum(x.at < block_s for x in one) > 40}
    after = [one for one in town.exchanges if one.at > block_s + 6 * HOUR_S]

    assert len(busy_first) == 14
    assert len(pool) == 7
    assert sum(one[0].at < block_s for name, one in lives.items() if name not in busy_first) >= 10
    assert fmean(one.account in busy_first for one in after) < 0.05


def test_low_and_slow_rests_on_half_of_its_days() -> None:
    town = run("low_and_slow", 6.0, scale=0.02)
    days = Counter((one.account, int((one.at - town.scenario.starts_at) / DAY_S - 0.1)) for one in town.exchanges)

    assert fmean(days.values()) > 6
    assert len(days) < 0.75 * 30 * 6


def test_half_of_the_accounts_move_to_the_new_model_within_a_day_and_none_before() -> None:
    town = seen(scenario(days=3, new_model={"day": 1}, campaign=[campaign("pivot", scale=0.03, per_day=20)]))
    released = town.scenario.starts_at + DAY_S
    moved = {one.account for one in town.exchanges if one.source.model == "large-2"}
    late = [one for one in town.exchanges if one.at > released + DAY_S]

    assert 6 < len(moved) < 24
    assert not [one for one in town.exchanges if one.source.model == "large-2" and one.at < released]
    first = [min(one.at for one in town.by_account("c")[name] if one.source.model == "large-2") for name in moved]
    assert max(first) - min(first) > 6 * HOUR_S
    assert {one.account for one in late if one.source.model == "large-2"} == {one.account for one in late} & moved


def test_links_are_what_the_plan_says() -> None:
    careless, careful = (
        run("pure", 1.0, accounts=24, per_day=20, **links)
        for links in (
            {},
            {"accounts_per_card": 0, "accounts_per_address": 0, "accounts_per_domain": 0, "programs": 0, "focus": 0},
        )
    )

    def kinds(town: Seen, name: str) -> int:
        return len({one.client[name] for one in town.exchanges})

    assert (kinds(careless, "payment"), kinds(careless, "ip"), kinds(careless, "ja4")) == (3, 6, 2)
    assert kinds(careful, "payment") == 24
    assert kinds(careful, "ip") >= 23
    assert kinds(careful, "ja4") > 8


def test_relayed_questions_cannot_be_told_from_a_resellers_by_their_words() -> None:
    people = {"reseller": {"accounts": 3}}
    town = seen(scenario(people=people, days=1, volume=0.02, campaign=[campaign("relay", scale=0.006)]))
    honest, relayed = (
        [one.messages[0].content.lower().split() for one in side if len(one.messages) == 1]
        for side in (town.of("reseller"), town.of("c"))
    )

    assert min(len(honest), len(relayed)) > 600
    assert area_by_naive_bayes(honest[:1200], relayed[:1200]) == pytest.approx(0.5, abs=0.06)


def area_by_naive_bayes(first: list[list[str]], second: list[list[str]]) -> float:
    """Area under the curve on every second text, for word counts learnt from the others."""
    import math

    counts = [Counter(word for text in side[::2] for word in set(text)) for side in (first, second)]
    sizes = [len(side[::2]) for side in (first, second)]

    def score(text: list[str]) -> float:
        return sum(
            math.log((counts[1][word] + 1) / (sizes[1] + 2)) - math.log((counts[0][word] + 1) / (sizes[0] + 2))
            for word in set(text)
        )

    low, high = sorted(map(score, first[1::2])), [score(text) for text in second[1::2]]
    from bisect import bisect_left

    return fmean(bisect_left(low, one) / len(low) for one in high)


def test_that_test_sees_a_template_at_once() -> None:
    town = seen(scenario(people={"reseller": 2}, days=1, campaign=[campaign("one_template", scale=0.03)]))
    honest, framed = ([one.messages[0].content.lower().split() for one in town.of(name)] for name in ("reseller", "c"))

    assert area_by_naive_bayes(honest, framed) > 0.99


def test_whoever_reads_may_block_and_the_campaign_reacts() -> None:
    wanted = scenario(days=1.5, campaign=[campaign("failover", scale=0.02, blocks=[])])
    seen_of: Counter[str] = Counter()
    blocked = set()
    told = []
    for exchange in exchanges(wanted, lambda account, at: account in blocked):
        seen_of[exchange.account] += 1
        told.append(exchange)
        if seen_of[exchange.account] == 20:
            blocked.add(exchange.account)

    assert len(blocked) >= 8
    assert all(seen_of[account] <= 22 for account in blocked)
    assert len(seen_of) > 8
    assert Counter(one.other["status"] for one in told)[403] >= 8


def test_questions_come_from_a_file_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "first"}\n\n{"prompt": "second"}\n{"prompt": "third"}\n')
    town = run("pure", 1.0, asks="file", file=path, accounts=1, per_day=40)

    assert [one.messages[-1].content for one in own(town)][:4] == ["first", "second", "third", "first"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no prompts"), ("{}\n", "wanted {"), ("nonsense\n", "wanted {"), (None, "cannot read")],
    ids=["empty", "no prompt", "no JSON", "missing"],
)
def test_a_bad_file_of_questions_is_an_error(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "prompts.jsonl"
    if text is not None:
        path.write_text(text)

    with pytest.raises(InputError, match=says):
        run("pure", 1.0, asks="file", file=path)


def test_scaling_changes_how_many_and_not_how_much_each_asks() -> None:
    plan = PRESETS.get("wide_shallow").plan
    scaled = plan.scaled(0.01)

    assert (scaled.accounts, scaled.per_day, scaled.days) == (250, 26, 45)
    assert plan.scaled(1e-9).accounts == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"share": 0.5},
        {"cover": "camouflage"},
        {"asks": "file"},
        {"share": 0.6, "cover": "camouflage", "follow_ups": 1.0},
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Plan.model_validate(fields)
