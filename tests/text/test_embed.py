"""Embeddings: near for texts about the same, the library's own to the last digit, and nothing breaks them."""

import subprocess
import sys
from os.path import dirname

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.text import embed as module
from spiritsafe.text.embed import DIMENSIONS, HEAD_CHARS, TAIL_CHARS, embed

TEXTS = [
    "How do I change the tyre of my bicycle?",
    "Changing a bike tire: what are the steps?",
    "The committee postponed the vote on the budget until Friday.",
    "for i in range(10):\n\tprint(i)",
    "Wie heißt das? 🙂 今日は",
]


def test_texts_about_the_same_lie_closer_than_others() -> None:
    vectors_ND = embed(TEXTS[:3]).vectors_ND

    assert vectors_ND[0] @ vectors_ND[1] > vectors_ND[0] @ vectors_ND[2] + 0.3


def test_embeddings_are_float32_rows_of_length_one() -> None:
    vectors_ND = embed(TEXTS).vectors_ND

    assert vectors_ND.dtype == np.float32
    assert vectors_ND.shape == (len(TEXTS), DIMENSIONS)
    assert np.allclose(np.linalg.norm(vectors_ND, axis=1), 1, atol=1e-6)


def test_embeddings_are_those_of_the_library() -> None:
    wordllama = pytest.importorskip("wordllama")
    model = wordllama.WordLlama.load(cache_dir=dirname(wordllama.__file__), disable_download=True)
    squeezed = [" ".join(text.split()) for text in TEXTS]

    assert np.allclose(embed(TEXTS).vectors_ND, model.embed(squeezed, norm=True), atol=1e-6)


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=40))
def test_the_embedding_of_a_text_depends_on_no_other_text(others: list[str], text: str) -> None:
    alone, among = embed([text]), embed([*others, text])

    assert (alone.vectors_ND[0] == among.vectors_ND[-1]).all()
    assert alone.empty_N[0] == among.empty_N[-1]


def test_texts_without_words_are_zeros_and_said_to_be_empty() -> None:
    found = embed(["", " \n\t", "a"])

    assert found.empty_N.tolist() == [True, True, False]
    assert not found.vectors_ND[:2].any()


def test_no_texts_give_no_rows() -> None:
    assert embed([]).vectors_ND.shape == (0, DIMENSIONS)


def test_white_space_does_not_matter() -> None:
    one, other = embed(["a  plain\n\ntext", " a plain text "]).vectors_ND

    assert (one == other).all()


def test_of_a_long_text_both_ends_count_and_the_middle_does_not() -> None:
    head, tail = "alpha " * HEAD_CHARS, " omega" * TAIL_CHARS
    plain, filled, other_tail = embed(
        [head + tail, head + "noise " * 99 + tail, head + " zebra" * TAIL_CHARS]
    ).vectors_ND

    assert (plain == filled).all()
    assert not (plain == other_tail).all()


def test_ten_megabytes_cost_what_a_thousand_characters_cost() -> None:
    words_read: list[int] = []
    tokens = module._Tokens(_Counting(words_read))

    tokens.of("word " * 2_000_000)

    assert sum(words_read) <= HEAD_CHARS + TAIL_CHARS


def test_lone_surrogates_count_as_question_marks() -> None:
    one, other = embed(["\ud800 what", "? what"]).vectors_ND

    assert (one == other).all()


def test_long_words_are_not_remembered_and_memory_starts_anew_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = module._Tokens(_Counting([]))
    monkeypatch.setattr(module, "WORDS_REMEMBERED", 3)

    first = tokens.of("one two three four " + "x" * 200)
    known = set(tokens._known)
    tokens.of("five")

    assert known == {"one", "two", "three", "four"}
    assert set(tokens._known) == {"five"}
    assert first == [3, 3, 5, 4, 200]


def test_without_the_library_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['wordllama'] = None\n"
        "from spiritsafe.text.embed import embed\n"
        "try: embed(['a'])\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "spiritsafe[detect]" in done.stdout


class _Encoding:
    def __init__(self, word: str) -> None:
        self.ids = [len(word)]


class _Counting:
    """A tokeniser whose tokens are the lengths of words; notes how long the words are that it is given."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths

    def encode_batch_fast(self, words: list[str], *, add_special_tokens: bool) -> list[_Encoding]:
        assert not add_special_tokens
        self.lengths += map(len, words)
        return list(map(_Encoding, words))
