"""Shingles: n-grams as stable integers, and similarity over them."""

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.text.shingles import char_shingles, jaccard, rouge_l, word_hashes, word_shingles

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "ee"]), max_size=12)
SETS = st.frozensets(st.sampled_from("abcdefghijkl"), max_size=12)


@given(WORDS, st.integers(1, 5))
def test_two_ngrams_have_equal_hashes_just_where_their_words_are_equal(own: list[str], n: int) -> None:
    grams = [tuple(own[at : at + n]) for at in range(len(own) - n + 1)]
    hashes = word_hashes(own, n)

    assert len(hashes) == len(grams)
    assert len(set(hashes)) == len(set(grams))
    assert all(
        (a == b) == (x == y) for a, x in zip(grams, hashes, strict=True) for b, y in zip(grams, hashes, strict=True)
    )


def test_hashes_are_the_same_in_every_process() -> None:
    assert word_hashes(["the", "quick", "fox"], 2) == [507157317400114919, 1759113464079019828]


@given(WORDS)
def test_a_windows_hash_does_not_depend_on_what_came_before_it(own: list[str]) -> None:
    assert word_hashes(["zz", *own, "a", "b", "c"], 3)[-1] == word_hashes(["a", "b", "c"], 3)[0]


@given(WORDS, st.integers(1, 5))
def test_word_shingles_are_the_ngrams_in_order(own: list[str], n: int) -> None:
    shingles = word_shingles(own, n)

    if len(own) >= n:
        assert [shingle.split(" ") for shingle in shingles] == [own[at : at + n] for at in range(len(own) - n + 1)]
    else:
        assert shingles == ([" ".join(own)] if own else [])


def test_char_shingles_see_words_alone() -> None:
    assert char_shingles("A bc, D!", 5) == {"a bc ", " bc d"}
    assert char_shingles("ab", 5) == {"ab"}
    assert char_shingles("?!") == frozenset()


@given(SETS, SETS)
def test_jaccard_is_the_share_in_common(left: frozenset[str], right: frozenset[str]) -> None:
    wanted = len(left & right) / len(left | right) if left | right else 1.0

    assert jaccard(left, right) == jaccard(right, left) == wanted


@given(WORDS, WORDS)
def test_rouge_l_is_symmetric_between_0_and_1_and_1_only_at_equality(left: list[str], right: list[str]) -> None:
    score = rouge_l(left, right)

    assert score == rouge_l(right, left)
    assert 0 <= score <= 1
    assert (score == 1) == (left == right)


def test_rouge_l_of_a_known_pair() -> None:
    left, right = ["police", "killed", "the", "gunman"], ["police", "kill", "the", "gunman"]

    assert rouge_l(left, right) == 0.75  # Lin 2004, section 3.1: LCS 3 of 4 and 4 words
