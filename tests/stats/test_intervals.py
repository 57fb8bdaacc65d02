import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.intervals import paired_difference, recovered, wilson
from spiritsafe.stats.resample import uniforms

triples = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40)
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def columns(rows: list[tuple[bool, ...]]) -> list[list[bool]]:
    return [list(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (15, 50, 0.1910, 0.4375), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_gives_the_published_limits(right: int, total: int, low: float, high: float) -> None:
    # Newcombe 1998, table I: 81/263 and 15/148-like worked examples; the extremes from the closed form.
    interval = wilson(right, total)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 2_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_stays_in_the_unit_interval_holds_the_share_and_mirrors(
    case: tuple[int, int], confidence: float
) -> None:
    right, total = case
    one, other = wilson(right, total, confidence), wilson(total - right, total, confidence)
    assert 0.0 <= one.low <= one.estimate <= one.high <= 1.0
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)


def test_wilson_narrows_with_items_and_widens_with_confidence() -> None:
    few, many, sure = wilson(6, 10), wilson(600, 1_000), wilson(6, 10, 0.99)
    assert many.high - many.low < few.high - few.low < sure.high - sure.low


@pytest.mark.parametrize(("right", "total"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_refuses_counts_that_cannot_be(right: int, total: int) -> None:
    with pytest.raises(InputError, match="wanted at least one item"):
        wilson(right, total)


@given(triples, st.integers(0, 1_000), st.randoms())
def test_recovered_does_not_depend_on_the_order_of_items(rows, seed: int, shuffler: random.Random) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert recovered(*columns(rows), resamples=60, seed=seed) == recovered(*columns(shuffled), resamples=60, seed=seed)


@given(pairs, st.integers(0, 1_000))
def test_a_student_that_is_the_teacher_recovers_exactly_one_and_one_that_is_the_base_exactly_zero(
    rows, seed: int
) -> None:
    base, teacher = columns(rows)
    as_teacher = recovered(base, teacher, teacher, resamples=60, seed=seed)
    as_base = recovered(base, base, teacher, resamples=60, seed=seed)
    assert as_teacher.estimable == as_base.estimable == (as_base.gap_low > 0)
    if as_teacher.estimable:
        assert (as_teacher.estimate, as_teacher.low, as_teacher.high) == (1.0, 1.0, 1.0)
        assert (as_base.estimate, as_base.low, as_base.high) == (0.0, 0.0, 0.0)


@given(triples, st.integers(0, 1_000), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_interval_holds_the_estimate_and_is_finite_or_absent(rows, seed: int, confidence: float) -> None:
    found = recovered(*columns(rows), confidence=confidence, resamples=60, seed=seed)
    if found.estimable:
        assert None not in (found.estimate, found.low, found.high)
        assert -1e9 < found.low <= found.estimate <= found.high < 1e9  # type: ignore[operator]
        assert (found.gap_low > 0, found.reason) == (True, "")
    else:
        assert (found.estimate, found.low, found.high) == (None, None, None)
        assert found.gap_low <= 0
        assert found.reason
    assert -1 <= found.gap_low <= found.gap_high <= 1


@given(triples, st.integers(0, 1_000))
def test_the_estimate_is_the_plain_ratio_of_the_accuracies(rows, seed: int) -> None:
    base, student, teacher = columns(rows)
    found = recovered(base, student, teacher, resamples=60, seed=seed)
    if found.estimate is not None:
        assert found.estimate == pytest.approx((sum(student) - sum(base)) / (sum(teacher) - sum(base)))


def test_a_gap_whose_interval_contains_zero_is_not_estimable_and_says_so() -> None:
    base = [True] * 10 + [False] * 10
    teacher = [True] * 11 + [False] * 9
    found = recovered(base, teacher, teacher)
    assert (found.estimable, found.estimate) == (False, None)
    assert found.gap_low <= 0 <= found.gap_high
    assert "contains 0" in found.reason


def test_a_teacher_that_is_worse_than_the_base_leaves_nothing_to_recover() -> None:
    found = recovered([True] * 40, [False] * 40, [False] * 40)
    assert not found.estimable
    assert found.gap_high < 0
    assert "worse than the untrained base" in found.reason


@given(triples, st.integers(0, 1_000))
def test_equal_seeds_give_equal_results(rows, seed: int) -> None:
    once, twice = (recovered(*columns(rows), resamples=60, seed=seed) for _ in range(2))
    assert once == twice


def test_a_larger_confidence_gives_a_wider_interval() -> None:
    base, student, teacher = [False] * 100, [True] * 50 + [False] * 50, [True] * 70 + [False] * 30
    narrow, wide = (recovered(base, student, teacher, confidence=c, resamples=2_000) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high  # type: ignore[operator]


@pytest.mark.parametrize("lengths", [(0, 0, 0), (2, 2, 3), (1, 2, 2)])
def test_unequal_or_missing_items_are_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="wanted the same items"):
        recovered(*([True] * length for length in lengths))


@given(pairs, st.integers(0, 1_000))
def test_a_paired_difference_turns_its_sign_when_the_two_change_places(rows, seed: int) -> None:
    first, second = columns(rows)
    one = paired_difference(first, second, resamples=60, seed=seed)
    assert -1 <= one.low <= one.estimate <= one.high <= 1
    assert one.estimate == pytest.approx(-paired_difference(second, first, resamples=60, seed=seed).estimate)


def test_pairing_makes_the_interval_narrower_than_unpaired_items_would() -> None:
    hard = [False] * 50 + [True] * 50
    also = [*hard[:-2], False, False]
    shifted = also[1:] + also[:1]
    paired, mixed = paired_difference(hard, also), paired_difference(hard, shifted[50:] + shifted[:50])
    assert paired.high - paired.low < (mixed.high - mixed.low) / 2


def answers_of_one_world(draw: Callable[[], float], items: int) -> list[list[bool]]:
    """Items with a shared difficulty; base, student and teacher are right 10, 55 and 70 % of the time on average."""
    hardness = [draw() - 0.5 for _ in range(items)]
    return [[draw() < level + 0.2 * hard for hard in hardness] for level in (0.10, 0.55, 0.70)]


def covered_share(worlds: int, items: int, resamples: int, seed: int) -> float:
    draw = uniforms(seed).__next__
    truth = (0.55 - 0.10) / (0.70 - 0.10)
    found = [recovered(*answers_of_one_world(draw, items), resamples=resamples, seed=world) for world in range(worlds)]
    assert all(one.estimable for one in found)
    return sum(one.low <= truth <= one.high for one in found) / worlds  # type: ignore[operator]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # 80 worlds: the standard deviation of the covered share is 0.024.
    assert 0.88 <= covered_share(worlds=80, items=120, resamples=200, seed=11) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("items", "measured"), [(40, 0.933), (100, 0.935), (200, 0.943)])
def test_the_coverage_in_a_thousand_worlds_is_what_the_docs_say(items: int, measured: float) -> None:
    # docs/explain/recovered-capability.md quotes these.
    assert covered_share(worlds=1_000, items=items, resamples=500, seed=5) == pytest.approx(measured, abs=5e-4)
    assert measured == pytest.approx(0.95, abs=0.02)
