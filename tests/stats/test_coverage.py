from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.clouds import DIMS, cloud

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.cells import cells
from spiritsafe.stats.coverage import Moments, covariance, directions, effective_rank, project, spread

PLANES = directions(DIMS)
ROWS = cloud(60, list(range(8)), seed=1)
PROJECTED = project(ROWS, PLANES)


def moments(projected) -> Moments:
    return Moments.empty().update(projected)


@given(st.lists(st.integers(0, 60), max_size=6), st.randoms())
@settings(max_examples=40)
def test_moments_are_the_same_bits_however_exchanges_were_split_and_merged(cut: list[int], shuffler) -> None:
    ends = [0, *sorted(cut), 60]
    parts = [moments(project(ROWS[a:b], PLANES)) for a, b in pairwise(ends)]
    shuffler.shuffle(parts)
    while len(parts) > 1:
        place = shuffler.randrange(len(parts) - 1)
        parts[place : place + 2] = [parts[place].merge(parts[place + 1])]
    assert parts[0].to_bytes() == moments(PROJECTED).to_bytes()


def test_the_state_is_below_two_kilobytes_and_comes_back() -> None:
    state = moments(PROJECTED).to_bytes()
    assert len(state) == 1_848
    assert Moments.from_bytes(state).to_bytes() == state


def test_the_covariance_is_that_of_the_projections() -> None:
    assert covariance(moments(PROJECTED)) == pytest.approx(np.cov(PROJECTED.T) / 1024**2)


def gaussian(count: int, rank: int, seed: int, dims: int = 256):
    """Rows that vary evenly in `rank` directions and have length below 1."""
    basis = np.linalg.qr(np.random.default_rng(7).standard_normal((dims, rank)))[0]
    return 0.5 * np.random.default_rng(seed).standard_normal((count, rank)) @ basis.T / np.sqrt(4 * rank)


@pytest.mark.parametrize("rank", [2, 5, 20, 60])
@pytest.mark.parametrize("count", [100, 2_000])
def test_the_effective_rank_is_found_also_beyond_the_number_of_directions(rank: int, count: int) -> None:
    found = [
        effective_rank(moments(project(gaussian(count, rank, seed), directions(256, seed=seed)))) for seed in range(8)
    ]
    assert np.median(found) == pytest.approx(rank, rel=0.25)


def test_spread_and_rank_order_accounts_from_one_prompt_to_many_topics() -> None:
    same = moments(project(np.tile(ROWS[:1], (30, 1)), PLANES))
    narrow, wide = (moments(project(cloud(400, list(range(n)), 3, wide=0.1), PLANES)) for n in (3, 30))
    assert (spread(same), effective_rank(same)) == (0.0, 0.0)
    assert 0 < spread(narrow) < spread(wide) < 1.5
    assert 1 <= effective_rank(narrow) < 4 < effective_rank(wide) <= 399


@given(st.permutations(range(60)))
@settings(max_examples=30)
def test_a_prompts_cell_does_not_depend_on_its_batch(order: list[int]) -> None:
    assert np.array_equal(cells(ROWS[order], bits=20), cells(ROWS, bits=20)[order])


def test_prompts_that_mean_the_same_share_a_cell_and_others_rarely_do() -> None:
    middle = ROWS.mean(axis=0)
    near = np.array([cells(cloud(2, [t], 5, wide=0.01), bits=8, centre_d=middle) for t in range(40)])
    far = cells(cloud(40, list(range(40)), 6, wide=0.01), bits=8, centre_d=middle)
    assert np.mean(near[:, 0] == near[:, 1]) > 0.7
    assert len(np.unique(far)) > 20
    assert 0 <= far.min() <= far.max() < 256


def test_around_the_mean_cells_tell_prompts_apart_that_have_most_in_common() -> None:
    alike = 0.2 * ROWS + np.eye(DIMS, dtype=np.float32)[0]
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    plain, centred = (len(np.unique(cells(alike, bits=8, centre_d=one))) for one in (None, alike.mean(axis=0)))
    assert centred > 1.5 * plain


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: directions(DIMS, 1), "at least two"),
        (lambda: project(np.zeros((2, DIMS + 1)), PLANES), "rows of 32"),
        (lambda: project(np.full((1, DIMS), np.nan), PLANES), "finite"),
        (lambda: covariance(moments(PROJECTED[:1])), "at least two"),
        (lambda: effective_rank(moments(PROJECTED[:2])), "at least three"),
        (lambda: moments(PROJECTED).merge(Moments.empty(5)), "wanted the same"),
        (lambda: cells(ROWS, bits=63), "2 to 62"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_a_state_of_another_length_is_refused() -> None:
    with pytest.raises(StoreError, match="replay again"):
        Moments.from_bytes(b"\x00" * 8)
