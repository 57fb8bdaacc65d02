"""What each cut cuts and what it leaves."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spiritsafe.checks.curator import example_row
from spiritsafe.distil.curator import Surroundings
from spiritsafe.distil.curators import CURATORS
from spiritsafe.distil.curators.diversity import most_different
from spiritsafe.distil.prompt import CollectedRow, Prompt, make_prompt
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message
from spiritsafe.text.shingles import char_shingles

SENTENCE = "The parcel arrived on a rainy Tuesday morning and nobody in the house had expected it so early in the week"


def reasons(
    name: str, rows: Sequence[CollectedRow], held_out: Sequence[Prompt] = (), **settings: object
) -> list[str | None]:
    curator = CURATORS.get(name)
    around = Surroundings(lambda: held_out)
    return [reason for _, reason in curator.cut(iter(rows), curator.settings.model_validate(settings), around)]


def answers(*texts: str) -> list[CollectedRow]:
    return [example_row(f"prompt {n}", text) for n, text in enumerate(texts)]


def asked(text: str) -> Prompt:
    return make_prompt((Message("user", text),))


def test_truncated_goes_by_the_finish_reason() -> None:
    rows = [example_row("p", "a", finish_reason=why) for why in ("stop", "length", "max_tokens", "error", "tool_calls")]

    assert reasons("truncated", rows) == [None, "truncated", "truncated", "truncated: broken off", None]


def test_empty_sees_through_invisible_characters_and_fences() -> None:
    texts = ["", " \n\t", "\u200b\ufeff", "```json\n```", "``` ```", "0", "?", "```\nx\n```"]

    cut = "empty"
    assert reasons("empty", answers(*texts)) == [
        cut, cut, cut, "empty: code fence", "empty: code fence", None, None, None,
    ]  # fmt: skip


def test_refusals_are_counted_by_phrase_and_by_the_upstreams_word() -> None:
    rows = [
        *answers(
            "I cannot help with that.", "Paris", "No puedo ayudar con eso.", "Paris is lovely. I cannot help with it."
        ),
        example_row("p", "whatever", finish_reason="content_filter"),
        example_row("q", "", finish_reason="refusal"),
    ]

    assert reasons("refusal", rows, phrases=("No puedo ayudar",)) == [
        "refusal: i cannot",
        None,
        "refusal: added phrase",
        None,
        "refusal: content filter",
        "refusal: finish_reason",
    ]


def test_a_blank_phrase_would_cut_everything_and_is_an_error() -> None:
    with pytest.raises(ValidationError, match="blank"):
        reasons("refusal", [], phrases=(" ",))


def test_length_counts_characters_words_and_tokens() -> None:
    rows = answers("one two three", "one", "")

    assert reasons("length", rows, min_words=1, max_words=2) == ["length: over 2 words", None, "length: under 1 words"]
    assert reasons("length", rows, max_chars=3) == ["length: over 3 chars", None, None]
    assert reasons("length", rows, min_tokens=1) == [None, None, "length: under 1 tokens"]


def test_length_prefers_the_upstreams_count_of_tokens() -> None:
    row = example_row("p", "word " * 100, output_tokens=3)

    assert reasons("length", [row], max_tokens=3) == [None]
    assert reasons("length", answers("word " * 100), max_tokens=124) == ["length: over 124 tokens"]


@pytest.mark.parametrize("settings", [{}, {"min_words": 3, "max_words": 2}, {"max_chars": -1}])
def test_length_needs_a_bound_that_makes_sense(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        reasons("length", [], **settings)


def test_language_cuts_only_where_it_is_sure() -> None:
    rows = answers(
        "The battery lasts for days and the screen is bright.",
        "Der Akku hält mehrere Tage und der Bildschirm ist hell.",
        "Nein, danke.",
    )

    assert reasons("language", rows) == [None, "language: de", None]
    assert reasons("language", rows, languages=("de",)) == ["language: en", None, None]


def test_an_unknown_language_code_is_said_plainly() -> None:
    with pytest.raises(InputError, match="'german'"):
        reasons("language", answers("x"), languages=("german",))


def test_exact_duplicates_are_equal_but_for_white_space() -> None:
    rows = [
        example_row("a", "x y", sample=0),
        example_row("a", " x\n y ", sample=1),
        example_row("a", "x, y", sample=2),
        example_row("b", "x y"),
        example_row("c", "caf\u00e9"),
        example_row("c", "cafe\u0301", sample=1),
    ]

    assert reasons("exact_duplicate", rows) == [
        None, "exact duplicate: both", None, None, None, "exact duplicate: both",
    ]  # fmt: skip
    assert reasons("exact_duplicate", rows, over="answer")[3] == "exact duplicate: answer"
    assert reasons("exact_duplicate", rows, over="prompt")[2] == "exact duplicate: prompt"


def test_answers_that_differ_by_a_sign_are_no_duplicates() -> None:
    assert reasons("exact_duplicate", [example_row("a", "-1"), example_row("a", "1", sample=1)]) == [None, None]


def test_near_duplicates_must_be_near_in_prompt_and_answer() -> None:
    close = SENTENCE.replace("rainy", "wet")
    other = " ".join(reversed(SENTENCE.split()))
    rows = [
        example_row(SENTENCE + " " + SENTENCE[::-1], SENTENCE + " " + other),
        example_row(SENTENCE + " " + SENTENCE[::-1], close + " " + other, sample=1),
        example_row(SENTENCE + " " + SENTENCE[::-1], "something else entirely is said here", sample=2),
        example_row("Quite another prompt about quite another thing", SENTENCE + " " + other),
    ]

    assert reasons("near_duplicate", rows, threshold=0.7) == [None, "near duplicate: both", None, None]
    assert reasons("near_duplicate", rows, over="answer", threshold=0.7)[3] == "near duplicate: answer"
    assert reasons("near_duplicate", rows, threshold=1.0) == [None] * 4


def test_near_duplicates_are_found_across_blocks() -> None:
    draw = Random(0)
    texts = [" ".join(f"w{draw.randrange(3000)}" for _ in range(40)) for _ in range(300)]
    rows = answers(*texts, *(f"{text} too" for text in texts))

    said = reasons("near_duplicate", rows, over="answer")

    assert said[:300] == [None] * 300
    assert said[300:] == ["near duplicate: answer"] * 300


def test_contamination_looks_at_prompt_and_answer() -> None:
    held_out = [asked(SENTENCE), asked("What is the capital of France?")]
    rows = [
        example_row(f"Summarise this, please. {SENTENCE}.", "fine"),
        example_row("what is the capital of france", "Paris"),
        example_row("What is the capital of Spain?", "Madrid"),
        example_row("Tell me a story.", f"Once upon a time. {SENTENCE}!"),
        example_row("Tell me a story.", "Once upon a time.", sample=1),
    ]

    assert reasons("contamination", rows, held_out) == [
        "contamination: 13-gram",
        "contamination: equals an item",
        None,
        "contamination: 13-gram",
        None,
    ]


def test_contamination_looks_at_every_turn_of_the_prompt() -> None:
    conversation = make_prompt((Message("user", SENTENCE), Message("assistant", "So?"), Message("user", "Go on.")))
    row = example_row("x", "y")

    assert reasons("contamination", [CollectedRow(conversation, row.exchange)], [asked(SENTENCE)]) == [
        "contamination: 13-gram"
    ]


def test_two_records_of_one_template_are_not_contaminated_by_it() -> None:
    template = "Give the name and the city in the message below as JSON, with the keys name and city: I am {} from {}."
    names, cities = [f"name{n}" for n in range(30)], [f"city{n}" for n in range(30)]
    held_out = [asked(template.format(name, city)) for name, city in zip(names, cities, strict=True)]
    rows = [example_row(template.format(name, city), "{}") for name in names for city in cities]

    said = reasons("contamination", rows, held_out)

    assert [reason for reason in said if reason] == ["contamination: equals an item"] * 30
    assert all(said[n * 31] for n in range(30))


def test_the_verifier_cuts_what_is_wrong_and_keeps_what_it_cannot_judge() -> None:
    rows = [example_row("a", "4", expected="4"), example_row("b", "5", expected="4"), example_row("c", "5")]

    assert reasons("verifier", rows, kind="numeric") == [None, "verifier: numeric: differs", None]
    assert reasons("verifier", rows, kind="numeric", use_expected=False) == [None, None, None]


def test_diversity_keeps_the_answers_that_differ_most() -> None:
    texts = ["the red house by the sea", "the red house by the lake", "a green boat", "the red house by the sea"]
    rows = [example_row("p", text, sample=n) for n, text in enumerate(texts)] + answers("only one")

    cut = "diversity"
    assert reasons("diversity", rows, keep=2) == [None, cut, None, cut, None]
    assert reasons("diversity", rows, keep=9) == [None, None, None, cut, None]
    assert reasons("diversity", rows, keep=9, min_distance=0.9) == [None, cut, None, cut, None]


@given(st.lists(st.text("ab ", max_size=12), max_size=8), st.integers(1, 8), st.floats(0, 1))
def test_what_diversity_chooses_is_within_its_bounds(texts: list[str], keep: int, min_distance: float) -> None:
    sets = [char_shingles(text) for text in texts]
    chosen = most_different(sets, keep, min_distance)

    assert len(chosen) == len(set(chosen)) <= keep
    assert len({sets[at] for at in chosen}) == len(chosen)
    assert bool(chosen) == bool(texts)


def test_an_unknown_curator_is_said_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown curator 'dupes'; known: truncated, refusal"):
        CURATORS.get("dupes")
