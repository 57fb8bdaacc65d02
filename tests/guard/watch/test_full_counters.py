"""Counters that are full: none begins at zero again, and neither order nor grouping changes a bit."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.watch.worlds import AT, DAY_S, WORDS, asked, packed, part, series, table

from spiritsafe.guard.habits.base import Ordinary
from spiritsafe.guard.habits.changed import CHANGED
from spiritsafe.guard.watch.sketches import BINS, FULLEST_BIN, MOST_TODAY, Sketches
from spiritsafe.guard.watch.space import FREQUENCIES
from spiritsafe.stats.fourier import AMPLITUDE


def clock(count: int, number: int = 0) -> Sketches:
    """An account with so many exchanges in one quarter of an hour, of which its clock alone tells."""
    sketches = Sketches(1)
    sketches.slots(["a"])
    sketches.columns["bins"][0, number % BINS] = count
    sketches.columns["newest_bin"][0] = number
    return sketches


COUNTS = st.one_of(st.integers(0, 40), st.integers(0, FULLEST_BIN))


@given(st.lists(COUNTS, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_clocks_merged_in_any_order_and_grouping_hold_the_sum_or_what_fits(counts: list[int], random: Random) -> None:
    tables = [clock(count) for count in counts]
    while len(tables) > 1:
        other = tables.pop(random.randrange(len(tables)))
        random.choice(tables).put("a", packed(other)["a"])

    assert packed(tables[0]) == packed(clock(min(sum(counts), FULLEST_BIN)))


@given(st.lists(st.tuples(COUNTS, st.integers(0, 3)), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_a_full_quarter_that_comes_anew_begins_at_zero_in_any_order(
    parts: list[tuple[int, int]], random: Random
) -> None:
    """Quarters two days apart lie in one place: only those of the newest two days count."""
    tables = [clock(count, turn * BINS) for count, turn in parts]
    random.shuffle(tables)
    whole = tables.pop()
    for one in tables:
        whole.put("a", packed(one)["a"])
    newest = max(turn for _, turn in parts)

    assert whole.columns["bins"][0, 0] == min(sum(count for count, turn in parts if turn == newest), FULLEST_BIN)


@pytest.mark.parametrize(("before", "expected"), [(0, 5), (FULLEST_BIN - 2, FULLEST_BIN), (FULLEST_BIN, FULLEST_BIN)])
def test_exchanges_into_a_full_quarter_leave_it_full(before: int, expected: int) -> None:
    said = [asked("Hi", at=AT) for _ in range(5)]
    sketches = table(said)
    sketches.columns["bins"][0, int(AT // 900) % BINS] = before
    sketches.put("a", packed(table(said))["a"])

    assert sketches.columns["bins"][0].max() == expected
    assert np.count_nonzero(sketches.columns["bins"][0]) == 1


def test_a_batch_fuller_than_a_quarter_fills_it_and_no_other_account() -> None:
    count = FULLEST_BIN + 10
    sketches = table([asked("Hi", name, AT) for name in ("a", "b")])
    sketches.take(part(series(1), [0] * count), np.zeros(count, dtype=np.int64))

    assert sketches.columns["bins"].max(axis=1)[:2].tolist() == [FULLEST_BIN, 1]


def test_sums_of_features_outgrow_32_bits_and_stay_exact() -> None:
    one = table([asked("What is salt?", at=AT)])
    alone = one.columns["sums"][0].astype(object)
    for _ in range(26):  # doubled: 67 million exchanges
        one.put("a", packed(one)["a"])

    assert one.columns["sums"][0].tolist() == [int(feature) << 26 for feature in alone]
    assert abs(one.columns["sums"][0]).max() > 1 << 31


def test_a_day_of_more_prompts_than_32_bits_hold_is_passed_over_and_one_below_is_not() -> None:
    before = [asked(f"{word} in {n}?", at=AT + n % 5 * DAY_S) for n in range(4) for word in WORDS]
    sketches = table([*before, *(asked("Add 2 and 3.", at=AT + 9 * DAY_S + n) for n in range(40))])
    ordinary = Ordinary(np.zeros(2 * FREQUENCIES), {})

    def score(today: int) -> float:
        sketches.columns["recent_count"][0] = today
        return float(CHANGED.scores(sketches, np.array([0]), ordinary)[0])

    assert score(40) > 0
    assert score(MOST_TODAY + 1) == 0
    assert MOST_TODAY * AMPLITUDE < 1 << 31
