"""Links: what many have anyway says nothing, what nobody had before says a lot, and a prompt counts once."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.watch.worlds import AT, WORDS, asked, table

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.campaigns.communities import communities
from spiritsafe.guard.campaigns.links import (
    CELLS,
    KINDS,
    START,
    SURPRISE,
    TEMPLATE,
    Carriers,
    Links,
    Popularity,
    carriers,
    kind_of,
    surprising,
)
from spiritsafe.guard.campaigns.roster import LOG_ODDS, holders, name_of, signature
from spiritsafe.stats.draws import uniforms

TEMPLATE_TEXT = "Work out the following step by step, show every line, and box the final result: {} plus {}"


def people(count: int, first: int = 0, **client: str) -> list[Exchange]:
    """Accounts that ask six questions each, with nothing in common but what `client` says."""
    draw = (uniforms(first + 1, count * 24) * len(WORDS)).astype(int).reshape(count, 6, 4)
    return [
        asked(
            " ".join([WORDS[w] for w in words] + [f"{first + number}{place}?"]),
            f"p{first + number}",
            AT + place,
            client=client,
        )
        for number, own in enumerate(draw)
        for place, words in enumerate(own)
    ]


def campaign(count: int, prompts: int = 8, **client: str) -> list[Exchange]:
    """Accounts that fill in one template, each prompt once."""
    return [
        asked(TEMPLATE_TEXT.format(number * 31 + place, place + 2), f"c{number}", AT + place, client=client)
        for number in range(count)
        for place in range(prompts)
    ]


def found(ordinary: Sequence[Exchange], watched: Sequence[Exchange]) -> Links:
    return surprising(carried_by(watched), Popularity.of(carried_by(ordinary)))


def carried_by(said: Sequence[Exchange]) -> Carriers:
    sketches = table(said)
    return carriers(sketches, np.arange(len(sketches)))


def kinds(links: Links | Carriers) -> set[str]:
    return {kind_of(int(key)) for key in links.keys}


def test_a_template_that_nobody_had_links_all_who_have_it() -> None:
    links = found(people(100), people(100, 200) + campaign(20))

    assert "template" in kinds(links)
    template = links.keys >> np.uint64(32) == TEMPLATE
    assert (links.carried[template] <= 20).all()
    assert links.carried[template].max() >= 15
    # One account in ten has fewer than two of its eight prompts in the half that is looked at.
    assert len(set(links.places.tolist()) & set(range(100, 120))) >= 15
    assert len(set(links.places.tolist()) - set(range(100, 120))) <= 1


def test_a_template_that_many_ordinary_accounts_have_links_nobody() -> None:
    everybody = people(80) + campaign(40)
    links = found(everybody, people(80, 200) + campaign(40))

    assert "template" not in kinds(links)


def test_unrelated_accounts_have_no_links() -> None:
    assert not len(found(people(150), people(150, 200)).keys)


@pytest.mark.parametrize("kind", ["payment", "ip", "org"])
def test_a_fact_links_by_how_rare_it_is(kind: str) -> None:
    popular = found(people(100, **{kind: "x"}) + people(50, 300), people(60, 600, **{kind: "x"}) + people(30, 900))
    novel = found(people(100) + people(50, 300), people(60, 600, **{kind: "x"}) + people(30, 900))

    assert kind not in kinds(popular)
    assert kinds(novel) == {kind}
    assert novel.carried.tolist() == [60]
    assert sorted(novel.places.tolist()) == list(range(60))


def test_a_prompt_asked_many_times_counts_once() -> None:
    again = [asked(TEMPLATE_TEXT.format(1, 2), "one", AT + place) for place in range(50)]
    assert carried_by(again).chances == carried_by(again[:1]).chances
    assert carried_by(again).keys.tolist() == carried_by(again[:1]).keys.tolist()


def test_words_that_a_prompt_holds_twice_count_once() -> None:
    sketches = table([asked("What is salt?", "one", AT), asked("What is wool?", "one", AT + 1)])
    sketches.columns["prompts"][0, 0, :8] = np.arange(8)
    sketches.columns["notes"][0, 0, :8] = 0
    sketches.columns["notes"][0, 0, 0, :2] = 99  # one of eight prompts holds it, in two places: one is too few

    held = carriers(sketches, np.array([0]))
    assert TEMPLATE << 32 | 99 not in held.keys.tolist()
    sketches.columns["notes"][0, 0, 1, 0] = 99
    assert TEMPLATE << 32 | 99 in carriers(sketches, np.array([0])).keys.tolist()


def test_what_comes_up_in_a_conversation_is_not_carried() -> None:
    said = campaign(3)
    later = [asked(one.messages[-1].content, one.account, one.at, follows=True) for one in said]

    assert kinds(carried_by(said)) >= {"template", "start"}
    assert kinds(carried_by(later)) == {"start"}


def test_both_halves_are_read_only_when_asked_for() -> None:
    sketches = table(campaign(1, prompts=30))
    slot = np.array([0])
    sketches.columns["prompts"][0, 0] = 0xFFFFFFFF  # nothing in the finding half

    assert kinds(carriers(sketches, slot)) == {"start"}
    assert kinds(carriers(sketches, slot, (0, 1))) >= {"template", "start"}


def test_a_value_never_seen_counts_as_seen_once() -> None:
    keys = np.array([5, 7, 7, 9], dtype=np.uint64)
    known = Popularity.of(Carriers(np.arange(4), keys, (9, 9, 9)))

    assert known.rate(np.array([5, 6, 7, 99], dtype=np.uint64)).tolist() == [0.2, 0.1, 0.3, 0.1]
    nobody = Popularity.of(Carriers(np.zeros(0, np.int64), np.zeros(0, np.uint64), (3, 3, 3)))
    assert nobody.rate(np.array([1], dtype=np.uint64)).tolist() == [0.25]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 8)), max_size=200), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_links_are_those_of_the_bound_whatever_the_order(pairs: list[tuple[int, int]], random) -> None:
    pairs = sorted(set(pairs))
    mixed = random.sample(pairs, len(pairs))
    known = Popularity(np.array([1, 2], dtype=np.uint64), np.array([40, 2]), (99, 99, 99))

    def links(own: list[tuple[int, int]]) -> Links:
        places, keys = np.array([p for p, _ in own], dtype=np.int64), np.array([k for _, k in own], dtype=np.uint64)
        return surprising(Carriers(places, keys, (300, 300, 300)), known)

    one, other = links(pairs), links(mixed)
    assert one.keys.tolist() == other.keys.tolist()
    assert {(p, v) for p, v in zip(one.places, one.values, strict=True)} == set(
        zip(other.places, other.values, strict=True)
    )
    for key, carried, ratio in zip(one.keys.tolist(), one.carried.tolist(), one.ratios.tolist(), strict=True):
        assert carried == sum(k == key for _, k in pairs)
        expected = 300 * {1: 41, 2: 3}.get(key, 1) / 100
        assert ratio == pytest.approx(carried / expected)
        assert carried * np.log(ratio) - carried + expected >= SURPRISE


def test_communities_are_those_whom_rare_links_hold_together() -> None:
    links = found(people(100), people(60, 200) + campaign(20) + people(12, 500, payment="card"))
    one, other = communities(links)

    assert set(one.tolist()) <= set(range(60, 80))
    assert len(one) >= 15
    assert sorted(other.tolist()) == list(range(80, 92))
    assert [x.tolist() for x in communities(links)] == [one.tolist(), other.tolist()]


def test_no_links_make_no_communities() -> None:
    assert communities(found(people(40), people(40, 100))) == []


def test_a_signature_is_what_members_hold_and_names_the_campaign_alike() -> None:
    links = found(people(100), people(60, 200) + campaign(20, payment="card"))
    members = np.arange(60, 80)
    odds = signature(links, members)

    assert {KINDS[key >> 32] for key in odds} >= {"template", "payment"}
    assert all(value > 0 for value in odds.values())
    assert name_of(links, members) == name_of(links, members[::-1]) != ""


HOURS = 24 * 20


def starts(hours: list[int]) -> Carriers:
    """Accounts that begin in these hours of a watch and share nothing else."""
    keys = np.array([(START << 32) | (4_000 + hour) for hour in sorted(hours)], dtype=np.uint64)
    return Carriers(np.arange(len(keys)), keys, (len(keys),) * 3)


NOBODY = Popularity.of(Carriers(np.zeros(0, np.int64), np.zeros(0, np.uint64), (99, 99, 99)))


def linked_hours(hours: list[int]) -> list[int]:
    return [(key & 0xFFFFFFFF) - 4_000 for key in surprising(starts(hours), NOBODY).keys.tolist()]


@given(st.integers(60, HOURS - 1), st.integers(25, 60))
@settings(max_examples=30)
def test_those_who_begin_together_are_linked_by_the_hour(hour: int, many: int) -> None:
    steady = [at for at in range(HOURS) for _ in range(2)]
    assert linked_hours(steady + [hour] * many) == [hour]
    assert linked_hours(steady) == []


def test_neither_a_rush_every_morning_nor_a_good_week_links_anybody() -> None:
    mornings = [day * 24 + hour for day in range(20) for hour in range(8, 12) for _ in range(15)]
    better = [at for at in range(240, 400) for _ in range(20)]
    assert linked_hours(mornings) == []
    assert linked_hours([at for at in range(HOURS) for _ in range(4)] + better) == []


def test_a_pool_that_takes_over_within_three_hours_is_linked_by_its_peak() -> None:
    steady = [at for at in range(HOURS) for _ in range(2)]
    taken_over = [300] * 9 + [301] * 82 + [302] * 48 + [303] * 25
    assert 301 in linked_hours(steady + taken_over)


def test_a_clock_in_the_far_future_costs_nothing_and_links_nobody() -> None:
    steady = [at for at in range(HOURS) for _ in range(2)]
    assert linked_hours([*steady, *[200] * 40, 4_000_000_000]) == [200]


def test_on_the_first_day_of_a_watch_everybody_seems_to_begin() -> None:
    assert linked_hours([hour for hour in range(20) for _ in range(100 if hour == 9 else 3)]) == []
    # One clock that is wrong makes no new watch an old one.
    assert linked_hours([-3_000] + [hour for hour in range(20) for _ in range(100 if hour == 9 else 3)]) == []


def test_values_of_one_family_count_once_in_the_odds() -> None:
    ip, asn, template = KINDS.index("ip") << 32, KINDS.index("asn") << 32, TEMPLATE << 32
    known = {ip | 1: 2.0, asn | 1: 2.5, template | 1: 1.0, template | 2: 1.5}

    keys = np.array([ip | 1, asn | 1, template | 1, template | 2, CELLS << 32, ip | 1], dtype=np.uint64)
    held = holders(np.array([4, 4, 4, 4, 4, 9]), keys, known)
    assert held.places.tolist() == [4, 9]
    assert held.odds.tolist() == [2.5 + 1.5, 2.0]
    assert held.asks.tolist() == [True, False]
    assert LOG_ODDS > 2.5
