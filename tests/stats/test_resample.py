import math
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats.resample import binomial_table, resampled_counts, splitmix64, uniforms

cells = st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 0)


def test_splitmix64_gives_the_published_numbers_for_seed_1234567() -> None:
    assert list(islice(splitmix64(1234567), 5)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_uniforms_stay_in_the_unit_interval_and_are_flat() -> None:
    drawn = list(islice(uniforms(1), 20_000))
    assert min(drawn) >= 0.0
    assert max(drawn) < 1.0
    assert abs(sum(drawn) / len(drawn) - 0.5) < 5 / math.sqrt(12 * len(drawn))
    tenths = [sum(int(u * 10) == tenth for u in drawn) for tenth in range(10)]
    assert all(abs(count - 2_000) < 5 * math.sqrt(1_800) for count in tenths)


@given(st.integers(1, 300), st.floats(0.001, 0.999))
def test_a_binomial_table_is_the_binomial_distribution(n: int, p: float) -> None:
    first, cumulative = binomial_table(n, p)
    masses = [high - low for low, high in zip([0.0, *cumulative], cumulative, strict=False)]
    for k, mass in enumerate(masses, first):
        assert mass == pytest.approx(math.comb(n, k) * p**k * (1 - p) ** (n - k), rel=1e-6, abs=1e-12)
    assert cumulative[-1] == pytest.approx(1.0)
    assert first >= 0
    assert first + len(cumulative) - 1 <= n


def test_a_binomial_table_does_not_grow_with_n() -> None:
    _, small = binomial_table(1_000, 0.3)
    first, large = binomial_table(1_000_000, 0.3)
    assert len(large) < 40 * len(small)
    assert first < 300_000 < first + len(large)


@given(cells, st.integers(0, 2**64 - 1))
def test_every_resample_has_as_many_items_and_only_cells_that_were_seen(counts: list[int], seed: int) -> None:
    for drawn in resampled_counts(counts, 5, seed):
        assert sum(drawn) == sum(counts)
        assert all(count == 0 for count, original in zip(drawn, counts, strict=True) if original == 0)
        assert min(drawn) >= 0


@given(cells, st.integers(0, 2**64 - 1))
def test_resamples_depend_on_the_seed_alone(counts: list[int], seed: int) -> None:
    first = [tuple(drawn) for drawn in resampled_counts(counts, 5, seed)]
    assert first == [tuple(drawn) for drawn in resampled_counts(counts, 5, seed)]


def test_different_seeds_give_different_resamples() -> None:
    first, second = ([tuple(d) for d in resampled_counts([40, 60, 20], 10, seed)] for seed in (1, 2))
    assert first != second


def test_resampled_counts_have_the_mean_variance_and_covariance_of_a_multinomial() -> None:
    counts, resamples = [5, 0, 30, 15, 50], 20_000
    total = sum(counts)
    drawn = [tuple(one) for one in resampled_counts(counts, resamples, 7)]
    means = [sum(one[cell] for one in drawn) / resamples for cell in range(5)]
    for cell, count in enumerate(counts):
        share = count / total
        spread = math.sqrt(total * share * (1 - share))
        assert abs(means[cell] - count) <= 5 * spread / math.sqrt(resamples)
        variance = sum((one[cell] - means[cell]) ** 2 for one in drawn) / resamples
        assert variance == pytest.approx(spread**2, rel=0.05)
    covariance = sum((one[2] - means[2]) * (one[4] - means[4]) for one in drawn) / resamples
    assert covariance == pytest.approx(-total * 0.3 * 0.5, rel=0.05)
