"""MinHash signatures and the index of near texts."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.text.minhash import NearIndex, rows_per_band, signatures
from spiritsafe.text.shingles import jaccard, word_shingles

WORDS = st.lists(st.sampled_from([f"w{n}" for n in range(40)]), max_size=30)


def pair_at(similarity: float, size: int, draw: Random) -> tuple[list[str], list[str]]:
    """Two lists of `size` different words whose Jaccard similarity is as near to `similarity` as their size allows."""
    shared = round(2 * size * similarity / (1 + similarity))
    pool = [f"w{n}" for n in draw.sample(range(10**9), 2 * size - shared)]
    return pool[:size], pool[size - shared :]


def test_the_share_of_equal_slots_estimates_the_similarity() -> None:
    draw = Random(1)
    for similarity in (0.2, 0.5, 0.8):
        left, right = pair_at(similarity, 200, draw)
        a, b = signatures([left, right], 1024)
        estimate = sum(x == y for x, y in zip(a, b, strict=True)) / 1024

        assert estimate == pytest.approx(jaccard(left, right), abs=4 * (0.25 / 1024) ** 0.5)


@given(st.floats(0.05, 1), st.sampled_from([16, 64, 128]))
def test_a_band_has_as_many_slots_as_recall_allows(threshold: float, slots: int) -> None:
    rows = rows_per_band(threshold, slots)

    def recall(width: int) -> float:
        return 1 - (1 - threshold**width) ** (slots // width)

    assert recall(rows) >= 0.95 or rows == 1
    assert all(recall(wider) < 0.95 for wider in range(rows + 1, slots + 1))


@given(WORDS, WORDS)
def test_an_equal_text_is_always_found(own: list[str], other: list[str]) -> None:
    index = NearIndex(1.0)

    assert index.place([[other], [own], [own]])[2] is not None


@given(st.lists(WORDS, min_size=1, max_size=8), st.floats(0.3, 1), st.integers(1, 3))
@settings(max_examples=50)
def test_what_is_found_is_truly_that_near(texts: list[list[str]], threshold: float, n: int) -> None:
    index = NearIndex(threshold, n=n)
    found = index.place([[text] for text in texts])
    kept = [text for text, near in zip(texts, found, strict=True) if near is None]

    assert len(index) == len(kept)
    for text, near in zip(texts, found, strict=True):
        if near is not None:
            assert jaccard(word_shingles(text, n), word_shingles(kept[near], n)) >= threshold


@given(st.lists(st.tuples(WORDS, WORDS), max_size=12), st.integers(0, 12))
@settings(max_examples=50)
def test_how_texts_are_batched_makes_no_difference(texts: list[tuple[list[str], list[str]]], cut: int) -> None:
    whole, parted = NearIndex(0.5, parts=2), NearIndex(0.5, parts=2)

    assert parted.place(texts[:cut]) + parted.place(texts[cut:]) == whole.place(texts)


def test_pairs_at_the_threshold_are_found_as_often_as_promised() -> None:
    draw = Random(2)
    pairs = [pair_at(0.8, 100, draw) for _ in range(400)]
    found = 0
    for left, right in pairs:
        index = NearIndex(min(0.8, jaccard(left, right)), n=1)
        found += index.place([[left], [right]])[1] is not None

    assert found / 400 >= 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5


def test_every_part_must_be_near() -> None:
    prompt, answer, other = (f"{name} one two three four five six".split() for name in ("p", "a", "o"))
    prompt, answer = [*prompt, *"abcdefgh"], [*answer, *"stuvwxyz"]
    index = NearIndex(0.8, parts=2)

    assert index.place([[prompt, answer], [prompt, other], [other, answer], [prompt, answer]]) == [None, None, None, 0]


def test_texts_without_words_are_near_to_each_other_alone() -> None:
    assert NearIndex(0.8).place([[["a"]], [[]], [[]]]) == [None, None, 1]


def test_a_crowd_of_texts_alike_in_one_part_stays_cheap() -> None:
    label = ["yes"]
    crowd = [[[f"w{number}{at}" for at in range(20)], label] for number in range(500)]
    index = NearIndex(0.8, parts=2)

    assert index.place(crowd) == [None] * 500
    assert index.place([crowd[499]]) == [499]
