"""Slots: what varies between prompts of one template is found, and what stays is shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.text.ends import both_ends
from spiritsafe.text.slots import MOST_TEXTS, SLOT, fillings, fixed_runs, masked, template_text

TEMPLATE = "Rate the tone of this mail to {} from 1 to 5. Mail: {} Answer with a number."
PROMPTS = [
    TEMPLATE.format("Ada", "Dear all, the server is down again."),
    TEMPLATE.format("the team of Bob", "Thanks!"),
    TEMPLATE.format("C.", "I would like to know when my parcel comes. It was sent last week."),
]
word = st.text("abcdefg", min_size=1, max_size=4)
phrases = st.lists(word, min_size=1, max_size=4).map(" ".join)


def test_numbers_addresses_and_keys_are_slots_by_their_looks() -> None:
    assert masked("Order 12-34/b7 of ada@example.org, see https://x.org/a?b=1 now") == [
        "order",
        "0",
        "of",
        "0",
        "see",
        "0",
        "now",
    ]
    assert masked("snake_case names stay") == ["snake_case", "names", "stay"]


def test_prompts_that_differ_in_numbers_alone_are_masked_alike() -> None:
    assert masked("Item 7: what is 12 * 3?") == masked("Item 9004: what is 5 * 77?")


def test_what_prompts_share_is_found_and_shown_with_slots() -> None:
    assert template_text(PROMPTS) == (
        f"Rate the tone of this mail to {SLOT} from 1 to 5. Mail: {SLOT} Answer with a number."
    )


def test_fillings_are_what_stands_in_the_slots() -> None:
    runs = fixed_runs(PROMPTS)

    assert fillings(runs, PROMPTS[1]) == ("", "the team of Bob", "Thanks!", "")
    assert fillings(runs, "Something else altogether") is None


@settings(max_examples=40)
@given(st.lists(phrases, min_size=2, max_size=4), st.lists(st.lists(phrases, min_size=4, max_size=4), min_size=2))
def test_every_prompt_is_its_fixed_runs_and_its_fillings(fixed: list[str], slots: list[list[str]]) -> None:
    texts = [" ".join(part for pair in zip(fixed, own, strict=False) for part in pair) for own in slots]
    runs = fixed_runs(texts)

    for text in texts:
        found = fillings(runs, text)
        if found is not None:  # a run may also stand in a slot before its place
            parts = [part for pair in zip(found, [*runs, ""], strict=True) for part in pair if part]
            assert " ".join(parts) == text


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_texts_can_be_compared(texts: list[str]) -> None:
    runs = fixed_runs(texts)

    assert all(set(run.split()) <= set(text.split()) for run in runs for text in texts)
    assert isinstance(template_text(texts), str)


def test_a_word_that_prompts_share_by_chance_is_no_run() -> None:
    assert fixed_runs(["Tell me of the sea now.", "Tell me about birds in the wood by night."]) == ("Tell me",)


def test_one_text_is_a_template_without_slots() -> None:
    assert template_text(["Just  this."]) == "Just this."
    assert template_text([]) == ""


def test_only_the_first_texts_are_compared_and_only_their_ends() -> None:
    long = "same start " + "filler words " * 100_000 + "same end"

    assert fixed_runs([long, "same start other same end"]) == ("same start", "same end")
    assert fixed_runs(["a b c"] * MOST_TEXTS + ["x y z"]) == ("a b c",)


@pytest.mark.parametrize(("text", "ends"), [("abcdef", "abcdef"), ("abcdefg", "abcd\nfg"), ("", "")])
def test_both_ends_of_a_text(text: str, ends: str) -> None:
    assert both_ends(text, 4, 2) == ends
