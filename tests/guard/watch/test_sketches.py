"""What is remembered of an account: the same however its exchanges came, and whoever's table they came into."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.watch.worlds import AT, DAY_S, asked, packed, part, pieces, series, space, table, varied

from spiritsafe.errors import StoreError
from spiritsafe.guard.watch.accounts import MOST_STATE_BYTES
from spiritsafe.guard.watch.reading import Batch, read
from spiritsafe.guard.watch.sketches import (
    BIN_S,
    FOLLOWS,
    MOST_LINKS,
    NO_PROMPT,
    SAMPLED,
    STATE_BYTES,
    Sketches,
    last_at,
)

COUNT = 160
OWNERS = ["a", "b", "a", "c", "a"]
"""Whose the exchanges are, in turn: one account has most."""


def owner(place: int) -> str:
    return OWNERS[place % len(OWNERS)]


def batch() -> Batch:
    """A series, with one prompt, model and link whose hash is the mark of a free place."""
    whole = series(COUNT)
    prompts, models, links = whole.prompts_N.copy(), whole.models_N.copy(), whole.links_NK.copy()
    prompts[7], models[8], links[9, 0] = NO_PROMPT, NO_PROMPT, NO_PROMPT
    return replace(whole, prompts_N=prompts, models_N=models, links_NK=links)


def taken(cut: Sequence[Sequence[int]]) -> Sketches:
    """The table of a series, taken in so many batches."""
    sketches = Sketches(1)
    for places in cut:
        sketches.take(part(batch(), places), sketches.slots([owner(place) for place in places]))
    return sketches


ONE_TABLE = packed(taken([range(COUNT)]))


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, COUNT), max_size=12))
@settings(max_examples=40)
def test_neither_the_order_of_exchanges_nor_their_batches_change_a_bit(random: Random, cuts: list[int]) -> None:
    order = list(range(COUNT))
    random.shuffle(order)

    assert packed(taken([order[piece] for piece in pieces(COUNT, cuts)])) == ONE_TABLE


@given(st.randoms(use_true_random=False), st.integers(1, 9))
@settings(max_examples=40)
def test_parts_merged_in_any_order_and_grouping_are_the_whole(random: Random, parts: int) -> None:
    of = [random.randrange(parts) for _ in range(COUNT)]
    tables = [taken([[place for place in range(COUNT) if of[place] == number]]) for number in range(parts)]
    while len(tables) > 1:
        other = tables.pop(random.randrange(len(tables)))
        into = random.choice(tables)
        for name, sketch in packed(other).items():
            into.put(name, sketch)

    assert packed(tables[0]) == ONE_TABLE


def test_a_batch_is_read_the_same_whole_and_one_by_one() -> None:
    said = [varied(number) for number in range(60)]
    whole = read(said, space())
    for place in range(60):
        one, own = read(said[place : place + 1], space()), part(whole, [place])
        for name in ("prompts_N", "cells_N", "features_NF", "projections_NR", "links_NK", "models_N", "is_empty_N"):
            assert np.array_equal(getattr(one, name), getattr(own, name)), name


def test_accounts_put_together_are_the_account_that_had_asked_it_all() -> None:
    together = taken([range(COUNT)]).merged([0, 1, 2])
    alone = Sketches(1)
    alone.take(batch(), alone.slots([""] * COUNT))

    assert packed(together) == packed(alone)


def test_an_empty_sketch_adds_nothing() -> None:
    sketches, fresh = taken([range(COUNT)]), Sketches(1)
    fresh.slots(["new"])
    for name in sketches.names:
        sketches.put(name, fresh.pack(0))

    assert packed(sketches) == ONE_TABLE


def test_no_exchange_of_another_account_touches_an_account() -> None:
    mine = [place for place in range(COUNT) if owner(place) == "b"]

    assert packed(taken([mine]))["b"] == ONE_TABLE["b"]


@pytest.mark.parametrize("length", [0, 1, STATE_BYTES - 1, STATE_BYTES + 1, 3 * STATE_BYTES])
def test_bytes_that_are_no_sketch_are_refused_and_change_nothing(length: int) -> None:
    sketches = taken([range(COUNT)])
    for name in ("a", "new"):
        with pytest.raises(StoreError, match=r"no sketch|damaged sketch") as caught:
            sketches.put(name, (ONE_TABLE["a"] * 3)[:length].ljust(length, b"x"))
        assert "\n" not in str(caught.value)

    assert packed(sketches) == ONE_TABLE


@given(st.integers(0, STATE_BYTES * 8 - 1))
def test_a_sketch_with_a_flipped_bit_is_refused(bit: int) -> None:
    spoilt = bytearray(ONE_TABLE["a"])
    spoilt[bit // 8] ^= 1 << bit % 8
    sketches = Sketches()

    with pytest.raises(StoreError, match=r"no sketch|damaged sketch|sketch of version"):
        sketches.put("a", bytes(spoilt))
    with pytest.raises(StoreError):
        last_at(bytes(spoilt))
    assert len(sketches) == 0


def test_rows_take_the_place_of_what_was_there() -> None:
    from_one, to = taken([range(COUNT)]), taken([range(0, COUNT, 3)])
    names = ["c", "a", "new"]
    from_one.slots(names)
    to.set_rows(to.slots(names), from_one.rows(from_one.slots(names)))
    assert {name: packed(to)[name] for name in names} == {name: packed(from_one)[name] for name in names}

    to.replace("new", ONE_TABLE["b"])
    to.replace("a", Sketches().pack(0))
    assert packed(to)["new"] == ONE_TABLE["b"]
    assert packed(to)["a"] == Sketches().pack(0)


def test_an_account_takes_eight_kilobytes_at_most_whatever_it_asks() -> None:
    assert {len(one) for one in ONE_TABLE.values()} == {STATE_BYTES}
    assert MOST_STATE_BYTES <= 8_192


def test_counts_are_exact_and_samples_are_the_smallest_hashes() -> None:
    own = taken([range(COUNT)]).merged([0, 1, 2]).columns
    whole = batch()
    told = ~whole.is_empty_N
    for half in (0, 1):
        asked_N = whole.prompts_N[told & (whole.prompts_N % 2 == half)]
        assert own["counts"][0, half] == len(asked_N)
        smallest, hits = np.unique(asked_N[asked_N != NO_PROMPT], return_counts=True)
        kept = own["prompts"][0, half] != NO_PROMPT
        assert own["prompts"][0, half][kept].tolist() == smallest[:SAMPLED].tolist()
        assert own["hits"][0, half][kept].tolist() == hits[:SAMPLED].tolist()
    assert own["seen"][0] == COUNT
    assert own["empty"][0] == np.count_nonzero(whole.is_empty_N) > 0
    assert own["follows"][0] == np.count_nonzero(whole.follows_N) > 0
    assert own["tokens"][0] == int(whole.tokens_N.sum())
    assert own["hours"][0].sum() == COUNT
    assert (own["first_at"][0], own["last_at"][0]) == (whole.at_N.min(), whole.at_N.max())


def test_the_clock_holds_two_days_and_the_newest_day_stands_alone() -> None:
    times = [AT, AT + 100, AT + BIN_S, AT + 2 * DAY_S - 1, AT + 2 * DAY_S]
    own = table([asked(f"What is {at}?", at=at) for at in times]).columns

    assert own["bins"][0].sum() == 3  # all but the quarter of an hour that has come anew
    assert own["recent_count"][0] == 1
    assert own["newest_bin"][0] == (AT + 2 * DAY_S) // BIN_S


def test_of_many_values_of_a_link_a_few_are_kept_and_each_once() -> None:
    own = table([asked("Hi", at=AT + n, client={"ip": f"192.0.2.{n % 7}", "asn": 64_500}) for n in range(70)])
    ips, asns = own.columns["links"][0, 2], own.columns["links"][0, 3]

    assert np.count_nonzero(ips != NO_PROMPT) == MOST_LINKS == len(set(ips.tolist()))
    assert np.count_nonzero(asns != NO_PROMPT) == 1


def test_a_prompt_asked_in_two_ways_is_a_first_turn_whichever_came_first() -> None:
    ways = [asked("What is salt?", at=AT), asked("What is salt?", at=AT, follows=True)]
    found = [packed(table(said)) for said in (ways, ways[::-1])]
    for one, other in (ways, ways[::-1]):
        both = table([one])
        both.put("a", packed(table([other]))["a"])
        found.append(packed(both))
        notes, hits = both.columns["notes"][0], both.columns["hits"][0]
        assert notes[hits == 2][:, FOLLOWS].tolist() == [0]

    assert found == [found[0]] * 4
