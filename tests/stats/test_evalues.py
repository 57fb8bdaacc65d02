import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.evalues import LARGEST, adjusted, as_p, average, from_log, mixed, power, product, threshold, ville
from spiritsafe.stats.resample import uniforms

kappas = st.floats(0.02, 0.98)
ps = st.floats(1e-12, 1.0)
evalues = st.lists(st.floats(0, 1e6), min_size=1, max_size=8)


def mean_over_ranks(calibrator, accounts: int) -> float:
    """The exact mean of an e-value where nothing is wrong: a conformal p-value is then each j/(n+1) equally often."""
    return math.fsum(calibrator(j / (accounts + 1)) for j in range(1, accounts + 2)) / (accounts + 1)


@given(st.integers(1, 400), kappas)
def test_the_mean_of_a_power_e_value_is_at_most_one_where_nothing_is_wrong(accounts: int, kappa: float) -> None:
    assert mean_over_ranks(lambda p: power(p, kappa), accounts) <= 1


@given(st.integers(1, 400), st.floats(0.001, 1.0))
def test_the_mean_of_the_other_e_values_is_at_most_one_as_well(accounts: int, level: float) -> None:
    assert mean_over_ranks(mixed, accounts) <= 1
    assert mean_over_ranks(lambda p: threshold(p, level), accounts) <= 1 + 1e-9


def test_little_is_wasted_the_mean_comes_near_one_with_many_accounts() -> None:
    assert mean_over_ranks(lambda p: power(p, 0.5), 100_000) > 0.99
    assert mean_over_ranks(lambda p: threshold(p, 0.01), 9_999) == pytest.approx(1.0)
    assert mean_over_ranks(mixed, 100_000) > 0.9


@given(st.lists(ps, min_size=2, max_size=10), kappas)
def test_a_smaller_p_value_never_gives_a_smaller_e_value(drawn: list[float], kappa: float) -> None:
    for one in (mixed, lambda p: power(p, kappa), lambda p: threshold(p, 0.05)):
        assert all(one(low) >= one(high) * (1 - 1e-9) for low, high in pairwise(sorted(drawn)))


@given(ps)
def test_mixed_is_the_average_of_power_over_all_kappas(p: float) -> None:
    steps = 4_000
    integral = math.fsum(power(p, (i + 0.5) / steps) for i in range(steps)) / steps
    assert mixed(p) == pytest.approx(integral, rel=1e-3)


@given(ps, kappas)
def test_a_p_value_made_into_an_e_value_and_back_never_becomes_smaller(p: float, kappa: float) -> None:
    assert as_p(power(p, kappa)) >= p * (1 - 1e-9)
    assert as_p(mixed(p)) >= p * (1 - 1e-9)


@given(evalues)
def test_an_average_lies_between_and_does_not_depend_on_order(some: list[float]) -> None:
    assert min(some) * (1 - 1e-9) <= average(some) <= max(some) * (1 + 1e-9)
    assert average(some) == average(some[::-1])
    assert average(some, [2.0] * len(some)) == pytest.approx(average(some))


def test_the_average_stays_an_e_value_under_the_worst_dependence_and_the_product_does_not() -> None:
    # Two copies of one e-value that is 10 with probability 1/10.
    worlds = [10.0] + [0.0] * 9
    assert sum(average([e, e]) for e in worlds) / 10 == 1.0
    assert sum(product([e, e]) for e in worlds) / 10 == pytest.approx(10.0)


def test_weights_say_whose_evidence_counts() -> None:
    assert average([8.0, 2.0], [3.0, 1.0]) == 6.5


@given(st.lists(st.floats(1e-6, 1e6), max_size=8))
def test_a_product_is_a_product_until_it_would_overflow(some: list[float]) -> None:
    assert product(some) == pytest.approx(math.prod(some), rel=1e-9)
    assert product([*some, 0.0]) == 0.0
    assert product([1e300] * 10) == LARGEST == from_log(1e9)


@given(kappas)
def test_an_adjuster_integrates_to_one(kappa: float) -> None:
    # ∫₁^∞ A(s)/s² ds with s = v^(−1/κ), which takes its pole away.
    grid = [(i + 0.5) / 500 for i in range(500)]
    parts = [adjusted(v ** (-1 / kappa), kappa) * v ** (1 / kappa - 1) / kappa for v in grid]
    assert math.fsum(parts) / len(parts) == pytest.approx(1)


def supremum_of_a_fair_game(draw, rounds: int) -> float:
    """Doubling or losing it all is the path that makes suprema largest: P(sup ≥ s) = 1/s at powers of 2."""
    capital = top = 1.0
    for _ in range(rounds):
        capital *= 2.0 if draw() < 0.5 else 0.0
        top = max(top, capital)
    return top


def test_the_supremum_of_an_e_process_is_no_e_value_until_it_is_adjusted() -> None:
    draw = uniforms(3).__next__
    tops = [supremum_of_a_fair_game(draw, 30) for _ in range(4_000)]
    assert sum(tops) / len(tops) > 3
    assert sum(adjusted(top) for top in tops) / len(tops) < 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: power(0.0), "wanted a number above 0"),
        (lambda: mixed(1.1), "wanted a number above 0"),
        (lambda: threshold(math.nan, 0.1), "wanted a number above 0"),
        (lambda: power(0.5, 1.0), "kappa"),
        (lambda: adjusted(2.0, 0.0), "kappa"),
        (lambda: ville(0.0), "level"),
        (lambda: as_p(-1.0), "not negative"),
        (lambda: product([math.nan]), "not negative"),
        (lambda: average([]), "at least one e-value"),
        (lambda: average([1.0], [0.0]), "not all 0"),
        (lambda: average([1.0, 1.0], [2.0, -1.0]), "none negative"),
        (lambda: average([1.0, 1.0], [1.0]), "a weight for each"),
    ],
)
def test_what_is_no_p_value_e_value_or_weight_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
