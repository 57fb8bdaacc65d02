"""Templates: the same in every account, whatever fills the slots; and none where prompts have nothing in common."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import StoreError
from spiritsafe.text.templates import ANCHORS, SAMPLED, STATE_BYTES, Template, Templates, _ends, anchors_of

NOUNS = [
    "river",
    "bread",
    "castle",
    "engine",
    "violin",
    "desert",
    "harbour",
    "lemon",
    "teacher",
    "window",
    "garden",
    "comet",
]
VERBS = ["burns", "sings", "breaks", "sleeps", "turns", "grows", "falls", "shines", "opens", "waits", "rolls", "melts"]


def filler(dice: random.Random, words: int = 12) -> str:
    return " ".join(
        dice.choice(NOUNS) + str(dice.randrange(99)) if at % 2 else dice.choice(VERBS) for at in range(words)
    )


def one_template(count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return [f"Write a poem about the {filler(dice)}. Keep it short and do not rhyme." for _ in range(count)]


def prose(count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return ["".join(dice.choice("aeioubcdfgklmnprst    ") for _ in range(120)) for _ in range(count)]


def templates_of(prompts: Iterable[str], system: str = "") -> Templates:
    state = Templates()
    for prompt in prompts:
        state.add(system, prompt)
    return state


def first(prompts: Iterable[str], system: str = "") -> Template:
    return templates_of(prompts, system).found()[0]


def test_prompts_of_one_template_are_found_to_be_one() -> None:
    found = first(one_template(500, 1))

    assert found.share == 1
    assert found.sampled == SAMPLED
    assert 250 < found.fillings < 1_000


def test_two_accounts_that_share_no_prompt_have_the_same_template() -> None:
    one, other = first(one_template(100, 1)), first(one_template(100, 2))

    assert one.id == other.id
    assert len(one.anchors & other.anchors) >= 0.8 * len(one.anchors | other.anchors)


def test_a_template_is_found_again_under_another_system_prompt() -> None:
    one = first(one_template(100, 1), "You are a helpful assistant of the bank of Oslo.")
    other = first(one_template(100, 2), "Answer briefly and never mention other poets at all.")

    assert one.anchors & other.anchors


def test_prompts_with_nothing_in_common_have_no_template() -> None:
    assert templates_of(prose(300, 3)).found() == []


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_template_among_other_prompts_has_its_share(share: float) -> None:
    templated = round(400 * share)
    found = first(one_template(templated, 4) + prose(400 - templated, 5))

    assert abs(found.share - share) < 0.2
    assert found.fillings == pytest.approx(templated, rel=0.6)


def test_two_templates_are_told_apart() -> None:
    dice = random.Random(6)
    other = [f"Summarise in two lines what happened when {filler(dice)}, please be brief." for _ in range(150)]
    found = templates_of(one_template(150, 7) + other).found()

    assert len(found) == 2
    assert found[0].id != found[1].id
    assert sum(one.share for one in found) == 1


def test_one_prompt_again_and_again_is_one_filling() -> None:
    found = templates_of(["Write a poem about the river."] * 5_000).found(fewest=1)[0]

    assert found.fillings == 1
    assert found.exchanges == 1


def test_a_long_filling_does_not_hide_the_template() -> None:
    dice = random.Random(8)
    prompts = [f"Use the document to answer.\n{filler(dice, 5_000)}\nWhat does it say about money?" for _ in range(60)]

    assert first(prompts).share == 1


@pytest.mark.parametrize("form", ["{} Say it in a tweet.", "Make it rhyme: {}"])
def test_a_template_may_be_all_at_one_end(form: str) -> None:
    dice = random.Random(11)

    assert first(form.format(filler(dice, 40)) for _ in range(60)).share > 0.9


def test_words_cut_in_half_are_left_out() -> None:
    text = " ".join(f"number{at}x" for at in range(5_000))

    for shift in range(12):
        own = "y" * shift + text + "z" * shift
        assert all(set(end.split()) <= set(own.split()) for end in _ends(own))


def test_the_name_of_a_template_is_its_smallest_anchor() -> None:
    found = templates_of(["Write a poem about the river and its bridge."]).found(fewest=1)[0]

    assert found.id == f"{min(found.anchors):08x}"


def test_exchanges_count_repeats_and_the_share_does_not() -> None:
    found = templates_of(one_template(3, 12) * 100 + prose(10, 13)).found()[0]

    assert found.share == 3 / 13
    assert found.exchanges == 300 / 310


def test_labels_at_the_start_of_lines_are_a_template() -> None:
    dice = random.Random(9)
    prompts = [f"Title: {filler(dice, 9)}\nReview: {filler(dice, 30)}\nVerdict:" for _ in range(60)]

    assert first(prompts).share > 0.9


@given(st.lists(st.lists(st.text(max_size=30), max_size=60), min_size=2, max_size=3))
def test_merged_states_are_that_of_all_prompts_together(parts: list[list[str]]) -> None:
    whole = templates_of(prompt for part in parts for prompt in part)
    merged = templates_of([])
    for part in reversed(parts):
        merged = merged.merge(templates_of(part))

    assert merged.pack() == whole.pack()
    assert merged.found() == whole.found()
    assert Templates.unpack(whole.pack()).pack() == whole.pack()


def test_the_state_stays_within_two_kilobytes() -> None:
    packed = templates_of(one_template(3_000, 10)).pack()

    assert len(packed) == STATE_BYTES <= 2_048


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, Templates().pack()[:-1]])
def test_bytes_of_something_else_are_refused(data: bytes) -> None:
    with pytest.raises(StoreError):
        Templates.unpack(data)


@pytest.mark.parametrize(
    "text", ["", "a", "\ud800 \udfff", "x" * 10_000_000, "word " * 2_000_000, "a:\nb:\n" * 400_000]
)
def test_any_prompt_has_its_few_anchors(text: str) -> None:
    assert len(anchors_of(text, text)) == ANCHORS
