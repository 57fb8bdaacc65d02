"""A sample of distinct things: exact counts, exact merges, honest estimates."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import StoreError
from spiritsafe.text.distinct import HASHES, DistinctSample, hash_of, smallest

SIZE = 8
streams = st.lists(st.integers(0, 40).map(lambda thing: hash_of(str(thing))), max_size=120)


def sample_of(stream: list[int], size: int = SIZE) -> DistinctSample:
    sample = DistinctSample(size, 1)
    for key in stream:
        sample.add(key, lambda key=key: (key % 97,))  # type: ignore[misc]
    return sample


@given(streams)
def test_the_sample_is_the_smallest_hashes_with_their_exact_counts(stream: list[int]) -> None:
    expected = [(key, stream.count(key), (key % 97,)) for key in sorted(set(stream))[:SIZE]]

    assert list(sample_of(stream)) == expected


@given(st.lists(streams, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_merging_gives_the_state_of_one_pass_in_any_order_and_grouping(
    parts: list[list[int]], dice: random.Random
) -> None:
    whole = sample_of([key for part in parts for key in part]).pack()
    samples = [sample_of(part) for part in parts]
    dice.shuffle(samples)
    while len(samples) > 1:
        at = dice.randrange(len(samples) - 1)
        samples[at : at + 2] = [samples[at].merge(samples[at + 1])]

    assert samples[0].pack() == whole


@given(streams)
def test_a_packed_sample_comes_back(stream: list[int]) -> None:
    sample = sample_of(stream)
    back = DistinctSample.unpack(sample.pack(), SIZE, 1)

    assert back.pack() == sample.pack()
    back.add(0, lambda: (0,))
    sample.add(0, lambda: (0,))
    assert back.pack() == sample.pack()


@pytest.mark.parametrize("data", [b"", b"\x00" * 11, DistinctSample(4, 1).pack(), DistinctSample(SIZE, 2).pack()])
def test_bytes_of_something_else_are_refused(data: bytes) -> None:
    with pytest.raises(StoreError, match="replay"):
        DistinctSample.unpack(data, SIZE, 1)


def test_a_sample_cut_short_is_refused() -> None:
    data = sample_of([3, 2, 1]).pack()

    with pytest.raises(StoreError):
        DistinctSample.unpack(data[:-1], SIZE, 1)


def test_few_distinct_things_are_counted_exactly() -> None:
    assert sample_of([5, 5, 5, 9]).distinct() == 2
    assert sample_of([]).distinct() == 0


def test_the_estimate_of_many_is_right_on_average_and_as_exact_as_it_says() -> None:
    size, things = 64, 5_000
    dice = random.Random(4)
    estimates = []
    for _ in range(60):
        sample = DistinctSample(size, 0)
        for _ in range(things):
            sample.add(dice.randrange(HASHES), tuple)
        estimates.append(sample.distinct() / things)
    mean = sum(estimates) / len(estimates)
    spread = (sum((one - mean) ** 2 for one in estimates) / len(estimates)) ** 0.5

    assert abs(mean - 1) < 0.05
    assert 0.09 < spread < 0.17  # 1/√62 = 0.127


def test_notes_are_worked_out_only_for_what_enters() -> None:
    asked: list[int] = []
    sample = DistinctSample(2, 0)
    for key in (1, 2, 3, 1):
        sample.add(key, lambda key=key: (asked.append(key), ())[1])  # type: ignore[misc,func-returns-value]

    assert asked == [1, 2]
    assert sample.seen == 4


def test_hashes_tell_where_one_part_ends() -> None:
    assert hash_of("ab", "c") != hash_of("a", "bc")
    assert hash_of("\ud800") != hash_of("\ud801")


def test_smallest_are_distinct_rising_and_filled_up() -> None:
    assert smallest([5, 3, 5, 9, 1], 3) == (1, 3, 5)
    assert smallest([7, 7], 3) == (7, 0, 0)
