from collections import Counter, defaultdict
from itertools import pairwise
from statistics import fmean, median

import pytest
from tests.drills.conftest import EVERYBODY, Seen, scenario, seen

from spiritsafe.drills.clock import DAY_S, HOUR_S
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.identity import COUNTRIES
from spiritsafe.drills.people import PEOPLE
from spiritsafe.drills.people.clients import Clients
from spiritsafe.exchanges.record import Exchange


def first_turns(exchanges: list[Exchange]) -> list[str]:
    """What was asked in exchanges that begin a conversation."""
    return [one.messages[-1].content for one in exchanges if sum(m.role == "user" for m in one.messages) == 1]


def local_hour(exchange: Exchange) -> float:
    return (exchange.at / HOUR_S + COUNTRIES[exchange.client["country"]][1]) % 24


def test_the_town_has_everybody() -> None:
    assert set(EVERYBODY) == {one.name for one in PEOPLE}


@pytest.mark.parametrize("name", [one.name for one in PEOPLE])
def test_every_class_asks_in_order_of_time_and_within_the_world(town: Seen, name: str) -> None:
    at = [one.at for one in town.of(name)]

    assert at
    assert at == sorted(at)
    assert town.scenario.starts_at <= at[0] <= at[-1] < town.scenario.ends_at


def test_segments_are_contracts_that_a_gateway_knows(town: Seen) -> None:
    assert {one.segment for one in town.exchanges} <= {"ordinary", "batch", "evaluation", "licensed", "internal"}
    assert {one.segment for one in town.of("licensed")} == {"licensed"}
    assert {one.segment for one in town.of("ordinary")} == {"ordinary"}


def test_ordinary_people_follow_up_and_differ_widely_in_how_much_they_ask(town: Seen) -> None:
    accounts = town.by_account("ordinary")
    counts = sorted(len(one) for one in accounts.values())

    assert fmean(len(one.messages) > 1 for one in town.of("ordinary")) > 0.25
    assert counts[-1] > 20 * median(counts)
    assert len(set(first_turns(town.of("ordinary")))) > 0.95 * len(first_turns(town.of("ordinary")))


def test_ordinary_people_sleep(town: Seen) -> None:
    hours = Counter(int(local_hour(one)) for one in town.of("ordinary"))

    assert sum(hours[hour] for hour in range(9, 21)) > 3 * sum(hours[hour] for hour in range(2, 6))


def test_a_nightly_batch_has_one_template_and_many_records_in_the_small_hours(town: Seen) -> None:
    for exchanges in town.by_account("nightly_batch").values():
        prompts = first_turns(exchanges)
        nights = [local_hour(one) for one in exchanges]
        assert len({text[:30] for text in prompts}) == 1
        assert len(set(prompts)) == len(prompts) > 60
        assert max(nights) < 10


def test_labels_are_a_few_words_that_repeat(town: Seen) -> None:
    answers = Counter(one.answer for one in town.of("labelling"))

    assert len(answers) < 20
    assert all(one.usage.output_tokens <= 10 for one in town.of("labelling"))


def test_a_benchmark_is_asked_again_in_every_run() -> None:
    lab = seen(scenario(people={"evaluation": {"accounts": 3, "rate": 0.1}}, days=6))
    asked = [Counter(first_turns(exchanges)) for exchanges in lab.by_account("evaluation").values()]

    assert all(set(counts.values()) == {max(counts.values())} for counts in asked)
    assert max(max(counts.values()) for counts in asked) > 1
    assert all(one.sampling.temperature == 0.0 for one in lab.exchanges)


def test_retrieval_has_one_system_prompt_and_takes_passages_from_one_shelf(town: Seen) -> None:
    for exchanges in town.by_account("retrieval").values():
        assert len({one.messages[0].content for one in exchanges}) == 1
        shelf = Counter(
            text[4:] for prompt in first_turns(exchanges) for text in prompt.splitlines() if text[:1] == "["
        )
        assert shelf.most_common(1)[0][1] > 1


def test_a_judge_answers_by_its_rubric(town: Seen) -> None:
    assert all(len(one.answer) <= 4 for one in town.of("judge"))
    assert all("Answer B:" in text for text in first_turns(town.of("judge")))


def test_coding_agents_share_an_organisation_and_work_side_by_side(town: Seen) -> None:
    accounts = town.by_account("coding_agent")

    assert len({one.client["org"] for one in town.of("coding_agent")}) == 2 < len(accounts)
    assert max(len(one.messages) for one in town.of("coding_agent")) >= 9
    assert any(interleaved(exchanges) for exchanges in accounts.values())


def interleaved(exchanges: list[Exchange]) -> bool:
    """Whether one conversation goes on after another has begun."""
    spans = defaultdict(list)
    for one in exchanges:
        if len(one.messages) < 8:
            spans[one.messages[1].content].append(one.at)
    lives = sorted((min(times), max(times)) for times in spans.values())
    return any(end > start for (_, end), (start, _) in pairwise(lives))


def test_a_class_shares_an_address_and_its_questions_but_not_its_cards(town: Seen) -> None:
    groups = defaultdict(list)
    for one in town.of("coursework"):
        groups[town.key.accounts[one.account].group].append(one)

    assert set(groups) == {0, 1}
    for exchanges in groups.values():
        addresses = Counter(one.client["ip"] for one in exchanges)
        assert addresses.most_common(1)[0][1] > 0.5 * len(exchanges)
        assert len({one.client["payment"] for one in exchanges}) == len({one.account for one in exchanges})


def test_students_ask_the_same_questions() -> None:
    class_of_30 = seen(scenario(people={"coursework": 30}, days=8))
    told = Counter(text.lower() for text in first_turns(class_of_30.of("coursework")))
    accounts = len(class_of_30.by_account("coursework"))

    shared = sum(count for text, count in told.items() if "show your working." in text)
    assert shared > accounts
    assert len({text[-60:] for text in told}) < len(told) / 1.2


def test_a_reseller_has_many_end_users_behind_one_key(town: Seen) -> None:
    exchanges = town.of("reseller")
    openings = Counter(text.split()[0].lower() for text in first_turns(exchanges))

    assert len({one.account for one in exchanges}) == 1
    assert len(openings) > 25


def test_honest_companies_move_to_the_new_model_within_a_day(town: Seen) -> None:
    released = town.scenario.starts_at + DAY_S
    longer = seen(scenario(people={"migration": {"accounts": 3, "rate": 0.3}}, days=4, new_model={"day": 1}))

    assert not [one for one in town.of("migration") if one.source.model == "large-2" and one.at < released]
    late = [one for one in longer.of("migration") if one.at > released + DAY_S + 6 * HOUR_S]
    assert late
    assert {one.source.model for one in late} == {"large-2"}


def test_without_a_new_model_nobody_moves() -> None:
    world = seen(scenario(people={"migration": 2}))

    assert {one.source.model for one in world.exchanges} <= {"large-1", "small-1"}


def test_a_hackathon_is_one_card_and_one_weekend() -> None:
    exchanges = seen(scenario(people={"hackathon": 12}, days=6)).of("hackathon")

    assert len({one.client["payment"] for one in exchanges}) == 1
    assert exchanges[-1].at - exchanges[0].at < 50 * HOUR_S
    assert len({one.account for one in exchanges}) == 12


def test_drawn_clients_are_like_those_they_were_fitted_to() -> None:
    clients, dice = Clients.read(), Dice.of("clients")
    drawn = [clients.draw(dice) for _ in range(3000)]

    assert median(one.requests_per_day for one in drawn) == pytest.approx(12_960, rel=0.2)
    assert median(one.active_share for one in drawn) == pytest.approx(0.089, rel=0.3)
    assert 0.18 < fmean(one.output_tokens <= 10 for one in drawn) < 0.29
    assert fmean(one.active_share > 0.5 for one in drawn if one.requests_per_day > 75_000) > 0.5


def test_volume_scales_companies_and_not_people() -> None:
    people = {"nightly_batch": {"accounts": 2}, "coursework": 30}
    small, large = (seen(scenario(people=people, volume=volume)) for volume in (0.001, 0.004))

    assert len(large.of("nightly_batch")) == pytest.approx(4 * len(small.of("nightly_batch")), rel=0.1)
    assert [one.id for one in small.of("coursework")] == [one.id for one in large.of("coursework")]
