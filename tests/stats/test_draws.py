from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import draws, resample

seeds = st.integers(-(2**63), 2**64)


@given(seeds, st.integers(0, 40))
def test_the_numbers_are_those_of_the_generator_that_gives_them_one_by_one(seed: int, count: int) -> None:
    assert draws.bits(seed, count).tolist() == list(islice(resample.splitmix64(seed), count))
    assert draws.uniforms(seed, count).tolist() == list(islice(resample.uniforms(seed), count))


@given(seeds, st.integers(0, 40), st.integers(0, 40))
def test_drawing_in_pieces_changes_nothing(seed: int, first: int, second: int) -> None:
    pieces = [draws.bits(seed, first), draws.bits(seed, second, first)]
    assert np.array_equal(np.concatenate(pieces), draws.bits(seed, first + second))


def test_normals_have_the_moments_of_a_normal_distribution() -> None:
    drawn = draws.normals(1, 200_000)
    moments = [float(np.mean(drawn**power)) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.05)
    assert abs(np.mean(drawn[1:] * drawn[:-1])) < 0.01


def test_signs_are_plus_and_minus_one_about_equally_often() -> None:
    drawn = draws.signs(2, 100_000)
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    assert abs(drawn.mean()) < 0.015


@given(seeds, st.integers(1, 6), st.integers(0, 6))
def test_subsets_have_their_size_and_do_not_depend_on_how_many_are_drawn_at_once(seed, rows: int, size: int) -> None:
    all_at_once = draws.subsets(seed, rows, 6, size)
    assert all_at_once.sum(axis=1).tolist() == [size] * rows
    assert np.array_equal(all_at_once[rows - 1 :], draws.subsets(seed, 1, 6, size, rows - 1))


def test_every_subset_is_drawn_about_equally_often() -> None:
    chosen = draws.subsets(3, 12_000, 5, 2) @ (1 << np.arange(5))
    _, counts = np.unique(chosen, return_counts=True)
    assert len(counts) == 10
    assert counts.tolist() == pytest.approx([1_200] * 10, rel=0.12)
