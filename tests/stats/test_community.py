import math
from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.community import joint_p_values, pooled_e_value
from spiritsafe.stats.conformal import p_value
from spiritsafe.stats.evalues import product, threshold
from spiritsafe.stats.resample import uniforms


def test_joint_p_values_are_exactly_independent_and_uniform() -> None:
    # Every order of three ordinary accounts and three members: each pattern of p-values comes up equally often.
    seen = Counter(tuple(joint_p_values(sorted(order[:3]), order[3:])) for order in permutations(range(6)))
    assert len(seen) == 4 * 5 * 6
    assert set(seen.values()) == {math.factorial(6) // 120}


def mean_over_groups(scores, members: int, e_value) -> float:
    """The exact mean where all accounts could change places: over every choice of the members."""
    found = []
    for chosen in combinations(range(len(scores)), members):
        rest = sorted(scores[i] for i in range(len(scores)) if i not in chosen)
        found.append(e_value(rest, [scores[i] for i in chosen]))
    return math.fsum(found) / len(found)


@pytest.mark.parametrize("members", [1, 3, 6])
@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 2.1, 3.4], [0, 0, 0, 1, 1, 1, 2, 2], [5.0] * 8])
def test_a_pooled_e_value_has_a_mean_of_exactly_one_where_nothing_is_wrong(scores: list[float], members: int) -> None:
    assert mean_over_groups(scores, members, pooled_e_value) == pytest.approx(1)


def test_multiplying_e_values_of_accounts_ranked_alone_is_not_an_e_value() -> None:
    def alone(rest, some):
        return product([threshold(p_value(rest, one), 1 / (len(rest) + 1)) for one in some])

    assert mean_over_groups([float(i) for i in range(12)], 2, alone) == pytest.approx(2 * 11 / 12)


@given(st.lists(st.floats(0, 9), max_size=12), st.lists(st.floats(0, 9), max_size=8), st.randoms())
@settings(max_examples=25)
def test_the_order_in_which_accounts_are_given_does_not_matter(ordinary, members, shuffler) -> None:
    found = set()
    for _ in range(2):
        shuffler.shuffle(ordinary)
        shuffler.shuffle(members)
        found.add(pooled_e_value(ordinary, members))
    assert len(found) == 1


def test_a_community_of_slightly_high_accounts_is_found_where_none_of_them_stands_out() -> None:
    draw = uniforms(7).__next__
    ordinary = [draw() for _ in range(200)]
    members = [0.6 + 0.4 * draw() for _ in range(40)]
    # The strangest of them alone, corrected for being the strangest of forty, is nothing.
    assert min(p_value(sorted(ordinary), one) for one in members) * 40 > 0.15
    assert pooled_e_value(ordinary, members) > 10_000


def test_pooling_reaches_far_beyond_what_one_account_can_show() -> None:
    assert pooled_e_value([float(i) for i in range(50)], [99.0 + i for i in range(10)]) > 1_000_000 * 51


def test_a_large_group_is_tested_within_the_bound_and_still_found() -> None:
    ordinary = [i / 3_000 for i in range(3_000)]
    assert pooled_e_value(ordinary, [0.5 + i / 4_000 for i in range(2_000)]) > 1e20
    assert pooled_e_value(ordinary, [i / 2_000 for i in range(2_000)]) < 1


def test_a_community_of_nobody_shows_nothing() -> None:
    assert pooled_e_value([1.0, 2.0], []) == 1.0
    assert pooled_e_value([], [1.0, 2.0]) == 1.0


def test_draws_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="one for each"):
        joint_p_values([1.0], [1.0, 2.0], [0.5])
    with pytest.raises(InputError, match="not a number"):
        pooled_e_value([1.0], [math.nan])
