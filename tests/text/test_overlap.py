"""Overlap with a set of items, by what is theirs and not by their template."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.text.normal import words
from spiritsafe.text.overlap import OverlapIndex, distinctive_starts, template_runs

LONG = (
    "In 1893 a lighthouse keeper on the northern coast wrote that gulls had learned to open crates of dried fish "
    "whenever the wind blew from the sea"
)
INSTRUCTION = (
    "Read the message of a customer below and give the name of the person, the product that it is about and the price "
    "paid as one JSON object without any further words. Message: "
)


def random_text(draw: Random, words: int) -> str:
    return " ".join(f"w{draw.randrange(5000)}" for _ in range(words))


def test_thirteen_words_in_a_row_are_a_quote_and_twelve_are_not() -> None:
    own = LONG.split()
    index = OverlapIndex([LONG])

    assert index.quotes("It says: " + " ".join(own[4:17]) + ", and so on") == "13-gram"
    assert index.quotes("It says: " + " ".join(own[4:16]) + ", and so on") is None


def test_case_and_punctuation_do_not_hide_a_quote() -> None:
    assert OverlapIndex([LONG]).quotes(LONG.upper().replace(" ", ", ")) == "13-gram"


@pytest.mark.parametrize(
    "item", ["What is the capital of France?", "Name three rivers that flow through Germany, please."]
)
def test_a_short_item_is_found_inside_a_longer_text(item: str) -> None:
    index = OverlapIndex([item])

    assert index.quotes(f"Here is my question. {item.lower()} Thanks!") == "contains an item"
    assert index.repeats(item.upper()) == "equals an item"


def test_an_item_of_five_words_or_fewer_must_be_the_whole_text() -> None:
    index = OverlapIndex(["Hello, how are you?"])

    assert index.quotes("She said: hello, how are you? And left.") is None
    assert index.repeats("hello how are you") == "equals an item"


def test_one_word_more_or_less_is_a_repeat_and_a_replaced_word_is_not() -> None:
    item = "give the shortest word in this list of twelve words right now"
    index = OverlapIndex([item])

    assert index.repeats(item.replace("right ", "")) == "one word off an item"
    assert index.repeats(item.replace("list", "long list")) == "one word off an item"
    assert index.repeats(item.replace("shortest", "longest")) is None


def test_short_items_that_differ_in_one_word_are_two_items() -> None:
    index = OverlapIndex(["Give the capital of France.", "What is 3 - 1?"])

    assert index.repeats("Give the capital of Spain.") is None
    assert index.repeats("What is 3 + 1?") is None
    assert index.repeats("give the capital of france") == "equals an item"


def test_records_of_one_long_template_do_not_contaminate_each_other() -> None:
    draw = Random(0)
    items = [INSTRUCTION + random_text(draw, 25) for _ in range(20)]
    index = OverlapIndex(items)
    others = [INSTRUCTION + random_text(draw, 25) for _ in range(200)]

    assert [index.quotes(text) or index.repeats(text) for text in others] == [None] * 200


def test_a_record_of_a_template_is_still_found_when_it_is_an_item() -> None:
    draw = Random(0)
    items = [INSTRUCTION + random_text(draw, 25) for _ in range(20)]
    index = OverlapIndex(items)

    assert all(index.quotes(item) == "13-gram" for item in items)
    assert index.quotes("Another wording. " + items[3].removeprefix(INSTRUCTION)) == "13-gram"


def test_word_list_records_whose_text_is_mostly_template_are_found_only_whole() -> None:
    cities = [f"city{n}" for n in range(40)]
    names = [f"name{n}" for n in range(40)]
    text = "Hello, this is {} writing from {} because the parcel that I ordered last week has still not arrived here"
    items = [text.format(names[n], cities[n]) for n in range(20)]
    index = OverlapIndex(items)
    others = [text.format(names[n], cities[m]) for n in range(40) for m in range(40) if n != m or n >= 20]

    assert [other for other in others if index.quotes(other) or index.repeats(other)] == []
    assert all(index.repeats(item) == "equals an item" for item in items)


def test_a_template_of_one_held_out_item_alone_cannot_be_told_from_its_content() -> None:
    # The documented limit: a template is known by being shared.
    index = OverlapIndex([INSTRUCTION + "Anna bought a lamp for 20 euros"])

    assert index.quotes(INSTRUCTION + "Boris sold two chairs yesterday") == "13-gram"


def test_no_items_overlap_with_nothing() -> None:
    index = OverlapIndex(["", "?!"])

    assert index.quotes(LONG) is None
    assert index.repeats(LONG) is None
    assert index.repeats("") is None


@given(st.lists(st.text(max_size=60), max_size=6), st.randoms())
def test_every_item_with_words_repeats_itself(items: list[str], draw: Random) -> None:
    index = OverlapIndex(items)

    for item in items:
        assert index.repeats(item) == ("equals an item" if words(item) else None)


@given(st.integers(0, 10**6), st.integers(14, 40), st.integers(2, 12))
@settings(max_examples=30)
def test_a_long_item_without_template_is_quoted_by_any_text_around_it(seed: int, length: int, around: int) -> None:
    draw = Random(seed)
    item = random_text(draw, length)
    index = OverlapIndex([item, random_text(draw, length)])

    assert index.quotes(f"{random_text(draw, around)} {item} {random_text(draw, around)}") == "13-gram"


def test_distinctive_grams_have_more_than_half_their_words_outside_the_template() -> None:
    shared = ["one", "two", "three", "four", "five", "six"]
    items = [[*shared, *(f"a{n}" for n in range(9))], [*shared, *(f"b{n}" for n in range(9))]]
    template = template_runs(items, 0.01)

    assert len(template) == 2
    # Windows start at 0, 1, 2 and hold 6, 5, 4 template words of 13.
    assert distinctive_starts(items[0], 13, template) == [0, 1, 2]
    assert distinctive_starts([*shared, *shared, *items[0][6:]], 13, template) == [6, 7, 8]
