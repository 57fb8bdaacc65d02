import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.clouds import DIMS, cloud

from spiritsafe.errors import InputError, StoreError
from spiritsafe.stats.fourier import FourierMap, MeanSketch
from spiritsafe.stats.likeness import Metric, group_p

MAP = FourierMap.of(DIMS, 64, (0.5, 1.0), seed=5)


def sketch(rows) -> MeanSketch:
    return MeanSketch.empty(MAP).update(MAP.features(rows))


def accounts(count: int, seed: int, also: list[int] | None = None) -> list[MeanSketch]:
    """Accounts with habits of their own: each uses two of sixteen topics, some far more often than others."""
    rng = np.random.default_rng(seed)
    topics = [rng.choice(16, 2).tolist() + (also or []) for _ in range(count)]
    return [sketch(cloud(int(rng.integers(3, 40)), some, seed * 1_000 + place)) for place, some in enumerate(topics)]


ORDINARY = accounts(40, 2)
METRIC = Metric.of(accounts(80, 3))
CAMPAIGN = accounts(8, 1, also=[30, 30])


@pytest.mark.parametrize("metric", [None, METRIC], ids=["plain", "metric"])
def test_accounts_with_habits_of_their_own_are_not_taken_for_a_group(metric: Metric | None) -> None:
    ps = []
    for world in range(80):
        some = accounts(16, 100 + world)
        ps.append(group_p(some[:5], some[5:], metric=metric, draws=39, seed=world))
    # 80 p-values: the standard deviation of the share below 0.2 is 0.045, of their mean 0.03.
    assert np.mean(np.array(ps) <= 0.2) <= 0.2 + 0.11
    assert np.mean(ps) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("metric", [None, METRIC], ids=["plain", "metric"])
def test_a_group_with_a_common_topic_is_found(metric: Metric | None) -> None:
    assert group_p(CAMPAIGN, ORDINARY, metric=metric, draws=199) == 1 / 200


def test_the_metric_finds_a_group_that_is_mostly_camouflage_more_clearly() -> None:
    def typical(metric: Metric | None) -> float:
        mixed = [accounts(6, seed, also=[30]) for seed in range(20, 32)]
        return float(np.median([group_p(some, ORDINARY, metric=metric, draws=99) for some in mixed]))

    assert typical(METRIC) <= typical(None) / 2


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "found"), [(None, 0.02), (METRIC, 1.0)], ids=["plain", "metric"])
def test_how_often_small_groups_are_found_is_what_the_docs_say(metric: Metric | None, found: float) -> None:
    groups = [accounts(4, seed, also=[30]) for seed in range(200, 250)]
    ps = [group_p(some, ORDINARY, metric=metric, draws=199) for some in groups]
    assert np.mean(np.array(ps) <= 0.01) == pytest.approx(found, abs=1e-9)


def test_the_p_value_is_the_share_of_groups_that_resemble_each_other_as_much() -> None:
    # Two members of six: the fifteen pairs can be counted, the draws only estimate them.
    some = accounts(6, 9)
    means = np.array([one.mean() for one in some])
    weights = np.rint(np.array([one.count / (one.count + 30) for one in some]) * 256)
    centred = means - (weights @ means) / weights.sum()
    pairs = [centred[i] @ centred[j] for i in range(6) for j in range(i)]
    exact = np.mean([pair >= centred[0] @ centred[1] - 1e-9 for pair in pairs])
    assert group_p(some[:2], some[2:], draws=4_000) == pytest.approx(exact, abs=0.03)


def test_one_account_with_all_the_traffic_does_not_decide() -> None:
    giant = sketch(cloud(40, [0], 5))
    giant = MeanSketch(giant.key, giant.count * 100_000, giant.sums * 100_000)
    assert group_p(CAMPAIGN, [*ORDINARY, giant], draws=99) == 1 / 100
    assert group_p([giant, *accounts(7, 11)], ORDINARY, metric=METRIC, draws=99) > 0.05


@given(st.integers(2, 6), st.integers(1, 6), st.integers(1, 150))
@settings(max_examples=25)
def test_equal_seeds_give_equal_p_values_and_the_number_of_draws_bounds_them(members, others, draws: int) -> None:
    some = ORDINARY[: members + others]
    found = {group_p(some[:members], some[members:], metric=METRIC, draws=draws, seed=4) for _ in range(2)}
    assert len(found) == 1
    assert 1 / (draws + 1) <= found.pop() <= 1


def test_a_metric_comes_back_from_its_bytes() -> None:
    back = Metric.from_bytes(METRIC.to_bytes(), MAP)
    assert back.key == METRIC.key
    assert np.array_equal(back.whole_ff, METRIC.whole_ff)
    assert np.max(np.abs(METRIC.whole_ff)) == 2**20


@pytest.mark.parametrize("damage", [lambda s: s[:-1], lambda s: b"", lambda s: b"\x00" * 4 + s[4:]])
def test_a_damaged_metric_is_refused(damage) -> None:
    with pytest.raises(StoreError, match="calibrate again"):
        Metric.from_bytes(damage(METRIC.to_bytes()), MAP)


OTHER = MeanSketch.empty(FourierMap.of(DIMS, 8, (1.0,), 0)).update(np.ones((2, 16), dtype=np.int16))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: group_p(ORDINARY[:1], ORDINARY), "wanted at least two"),
        (lambda: group_p(ORDINARY[:2], []), "wanted at least two"),
        (lambda: group_p(ORDINARY[:2], ORDINARY, draws=0), "wanted at least two"),
        (lambda: group_p(ORDINARY[:2], [OTHER]), "different feature maps"),
        (lambda: group_p([OTHER, OTHER], [OTHER], metric=METRIC), "another feature map"),
        (lambda: group_p(ORDINARY[:2], [MeanSketch.empty(MAP)]), "at least one"),
        (lambda: Metric.of(ORDINARY[:1]), "at least two"),
        (lambda: Metric.of(ORDINARY, ridge=0.0), "more than 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
