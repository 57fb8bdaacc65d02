import math
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.conformal import Reference, accounts_needed, false_alarm_bound, finest, p_value
from spiritsafe.stats.evalues import power
from spiritsafe.stats.resample import uniforms

tied_scores = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=12)
levels = st.floats(0.001, 1.0)
segments = st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(-9, 9), max_size=6), max_size=3)


def each_in_turn(scores: list[float]):
    """Every account as the new one among the others: where all could change places, these are equally likely."""
    for place, score in enumerate(scores):
        yield score, sorted(scores[:place] + scores[place + 1 :])


@given(st.sets(st.floats(-1e6, 1e6), min_size=2, max_size=12))
def test_p_values_of_accounts_that_could_change_places_are_exactly_uniform(scores: set[float]) -> None:
    ps = sorted(p_value(others, score) for score, others in each_in_turn(list(scores)))
    assert ps == pytest.approx([rank / len(scores) for rank in range(1, len(scores) + 1)])


@given(tied_scores, levels)
def test_with_ties_they_are_never_too_small_and_with_a_draw_exactly_uniform(scores: list[float], level: float) -> None:
    count = len(scores)
    plain = [p_value(others, score) for score, others in each_in_turn(scores)]
    assert sum(p <= level for p in plain) <= level * count + 1e-9
    # P(p ≤ level) over the draw: p runs evenly from its value at a draw of (nearly) 0 to the one at 1.
    ends = [(p_value(o, s, 1e-12), p_value(o, s, 1.0)) for s, o in each_in_turn(scores)]
    below = [min(1.0, max(0.0, (level - low) / (high - low))) for low, high in ends]
    assert sum(below) == pytest.approx(level * count, abs=1e-6)


@given(tied_scores, st.floats(0, 5), levels)
def test_a_stranger_score_never_has_a_larger_p_value(scores: list[float], more: float, tie: float) -> None:
    (score, others), *_ = each_in_turn(scores)
    assert p_value(others, score + more, tie) <= p_value(others, score, tie) <= p_value(others, score)


def trajectories(accounts: int, days: int, seed: int) -> list[list[float]]:
    """Accounts with habits: each has its own level, its own scale and days that resemble the day before."""
    draw = uniforms(seed).__next__
    found = []
    for _ in range(accounts):
        level, scale, day = 2 * draw(), 0.2 + draw() ** 3, 0.0
        path = []
        for _ in range(days):
            day = 0.7 * day + scale * (draw() - 0.5)
            path.append(level + day)
        found.append(path)
    return found


@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.05, 0.1, 0.25]))
@settings(max_examples=40)
def test_the_largest_score_so_far_raises_no_more_than_level_whatever_day_one_looks(seed: int, level: float) -> None:
    paths = trajectories(40, 15, seed)
    peaks = [max(path) for path in paths]
    alarms = 0
    for place, path in enumerate(paths):
        ordered = sorted(peaks[:place] + peaks[place + 1 :])
        ps = [p_value(ordered, peak) for peak in accumulate(path, max)]
        assert ps == sorted(ps, reverse=True)
        alarms += min(ps) <= level
    assert alarms <= level * len(paths) + 1e-9


def false_alarms_of_daily_products(accounts: int, days: int, level: float, seed: int) -> float:
    """The share of honest accounts whose product of daily e-values ever reaches 1/level."""
    paths = trajectories(accounts, days, seed)
    ordered = [sorted(path[day] for path in paths) for day in range(days)]
    alarms = 0
    for path in paths:
        capital = top = 1.0
        for day, score in enumerate(path):
            above = sum(one >= score for one in ordered[day])
            capital *= power(above / accounts)
            top = max(top, capital)
        alarms += top >= 1 / level
    return alarms / accounts


def test_multiplying_daily_p_values_of_one_account_would_flag_honest_accounts_with_habits() -> None:
    # docs/explain/error-control.md quotes this figure: what ranking whole horizons avoids.
    assert false_alarms_of_daily_products(accounts=200, days=30, level=0.01, seed=1) == pytest.approx(0.22, abs=0.005)


@given(st.sampled_from([-3, -1, 0, 1, 20]), st.floats(0.01, 1.0), st.floats(-9, 9))
def test_a_reading_is_void_exactly_where_its_level_cannot_be_reached_and_says_so(
    more: int, level: float, score: float
) -> None:
    accounts = max(0, accounts_needed(level) + more)
    reading = Reference.of({"chat": map(float, range(accounts))}, 30).read("chat", score, level)
    assert bool(reading.void) == (finest(accounts) > level * (1 + 1e-9))
    assert reading.accounts == accounts
    if reading.void:
        assert reading.p == 1.0
        assert f"{accounts} ordinary accounts" in reading.void
        assert f"needs {accounts_needed(level)}" in reading.void


@pytest.mark.parametrize(("level", "accounts"), [(0.001, 999), (0.05, 19), (0.1, 9), (1 / 3, 2), (1.0, 0), (0.3, 3)])
def test_a_level_needs_one_account_less_than_its_inverse(level: float, accounts: int) -> None:
    assert accounts_needed(level) == accounts


def test_accounts_are_ranked_in_their_own_segment_and_an_unknown_segment_is_void() -> None:
    reference = Reference.of({"chat": [0.0] * 99, "batch": [9.0] * 99}, 30)
    assert reference.read("chat", 5.0, 0.01).p == 0.01
    assert reference.read("batch", 5.0, 0.01).p == 1.0
    assert reference.read("batch", 5.0, 0.01).void == ""
    assert "segment 'evaluation' has 0 ordinary accounts" in reference.read("evaluation", 5.0, 0.01).void


def test_a_reference_promises_nothing_beyond_the_time_its_accounts_were_watched() -> None:
    reference = Reference.of({"chat": [0.0] * 99}, 7)
    assert reference.read("chat", 5.0, 0.01, watched=7).p == 0.01
    late = reference.read("chat", 5.0, 0.01, watched=8)
    assert (late.p, late.accounts) == (1.0, 99)
    assert "watched accounts for 7, this one is watched for 8" in late.void


@given(segments, segments, segments)
@settings(max_examples=40)
def test_references_merge_in_any_order_to_the_reference_of_all_accounts(one, two, three) -> None:
    a, b, c = (Reference.of(some, 30) for some in (one, two, three))
    whole = Reference.of({s: [*one.get(s, []), *two.get(s, []), *three.get(s, [])] for s in {*one, *two, *three}}, 30)
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(b).merge(a)):
        assert dict(merged.scores) == dict(whole.scores)


@pytest.mark.parametrize(
    ("accounts", "level", "bound"),
    [(99, 0.01, 0.0298), (999, 0.01, 0.0157), (999, 0.001, 0.0030), (9_999, 0.001, 0.00157), (99_999, 0.001, 0.00117)],
)
def test_the_bounds_are_what_the_docs_say(accounts: int, level: float, bound: float) -> None:
    assert false_alarm_bound(accounts, level) == pytest.approx(bound, rel=0.005)


@pytest.mark.parametrize("accounts", [19, 99, 999])
def test_the_bound_on_the_rate_of_the_smallest_level_has_its_closed_form(accounts: int) -> None:
    closed = 1 - 0.05 ** (1 / accounts)
    assert false_alarm_bound(accounts, 1 / (accounts + 1)) == pytest.approx(closed, rel=1e-6)


def test_the_bound_holds_for_as_many_references_as_it_says() -> None:
    draw, accounts, level = uniforms(9).__next__, 100, 0.05
    bound = false_alarm_bound(accounts, level)
    assert level < bound < 0.11
    # The rate of a reference with uniform scores: how much lies above its fifth largest, the alarm's border.
    rates = [1 - sorted(draw() for _ in range(accounts))[-5] for _ in range(1_000)]
    assert sum(rate <= bound for rate in rates) / len(rates) == pytest.approx(0.95, abs=0.025)


def test_a_level_out_of_reach_has_no_false_alarms_and_more_accounts_make_the_rate_surer() -> None:
    assert false_alarm_bound(50, 0.001) == 0.0
    bounds = [false_alarm_bound(accounts, 0.01) for accounts in (99, 999, 9_999, 99_999)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] == pytest.approx(0.01, rel=0.06)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: p_value([1.0], math.nan), "not a number"),
        (lambda: Reference.of({"chat": [math.nan]}, 1), "not a number"),
        (lambda: p_value([1.0], 1.0, 0.0), "tie"),
        (lambda: accounts_needed(0.0), "level"),
        (lambda: false_alarm_bound(0, 0.1), "at least one account"),
        (lambda: Reference.of({}, 1).merge(Reference.of({}, 2)), "calibrate again"),
    ],
)
def test_what_is_no_score_or_level_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
