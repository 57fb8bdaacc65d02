from collections.abc import Callable
from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.answers import Given, Judged, ModelAnswers, judge
from spiritsafe.distil.measure import (
    Precision,
    common_items,
    compared,
    dollars_per_million,
    four_cases,
    measured,
    normalised,
    recovered_by,
    samples_of,
)
from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.recipe import Verifier
from spiritsafe.distil.verify import verifier_for
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message

FAST = Precision(resamples=100)


def answers(
    rights: list[bool | None], *, name: str = "m", text: Callable[[int], str] = str, **facts: object
) -> ModelAnswers:
    """A model's answers to items i0, i1, …"""
    given = [Given(f"i{n}", text(n), "stop") for n in range(len(rights))]
    given = [Given(**{**{f: getattr(one, f) for f in Given.__dataclass_fields__}, **facts}) for one in given]
    return ModelAnswers(name, "s", {g.prompt_id: Judged(g, r, "") for g, r in zip(given, rights, strict=True)})


def items(count: int) -> list[str]:
    return [f"i{n}" for n in range(count)]


def test_only_items_judged_for_every_model_count() -> None:
    first, second = answers([True, None, False, True]), answers([True, True, False])

    assert common_items([first, second]) == ["i0", "i2"]


def test_models_without_a_common_item_are_refused_with_what_each_answered() -> None:
    with pytest.raises(InputError, match=r"answered: a 2, b 1"):
        common_items([answers([None, None], name="a"), answers([True], name="b")])


def test_accuracy_tokens_and_speed_are_means_over_the_items() -> None:
    model = answers([True, False, True, True], tokens=30, prompt_tokens=74, seconds=0.1, finish_reason="length")
    numbers = measured(model, items(4), FAST)

    assert (numbers["accuracy"]["estimate"], numbers["accuracy"]["right"], numbers["accuracy"]["items"]) == (0.75, 3, 4)
    assert numbers["accuracy"]["low"] < 0.75 < numbers["accuracy"]["high"]
    assert (numbers["truncated"], numbers["prompt_tokens_per_item"], numbers["output_tokens_per_item"]) == (4, 74, 30)
    assert numbers["tokens_per_s"] == pytest.approx(300)


def test_what_was_not_counted_is_unknown() -> None:
    numbers = measured(answers([True, False]), items(2), FAST)

    assert numbers["tokens_per_s"] is None
    assert numbers["prompt_tokens_per_item"] is None


def test_agreement_counts_judgements_and_answers_apart() -> None:
    student = answers([True, True, False, False], text=lambda n: ["a", "b", "c", "d"][n])
    teacher = answers([True, False, True, False], text=lambda n: ["a ", "x", "c", "y"][n])
    numbers = compared(student, teacher, items(4), FAST)

    assert numbers["agreement"]["judgement"]["estimate"] == 0.5
    assert numbers["agreement"]["answer"]["estimate"] == 0.5
    assert numbers["minus_teacher"]["estimate"] == 0.0


def test_recovered_capability_is_of_the_gap() -> None:
    base, student, teacher = (answers([n < right for n in range(40)]) for right in (0, 20, 40))
    found = recovered_by(student, base, teacher, items(40), FAST)

    assert found["estimate"] == 0.5
    assert found["gap"]["estimate"] == 1.0
    assert (found["items"], found["confidence"], found["resamples"], found["estimable"]) == (40, 0.95, 100, True)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.integers(0, 12))
def test_every_item_is_in_one_case_and_samples_take_each_case_that_occurs(rights, wanted: int) -> None:
    student, teacher = (answers([pair[side] for pair in rights]) for side in (0, 1))
    cases = four_cases(student, teacher, items(len(rights)))
    samples = samples_of(cases, wanted)

    assert sorted(item for case in cases.values() for item in case) == sorted(items(len(rights)))
    assert len(samples) == len(set(samples)) == min(wanted, len(rights))
    occurring = [case for case in cases.values() if case]
    if wanted >= 4:
        assert all(set(case) & set(samples) for case in occurring)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"a": 1, "b": "x"}', '{"b":"x",  "a":1}', True),
        ('{"a": 1}', '{"a": 2}', False),
        (" two  words\n", "two words", True),
        ("Two words", "two words", False),
    ],
)
def test_answers_are_compared_without_spacing_and_order_of_fields(one: str, other: str, equal: bool) -> None:
    assert (normalised(one) == normalised(other)) == equal


def test_dollars_per_million_need_both_price_and_speed() -> None:
    assert dollars_per_million(3.6, 1000.0) == pytest.approx(1.0)
    assert dollars_per_million(0.0, 1000.0) == 0.0
    assert dollars_per_million(None, 1000.0) is None
    assert dollars_per_million(3.6, None) is None


def test_judging_leaves_out_what_was_not_answered() -> None:
    prompts = [make_prompt((Message("user", text),), text) for text in "abc"]
    known: dict[str, Given] = {
        p.id: Given(p.id, said, "stop") for p, said in zip(prompts, islice(cycle("a"), 2), strict=False)
    }
    made = judge("m", "s", known, prompts, verifier_for(Verifier(kind="exact")))

    assert [made.by_prompt[p.id].right for p in prompts if p.id in made.by_prompt] == [True, False]


def test_an_item_without_a_known_answer_is_not_judged() -> None:
    prompt: Prompt = make_prompt((Message("user", "a"),))
    made = judge("m", "s", {prompt.id: Given(prompt.id, "a", "stop")}, [prompt], verifier_for(Verifier(kind="exact")))

    assert made.by_prompt[prompt.id].right is None
