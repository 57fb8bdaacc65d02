from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.clouds import DIMS, cloud

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.fixed_point import UNIT, fixed_point
from spiritsafe.stats.fourier import AMPLITUDE, FourierMap, MeanSketch, grouped
from spiritsafe.stats.mmd import kernel

MAP = FourierMap.of(DIMS, 64, (0.5, 1.0), seed=5)
ROWS = cloud(60, [0, 1, 2], seed=1)
FEATURES = MAP.features(ROWS)
cuts = st.lists(st.integers(0, 60), max_size=6).map(lambda some: [0, *sorted(some), 60])


def sketch_of(features) -> MeanSketch:
    return MeanSketch.empty(MAP).update(features)


def same(*sketches: MeanSketch) -> bool:
    return len({sketch.to_bytes() for sketch in sketches}) == 1


@given(cuts, st.randoms())
@settings(max_examples=40)
def test_a_sketch_is_the_same_bits_however_its_exchanges_were_split_and_merged(cut: list[int], shuffler) -> None:
    parts = [MeanSketch.empty(MAP).update(MAP.features(ROWS[a:b])) for a, b in pairwise(cut)]
    shuffler.shuffle(parts)
    while len(parts) > 1:
        place = shuffler.randrange(len(parts) - 1)
        parts[place : place + 2] = [parts[place].merge(parts[place + 1])]
    assert same(parts[0], sketch_of(FEATURES))


@given(st.permutations(range(60)))
@settings(max_examples=30)
def test_a_prompts_features_do_not_depend_on_its_batch(order: list[int]) -> None:
    assert np.array_equal(MAP.features(ROWS[order]), FEATURES[order])
    assert np.array_equal(MAP.features(ROWS[order[:1]]), FEATURES[order[:1]])


def test_phases_are_exact_whole_number_products() -> None:
    wide = FourierMap.of(300, 40, (0.4, 0.8, 1.6, 3.2), seed=2)
    rows = np.random.default_rng(0).standard_normal((50, 300))
    whole = fixed_point(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    exact = whole.astype(np.int64) @ wide.turns_df.astype(np.int64)
    assert np.array_equal(whole @ wide.turns_df, exact.astype(np.float64))
    # As fine as they can be: twice as fine would be past what float32 holds for the longest row.
    longest = np.sqrt(np.max(np.sum(wide.turns_df.astype(np.float64) ** 2, axis=0)))
    assert 2**22 < longest * 1.01 * UNIT < 2**24


def test_inner_products_of_features_are_the_kernel() -> None:
    many = FourierMap.of(DIMS, 4_000, (0.5, 1.0), seed=1)
    mine = many.features(ROWS) / (AMPLITUDE * np.sqrt(4_000))
    assert np.max(np.abs(mine @ mine.T - kernel(ROWS, ROWS, (0.5, 1.0)))) < 0.06
    assert np.diagonal(mine @ mine.T) == pytest.approx(1.0, abs=1e-3)


def test_the_same_arguments_make_the_same_map_and_others_another() -> None:
    again = FourierMap.of(DIMS, 64, [0.5, 1.0], seed=5)
    assert np.array_equal(MAP.turns_df, again.turns_df)
    assert again.key == MAP.key
    assert len({MAP.key, FourierMap.of(DIMS, 64, (0.5, 1.0), 6).key, FourierMap.of(DIMS, 64, (0.5, 1.1), 5).key}) == 3


@given(st.integers(0, 60), st.sampled_from([1, 1_000, 10**9]))
@settings(max_examples=30)
def test_bytes_come_back_as_the_same_sketch_at_every_width(count: int, times: int) -> None:
    sketch = sketch_of(FEATURES[:count])
    grown = MeanSketch(sketch.key, sketch.count * times, sketch.sums * times)
    back = MeanSketch.from_bytes(grown.to_bytes(), MAP)
    assert (back.key, back.count, back.sums.tolist()) == (grown.key, grown.count, grown.sums.tolist())


@pytest.mark.parametrize("count", [127, 128, 8_388_607, 8_388_608])
def test_the_width_holds_the_largest_sums_there_can_be(count: int) -> None:
    full = MeanSketch(MAP.key, count, np.full(128, count * AMPLITUDE, dtype=np.int64))
    assert MeanSketch.from_bytes(full.to_bytes(), MAP).sums.tolist() == full.sums.tolist()


def test_the_state_of_five_hundred_frequencies_is_at_most_four_kilobytes_up_to_eight_million_exchanges() -> None:
    large = FourierMap.of(DIMS, 500, (1.0,), seed=0)
    few = MeanSketch.empty(large).update(large.features(ROWS))
    assert len(few.to_bytes()) == 12 + 2 * 1_000
    assert len(MeanSketch(large.key, 8_000_000, few.sums * 100_000).to_bytes()) == 12 + 4 * 1_000 <= 4_096


@given(st.lists(st.integers(0, 4), min_size=60, max_size=60))
@settings(max_examples=25)
def test_a_batch_grouped_by_account_is_each_accounts_own_sketch(groups: list[int]) -> None:
    accounts, counts, sums = grouped(FEATURES, np.array(groups))
    assert accounts.tolist() == sorted(set(groups))
    for account, count, row in zip(accounts, counts, sums, strict=True):
        own = sketch_of(FEATURES[np.array(groups) == account])
        assert (own.count, own.sums.tolist()) == (count, row.tolist())


def test_an_empty_prompt_is_a_point_like_any_other() -> None:
    assert MAP.features(np.zeros((1, DIMS), dtype=np.float32)).shape == (1, 128)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MAP.features(np.full((1, DIMS), np.nan)), "finite vectors"),
        (lambda: MAP.features(np.full((1, DIMS), np.inf)), "finite vectors"),
        (lambda: MAP.features(np.full((1, DIMS), 0.5)), "of length 2.8"),
        (lambda: MAP.features(np.zeros((1, DIMS + 1))), "rows of 32 numbers"),
        (lambda: MAP.features(np.zeros(DIMS)), "rows of 32 numbers"),
        (lambda: fixed_point(np.zeros(DIMS)), "one row an exchange"),
        (lambda: FourierMap.of(DIMS, 63, (0.5, 1.0), 0), "multiple"),
        (lambda: FourierMap.of(DIMS, 64, (), 0), "positive bandwidths"),
        (lambda: FourierMap.of(DIMS, 64, (0.0,), 0), "positive bandwidths"),
        (lambda: FourierMap.of(DIMS, 64, (1e-4,), 0), "nearer to the distances"),
        (lambda: MeanSketch.empty(MAP).mean(), "at least one"),
        (lambda: MeanSketch.empty(MAP).merge(MeanSketch.empty(FourierMap.of(DIMS, 64, (1.0,), 5))), "one map"),
    ],
)
def test_what_cannot_be_sketched_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("damage", [lambda s: s[:-1], lambda s: b"", lambda s: b"\x00" * 4 + s[4:], lambda s: s[:12]])
def test_a_state_that_is_cut_or_of_another_map_is_refused(damage) -> None:
    with pytest.raises(StoreError, match="replay again"):
        MeanSketch.from_bytes(damage(sketch_of(FEATURES).to_bytes()), MAP)
