"""Text to comparable words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.text.normal import folded, letters, plain_quotes, squeezed, words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The  Quick, brown\nfox!", ["the", "quick", "brown", "fox"]),
        ("Ｆｕｌｌ ｗｉｄｔｈ", ["full", "width"]),
        ("Stra\u00dfe CAFE\u0301", ["strasse", "café"]),
        ("天気がいい today", ["天", "気", "が", "い", "い", "today"]),
        ("3 - 1", ["3", "-", "1"]),
        ("3+1=4", ["3", "+", "1", "=", "4"]),
        ("x * y", ["x", "*", "y"]),
        (
            "- a bullet, a well-known **word** and/or a dash - here",
            ["a", "bullet", "a", "well", "known", "word", "and", "or", "a", "dash", "here"],
        ),
        ("", []),
        ("?!", []),
    ],
)
def test_words(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)), st.sampled_from([" ", "  ", "\n", "\t ", ", "]))
def test_words_do_not_depend_on_what_stands_between_them(parts: list[str], between: str) -> None:
    assert words(between.join(parts).upper()) == parts


def test_squeezing_keeps_case_and_punctuation() -> None:
    assert squeezed("  A,\n\n b ") == "A, b"


def test_typographic_quotes_become_plain() -> None:
    assert plain_quotes("I’m “so”\u00a0sorry") == 'I\'m "so" sorry'


def test_letters_are_counted_in_any_script() -> None:
    assert letters("ab 12 天気 !") == 4
