"""Parts of pages: escaping, numbers in words, contrast of the style sheet."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.pages import words
from spiritsafe.distil.pages.markup import Markup, cut_text, joined, markup, tag, visible
from spiritsafe.distil.pages.parts import table

CSS = files("spiritsafe.distil.pages").joinpath("report.css").read_text(encoding="utf-8")


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.data = ""
        self.values: list[str | None] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.data += data


@given(st.text(), st.text())
def test_any_text_in_an_element_or_attribute_comes_out_as_the_same_text(content: str, value: str) -> None:
    seen = Seen(tag("p", content, title=value))

    assert seen.found == ["p"]
    assert seen.data == visible(content)
    assert seen.values == [visible(value)]


@given(st.text())
def test_what_is_shown_has_no_control_characters_and_no_reordering(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", visible(text))
    visible(text).encode("utf-8")


def test_words_of_right_to_left_scripts_and_joined_emoji_stay_as_they_are() -> None:
    text = "שלום\u200f ‎مرحبا\u200d 👩\u200d🚀\n\tline"

    assert visible(text) == text


def test_markup_is_not_escaped_twice_and_everything_else_is_escaped_once() -> None:
    inner = tag("b", "a & b")

    assert tag("p", inner, "<i>", None, 3) == "<p><b>a &amp; b</b>&lt;i&gt;3</p>"
    assert markup(inner) is inner
    assert inner + "<" == "<b>a &amp; b</b>&lt;"
    assert isinstance(joined(["<", inner]), Markup)


def test_attributes_keep_their_names_and_false_ones_are_left_out() -> None:
    assert tag("a", class_="x", aria_label="y", hidden=True, title=None, open=False, width=1.25) == (
        '<a class="x" aria-label="y" hidden width="1.25"></a>'
    )
    assert tag("meta", name="a") == '<meta name="a">'


@given(st.text(), st.integers(0, 50))
def test_cutting_text_says_how_much_is_left_off(text: str, limit: int) -> None:
    shown, left = cut_text(text, limit)

    assert text.startswith(shown)
    assert len(shown) + left == len(text)
    assert len(shown) <= limit


def test_a_table_scrolls_in_a_box_of_its_own_that_the_keyboard_reaches() -> None:
    made = table("caption", ("a", "b"), [("x", 1)], (1,))

    assert '<div class="scroll" tabindex="0" role="region" aria-label="caption"><table>' in made
    assert '<th scope="row">x</th><td class="number">1</td>' in made


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (words.percent, 0.8234, "82 %"),
        (words.percent, -0.004, "0 %"),
        (words.percent, -0.05, "−5 %"),
        (words.percent, None, "unknown"),
        (words.signed, -0.025, "−2.5"),
        (words.signed, 0.69, "+69.0"),
        (words.count, 12345, "12,345"),
        (words.count, None, "unknown"),
        (words.compact, 134_515_008, "135 M"),
        (words.compact, 999, "999"),
        (words.compact, None, "unknown"),
        (words.dollars, None, "unknown"),
        (words.dollars, 0.0, "$0.00"),
        (words.dollars, 0.0683, "$0.068"),
        (words.dollars, 0.00021, "$0.00021"),
        (words.dollars, 1234.5, "$1,234.50"),
        (words.seconds, 4.21, "4.2 s"),
        (words.seconds, 59.9, "1 min 0 s"),
        (words.seconds, 431.2, "7 min 11 s"),
        (words.seconds, 7500, "2 h 5 min"),
        (words.seconds, None, "unknown"),
    ],
)
def test_numbers_read_well_and_unknown_is_never_zero(write, value: float | None, text: str) -> None:
    assert write(value).replace(words.NARROW, " ") == text


def palette(block: str) -> dict[str, tuple[float, float, float]]:
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
    return {name: tuple(int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, code in found}  # type: ignore[misc]


def luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


LIGHT, DARK = (palette(block) for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL))


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa_and_marks_that_of_graphics(
    scheme: dict[str, tuple[float, float, float]],
) -> None:
    pairs = [(text, "paper") for text in ("ink", "soft", "brass", "teal", "good", "bad")]
    pairs += [("ink", "wash"), ("ink", "good-wash"), ("ink", "bad-wash"), ("soft", "good-wash"), ("soft", "bad-wash")]
    pairs += [("soft", "wash")]
    low = {pair: round(contrast(scheme[pair[0]], scheme[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}

    graphics = [(mark, "paper") for mark in ("brass-fill", "teal-fill", "grey-fill", "whisker")]
    graphics += [("whisker", fill) for fill in ("brass-fill", "teal-fill")]
    drawn = {pair: round(contrast(scheme[pair[0]], scheme[pair[1]]), 2) for pair in graphics}
    assert {pair: ratio for pair, ratio in drawn.items() if ratio < 3} == {}


def test_both_schemes_name_the_same_colours() -> None:
    assert set(LIGHT) == set(DARK)


def test_the_style_sheet_fetches_nothing_and_lets_no_table_widen_the_page() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", CSS)
