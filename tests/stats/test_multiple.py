import math
from itertools import chain, combinations, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.evalues import adjusted, power
from spiritsafe.stats.multiple import block_share, boost, e_bh, fading_share, holm, online_e_bh, reports_needed
from spiritsafe.stats.resample import uniforms

some_evalues = st.lists(st.sampled_from([0.0, 1.0, 5.0, 20.0, 40.0, 60.0, 100.0]) | st.floats(0, 150), max_size=12)
alphas = st.sampled_from([0.05, 0.1, 0.3])


def by_definition(evalues: list[float], alpha: float) -> list[int]:
    """Wang and Ramdas 2022, definition of the e-BH procedure."""
    total = len(evalues)
    ordered = sorted(evalues, reverse=True)
    most = max((k for k in range(1, total + 1) if k * ordered[k - 1] / total >= 1 / alpha - 1e-9), default=0)
    return [] if most == 0 else [i for i, e in enumerate(evalues) if e >= ordered[most - 1]]


@given(some_evalues, alphas)
@example([20.0, 8.0, 5.0], 0.15)
def test_e_bh_reports_what_its_definition_says(evalues: list[float], alpha: float) -> None:
    assert e_bh(evalues, alpha) == by_definition(evalues, alpha)


@given(some_evalues, alphas, st.data())
def test_more_evidence_never_withdraws_a_report(evalues: list[float], alpha: float, data: st.DataObject) -> None:
    stronger = [e + data.draw(st.floats(0, 100)) for e in evalues]
    assert set(e_bh(evalues, alpha)) <= set(e_bh(stronger, alpha))


@given(some_evalues, alphas)
def test_later_arrivals_never_withdraw_a_report(evalues: list[float], alpha: float) -> None:
    shares = [fading_share(place) for place in range(1, len(evalues) + 1)]
    reports = [set(online_e_bh(evalues[:n], shares[:n], alpha)) for n in range(len(evalues) + 1)]
    assert all(early <= late for early, late in pairwise(reports))


@given(some_evalues, alphas)
def test_equal_shares_make_the_online_rule_the_plain_one(evalues: list[float], alpha: float) -> None:
    assert online_e_bh(evalues, [1 / 12] * len(evalues), alpha) == e_bh(evalues + [0.0] * (12 - len(evalues)), alpha)


def false_share(reported: list[int], nulls: int) -> float:
    return sum(place < nulls for place in reported) / max(1, len(reported))


def all_at_once(u: float, nulls: int, alpha: float) -> list[float]:
    return [1 / alpha if u < alpha else 0.0] * nulls


def one_at_a_time(u: float, nulls: int, alpha: float) -> list[float]:
    return [nulls / alpha if int(u * nulls / alpha) == place else 0.0 for place in range(nulls)]


@pytest.mark.parametrize("worst", [all_at_once, one_at_a_time])
def test_the_false_discovery_rate_stays_at_alpha_under_the_worst_dependence(worst) -> None:
    # Both are e-values with mean 1 that use up all of alpha: together, or never two at a time.
    alpha, nulls, steps = 0.1, 20, 10_000
    rate = sum(false_share(e_bh(worst((i + 0.5) / steps, nulls, alpha), alpha), nulls) for i in range(steps)) / steps
    assert rate == pytest.approx(alpha)


def shared_reference_world(draw, accounts: int, nulls: int, real: int) -> list[float]:
    """P-values of accounts ranked among one reference: they depend on each other through it."""
    reference = sorted(draw() for _ in range(accounts))
    scores = [draw() for _ in range(nulls)] + [2.0] * real
    return [(1 + sum(one >= score for one in reference)) / (accounts + 1) for score in scores]


@pytest.mark.parametrize("boosted", [False, True])
def test_the_false_discovery_rate_holds_for_accounts_that_share_their_reference(boosted: bool) -> None:
    alpha = 0.2
    draw, accounts, nulls, real = uniforms(5).__next__, 300, 30, 10
    ladder = [power(j / (accounts + 1)) for j in range(1, accounts + 2)]
    factor = boost(ladder, nulls + real, alpha) if boosted else 1.0
    shares, found = [], 0
    for _ in range(200):
        ps = shared_reference_world(draw, accounts, nulls, real)
        reported = e_bh([factor * power(p) for p in ps], alpha)
        shares.append(false_share(reported, nulls))
        found += sum(place >= nulls for place in reported)
    # 200 worlds: the standard error of a rate of 0.2 is below 0.03. Unboosted, none can reach the first step.
    assert sum(shares) / len(shares) <= alpha + 0.06
    assert (found > 0) == boosted


def test_the_worst_moment_of_an_online_run_keeps_the_rate_with_adjusted_suprema() -> None:
    draw, alpha, accounts, days = uniforms(8).__next__, 0.3, 6, 12
    shares = [1 / accounts] * accounts
    worst = []
    for _ in range(400):
        capital, top, high = [1.0] * accounts, [1.0] * accounts, 0.0
        for _ in range(days):
            capital = [c * (2.0 if draw() < 0.5 else 0.0) for c in capital]
            top = list(map(max, top, capital))
            high = max(high, float(bool(online_e_bh([adjusted(t) for t in top], shares, alpha))))
        worst.append(high)
    assert sum(worst) / len(worst) <= alpha + 0.06


def test_fading_shares_never_sum_above_one_and_fade_slowly() -> None:
    shares = [fading_share(place) for place in range(1, 100_001)]
    assert 0.9 < math.fsum(shares) < 1
    assert shares == sorted(shares, reverse=True)
    assert fading_share(1_000_000) > 1e-9


@given(st.floats(0, 1e4), st.integers(1, 40), alphas)
def test_reports_needed_is_the_smallest_number_that_e_bh_would_report(
    largest: float, tested: int, alpha: float
) -> None:
    needed = reports_needed(largest, tested, alpha)
    firing = [k for k in range(1, tested + 1) if e_bh([largest] * k + [0.0] * (tested - k), alpha)]
    assert needed == (firing[0] if firing else None)


@pytest.mark.parametrize(("accounts", "needed"), [(999, [20, 200, 2_000]), (9_999, [2, 20, 200]), (99_999, [1, 2, 20])])
def test_the_reports_needed_are_what_the_docs_say(accounts: int, needed: list[int]) -> None:
    assert [reports_needed(accounts + 1, tested, 0.05) for tested in (1_000, 10_000, 100_000)] == needed


@given(st.integers(5, 300), st.sampled_from([10, 100, 1_000]), alphas, st.floats(0.1, 0.9))
@settings(max_examples=40)
def test_a_boosted_e_value_still_spends_no_more_than_alpha(
    accounts: int, tested: int, alpha: float, kappa: float
) -> None:
    ladder = [power(j / (accounts + 1), kappa) for j in range(1, accounts + 2)]
    factor = boost(ladder, tested, alpha)
    assert factor >= 1
    steps = [tested / k for k in range(1, tested + 1)]
    spent = [max((step for step in steps if step <= alpha * factor * e), default=0.0) for e in ladder]
    assert math.fsum(spent) / len(spent) <= alpha * (1 + 1e-9)


def by_closure(ps: list[float], alpha: float) -> list[int]:
    """Rejected where Bonferroni rejects every set of hypotheses that holds it."""
    places = range(len(ps))
    sets = list(chain.from_iterable(combinations(places, size) for size in range(1, len(ps) + 1)))
    return [i for i in places if all(min(ps[j] for j in s) <= alpha / len(s) for s in sets if i in s)]


@given(st.lists(st.sampled_from([0.0, 0.004, 0.01, 0.013, 0.02, 0.03, 0.06, 0.5, 1.0]), max_size=6))
def test_holm_is_the_closure_of_bonferroni(ps: list[float]) -> None:
    assert holm(ps, 0.05) == by_closure(ps, 0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: e_bh([1.0], 0.0), "alpha"),
        (lambda: e_bh([-1.0], 0.1), "not negative"),
        (lambda: e_bh([math.nan], 0.1), "not negative"),
        (lambda: online_e_bh([1.0], [], 0.1), "one positive share for each"),
        (lambda: online_e_bh([1.0, 1.0], [0.6, 0.6], 0.1), "at most 1"),
        (lambda: online_e_bh([1.0], [0.0], 0.1), "positive share"),
        (lambda: fading_share(0), "wanted 1 for the first"),
        (lambda: reports_needed(1.0, 0, 0.1), "at least one"),
        (lambda: boost([], 1, 0.1), "at least one of each"),
        (lambda: holm([1.5], 0.1), "from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@given(st.integers(1, 40), st.integers(1, 3_000))
def test_shares_by_block_never_add_up_to_more_than_one(first: int, places: int) -> None:
    shares = [block_share(place, first) for place in range(1, places + 1)]
    assert sum(shares) <= 1
    assert all(share > 0 for share in shares)
    assert len(set(shares[:first])) == 1
    assert sorted(shares, reverse=True) == shares


@pytest.mark.parametrize(("place", "first"), [(0, 1), (1, 0)])
def test_a_share_by_block_needs_a_place_and_a_size(place: int, first: int) -> None:
    with pytest.raises(InputError, match="wanted 1 or more"):
        block_share(place, first)
