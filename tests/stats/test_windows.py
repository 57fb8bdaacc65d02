import numpy as np
import pytest
from tests.stats.clouds import cloud

from spiritsafe.errors import InputError
from spiritsafe.stats.mmd import exact_mmd2
from spiritsafe.stats.windows import Windows

TOPICS = list(range(12))
POOL = cloud(600, TOPICS, seed=1)
BASELINE = Windows.calibrate(POOL, window=60, draws=200, seed=3)


def share_flagged(make, tries: int = 40) -> float:
    return float(np.mean([BASELINE.score(make(seed)) > BASELINE.threshold for seed in range(tries)]))


def test_the_score_is_the_mean_exact_distance_to_the_reference_windows() -> None:
    window = cloud(50, [3, 4], seed=2)
    one_by_one = [exact_mmd2(window, POOL[row > 0], BASELINE.bandwidths) for row in BASELINE.references_rn]
    assert BASELINE.score(window) == pytest.approx(np.mean(one_by_one), abs=1e-6)


def test_reference_windows_have_their_size_and_differ() -> None:
    assert BASELINE.references_rn.sum(axis=1).tolist() == [60.0] * 20
    assert len(np.unique(BASELINE.references_rn, axis=0)) == 20


def test_the_threshold_is_the_percentile_of_distances_between_disjoint_windows() -> None:
    order = [np.random.default_rng(seed).permutation(600)[:120] for seed in range(200)]
    nulls = [exact_mmd2(POOL[rows[:60]], POOL[rows[60:]], BASELINE.bandwidths) for rows in order]
    assert np.percentile(nulls, 85) < BASELINE.threshold < np.percentile(nulls, 99.5)


def test_it_flags_attackers_and_hardly_its_own_kind_of_traffic() -> None:
    assert share_flagged(lambda seed: cloud(60, TOPICS, 50 + seed)) <= 0.1
    assert share_flagged(lambda seed: cloud(60, [40], 50 + seed)) == 1.0


def test_it_also_flags_every_honest_customer_with_a_narrower_interest_than_the_pool() -> None:
    assert share_flagged(lambda seed: cloud(60, TOPICS[:4], 50 + seed)) > 0.9


def test_equal_seeds_give_equal_thresholds() -> None:
    again = Windows.calibrate(POOL, window=60, draws=200, seed=3)
    assert again.threshold == BASELINE.threshold


def test_a_pool_too_small_for_two_windows_is_refused() -> None:
    with pytest.raises(InputError, match="two disjoint windows"):
        Windows.calibrate(POOL, window=301)
    with pytest.raises(InputError, match="at least two"):
        BASELINE.score(POOL[:1])
