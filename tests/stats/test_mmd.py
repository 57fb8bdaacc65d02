import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.clouds import DIMS, cloud

from spiritsafe.errors import InputError
from spiritsafe.stats.fourier import FourierMap, MeanSketch
from spiritsafe.stats.mmd import (
    distance,
    exact_mmd2,
    kernel,
    median_distance,
    self_similarity,
    witness,
)

WIDTHS = (0.5, 1.0)
MAP = FourierMap.of(DIMS, 256, WIDTHS, seed=5)


def sketch(rows) -> MeanSketch:
    return MeanSketch.empty(MAP).update(MAP.features(rows))


def by_hand(x, y) -> float:
    def k(a, b):
        return sum(math.exp(-(math.dist(a, b) ** 2) / (2 * s * s)) for s in WIDTHS) / len(WIDTHS)

    within_x = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    within_y = [k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    across = [k(a, b) for a in x for b in y]
    return sum(within_x) / len(within_x) + sum(within_y) / len(within_y) - 2 * sum(across) / len(across)


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 100))
@settings(max_examples=40)
def test_the_exact_distance_is_its_definition_and_symmetric(n: int, m: int, seed: int) -> None:
    x, y = cloud(n, [0, 1], seed), cloud(m, [2], seed + 1)
    assert exact_mmd2(x, y, WIDTHS) == pytest.approx(by_hand(x.tolist(), y.tolist()), abs=1e-6)
    assert exact_mmd2(x, y, WIDTHS) == pytest.approx(exact_mmd2(y, x, WIDTHS), abs=1e-12)


def test_two_samples_of_one_distribution_are_at_distance_zero_on_average() -> None:
    found = [exact_mmd2(cloud(30, [0, 1, 2], s), cloud(40, [0, 1, 2], 1_000 + s), WIDTHS) for s in range(200)]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(len(found))
    assert min(found) < 0 < max(found)


@given(st.integers(0, 100), st.sampled_from([[0], [0, 1], [3, 4, 5]]), st.sampled_from([[0], [2], [0, 1, 2]]))
@settings(max_examples=25)
def test_the_distance_of_two_sketches_is_near_the_exact_one(seed: int, mine: list[int], other: list[int]) -> None:
    x, y = cloud(40, mine, seed), cloud(60, other, seed + 1)
    # 256 frequencies: the features' own error is about 0.05 of the kernel.
    assert distance(sketch(x), sketch(y)) == pytest.approx(exact_mmd2(x, y, WIDTHS), abs=0.12)
    assert distance(sketch(x), sketch(y)) == pytest.approx(distance(sketch(y), sketch(x)), abs=1e-12)


def test_self_similarity_is_one_for_one_prompt_and_falls_as_prompts_spread() -> None:
    narrow, wide = sketch(cloud(50, [0], 1)), sketch(cloud(50, list(range(20)), 1))
    assert self_similarity(sketch(np.tile(cloud(1, [0], 1), (9, 1)))) == pytest.approx(1, abs=0.01)
    assert self_similarity(narrow) > 1.3 * self_similarity(wide)


def test_the_witness_points_at_the_exchanges_that_ordinary_accounts_do_not_send() -> None:
    planted, usual = cloud(20, [40], 1), cloud(60, [0, 1, 2], 2)
    mine = sketch(np.concatenate([planted, usual]))
    found = witness(MAP.features(np.concatenate([planted, usual])), mine, sketch(cloud(500, [0, 1, 2], 3)))
    assert set(np.argsort(found)[-20:]) == set(range(20))


@given(st.integers(0, 50))
def test_the_median_distance_is_the_median_of_all_pairs(seed: int) -> None:
    rows = cloud(12, [0, 1, 2], seed)
    pairs = [math.dist(a, b) for i, a in enumerate(rows.tolist()) for b in rows.tolist()[:i]]
    assert median_distance(rows) == pytest.approx(float(np.median(pairs)), abs=1e-5)


ONE, NONE, OTHER = sketch(cloud(1, [0], 0)), MeanSketch.empty(MAP), MeanSketch.empty(FourierMap.of(DIMS, 8, (1.0,), 0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exact_mmd2(cloud(1, [0], 0), cloud(5, [0], 0), WIDTHS), "at least two"),
        (lambda: kernel(cloud(2, [0], 0), cloud(2, [0], 0), (0.0,)), "positive"),
        (lambda: kernel(cloud(2, [0], 0), cloud(2, [0], 0), ()), "positive"),
        (lambda: median_distance(cloud(1, [0], 0)), "at least two"),
        (lambda: median_distance(np.ones((9, 3))), "varied prompts"),
        (lambda: self_similarity(ONE), "at least two"),
        (lambda: distance(ONE, ONE), "at least two"),
        (lambda: distance(ONE, OTHER), "different feature maps"),
        (lambda: witness(MAP.features(cloud(1, [0], 0)), ONE, NONE), "at least one"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
