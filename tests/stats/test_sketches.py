import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import StoreError
from spiritsafe.stats.resample import splitmix64
from spiritsafe.stats.sketches import Distinct

hashes = st.lists(st.integers(0, 2**64 - 1), max_size=120)


def some(count: int, seed: int = 0) -> list[int]:
    draw = splitmix64(seed)
    return [next(draw) for _ in range(count)]


@given(hashes, hashes, hashes)
@settings(max_examples=60)
def test_merging_is_counting_all_at_once_in_any_order(one, two, three) -> None:
    a, b, c = (Distinct().update(part) for part in (one, two, three))
    whole = Distinct().update([*three, *one, *two]).estimate()
    assert a.merge(b).merge(c).estimate() == a.merge(b.merge(c)).estimate() == c.merge(b).merge(a).estimate() == whole


@pytest.mark.parametrize("count", [40, 100, 1_000, 20_000])
def test_the_estimate_does_not_depend_on_the_order_of_arrival(count: int) -> None:
    forwards = some(count)
    pieces = Distinct()
    for start in range(0, count, max(1, count // 7)):
        pieces = pieces.update(forwards[start : start + max(1, count // 7)])
    found = {Distinct().update(forwards).estimate(), Distinct().update(forwards[::-1]).estimate(), pieces.estimate()}
    assert len(found) == 1


@given(hashes)
@settings(max_examples=40)
def test_seeing_the_same_again_changes_nothing(seen: list[int]) -> None:
    once = Distinct().update(seen)
    assert once.update(seen).merge(once).estimate() == once.estimate()


def test_small_counts_are_exact_and_large_ones_within_their_error() -> None:
    assert Distinct().estimate() == 0.0
    assert Distinct().update([]).estimate() == 0.0
    for count in (1, 7, 30):
        assert Distinct().update(some(count)).estimate() == pytest.approx(count, abs=0.01)
    errors = [Distinct().update(some(5_000, seed)).estimate() / 5_000 - 1 for seed in range(30)]
    assert abs(sum(errors) / 30) < 0.025
    assert 0.03 < (sum(e * e for e in errors) / 30) ** 0.5 < 0.065


def test_the_state_stays_at_some_three_hundred_bytes() -> None:
    assert len(Distinct().update(some(20)).state) < 100
    assert len(Distinct().update(some(50_000)).state) <= 320


def test_negative_and_large_numbers_are_taken_by_their_low_64_bits() -> None:
    assert Distinct().update([-1, 2**64 - 1, 2**65 - 1]).estimate() == pytest.approx(1)
    assert Distinct().update([0, 1, 2**63, 2**64 - 1]).estimate() == pytest.approx(4)


@pytest.mark.parametrize("state", [b"x", b"\x00" * 40, b"\xff" * 300])
def test_a_damaged_state_is_refused(state: bytes) -> None:
    with pytest.raises(StoreError, match="no distinct count"):
        Distinct(state).estimate()
