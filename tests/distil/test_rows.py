"""Rows: what is supervised, and when the teacher's log-probabilities can be used."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest

from spiritsafe.distil.prompt import CollectedRow, make_prompt
from spiritsafe.distil.recipe import Student
from spiritsafe.distil.rows import aligned, student_messages, token_rows, trainable
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.exchanges.logprobs import Position, pack
from spiritsafe.exchanges.record import Exchange, Message

QUESTION = "What is the capital of France?"
STUDENT = Student(model="tiny")


def collected(answer: str, *, reasoning: str | None = None, logprobs=None) -> CollectedRow:
    prompt = make_prompt((Message("user", QUESTION),))
    seen = (Message("system", "You are a careful clerk."), *prompt.messages)
    exchange = Exchange("e1", 0.0, "chat", seen, answer=answer, reasoning=reasoning, logprobs=logprobs)
    return CollectedRow(prompt, exchange)


def the_row(row: CollectedRow, tokenizer, student: Student = STUDENT, **more):
    return token_rows([row], ChatTemplate(tokenizer), student, **{"max_length": 100, **more})[0]


def test_the_student_sees_the_bare_prompt_and_not_what_the_teacher_saw(tokenizer) -> None:
    row = the_row(collected("Paris"), tokenizer)

    assert tokenizer.decode(row.ids[: row.start]) == (
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(row.ids[row.start :]) == "Paris<|im_end|>"
    assert row.supervised == len(row.ids) - row.start


def test_the_recipes_system_prompt_comes_first() -> None:
    asked = (Message("user", "Hi"),)
    brief = Student(model="tiny", system="Be brief.")

    assert student_messages(asked, STUDENT) == list(asked)
    assert student_messages(asked, brief) == [Message("system", "Be brief."), *asked]
    assert student_messages((Message("system", "In French."), *asked), brief) == [
        Message("system", "Be brief.\n\nIn French."),
        *asked,
    ]


@pytest.mark.parametrize(("think", "thinks"), [("drop", False), ("keep", True)])
def test_reasoning_is_learned_only_if_the_recipe_says_so(tokenizer, think, thinks: bool) -> None:
    row = the_row(collected("Paris", reasoning="France, so"), tokenizer, Student(model="tiny", think=think))

    assert ("France, so" in tokenizer.decode(row.ids[row.start :])) == thinks


def test_a_row_over_the_length_is_marked_whole_and_left_out(tokenizer) -> None:
    length = len(the_row(collected("Paris"), tokenizer).ids)

    fits, over = (the_row(collected("Paris"), tokenizer, max_length=most) for most in (length, length - 1))

    assert not fits.truncated
    assert over.truncated
    assert np.array_equal(over.ids, fits.ids)
    assert trainable([fits, over]) == [fits]


def positions(ids, k: int = 3) -> list[Position]:
    """A teacher that gives each of `ids` probability 0.6 and the next k-1 ids 0.1 each."""
    return [
        Position(int(one), log(0.6), [(int(one), log(0.6))] + [((int(one) + n) % 400, log(0.1)) for n in range(1, k)])
        for one in ids
    ]


@pytest.fixture
def answer_ids(tokenizer) -> list[int]:
    return tokenizer.encode("Oslo is the capital", add_special_tokens=False)


def test_log_probabilities_of_the_same_ids_are_aligned_with_the_answer(tokenizer, answer_ids) -> None:
    row = collected("Oslo is the capital", logprobs=pack(positions(answer_ids)))

    found = the_row(row, tokenizer, signal="logprobs")

    assert found.without_signal == ""
    assert found.top is not None
    assert found.top.ids_S_K[:-1, 0].tolist() == answer_ids
    np.testing.assert_allclose(found.top.probs_S_K[:-1], [[0.6, 0.1, 0.1]] * len(answer_ids), rtol=2.1e-3)
    assert found.top.ids_S_K[-1].tolist() == [tokenizer.eos_token_id, -1, -1]
    assert found.top.probs_S_K[-1].tolist() == [1, 0, 0]


def test_a_stop_token_among_the_log_probabilities_still_learns_from_the_hard_target(tokenizer, answer_ids) -> None:
    row = collected("Oslo is the capital", logprobs=pack(positions([*answer_ids, tokenizer.eos_token_id])))

    found = the_row(row, tokenizer, signal="logprobs")

    assert found.top is not None
    assert found.top.probs_S_K[-1].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda ids: None, "no log-probabilities"),
        (lambda ids: pack(positions([ids[0] + 1, *ids[1:]])), "not the student's"),
        (lambda ids: pack(positions(ids[:-1])), "not the student's"),
        (lambda ids: pack([Position(b"Oslo", -0.1, [(b"Oslo", -0.1)])]), "without ids"),
        (lambda ids: pack([Position(one, -0.1, []) for one in ids]), "no alternatives"),
        (lambda ids: pack([Position(one, -0.1, [(one, -0.1), (400, -3.0)]) for one in ids]), "outside the student's"),
    ],
)
def test_log_probabilities_that_mean_something_else_are_not_used_and_it_is_said_why(
    tokenizer, answer_ids, made, why: str
) -> None:
    row = the_row(collected("Oslo is the capital", logprobs=made(answer_ids)), tokenizer, signal="logprobs")

    assert row.top is None
    assert why in row.without_signal
    assert trainable([row], "logprobs") == [row]


def test_probabilities_never_sum_to_more_than_one_and_no_id_comes_twice() -> None:
    rounded_up = [Position(1, 0.0, [(1, -1e-4), (2, log(0.01)), (1, log(0.005))])]

    top, _ = aligned(pack(rounded_up), np.asarray([1, 9], np.int32), vocab=10)

    assert top is not None
    assert top.probs_S_K.sum(1).max() <= 1 + 1e-6
    assert top.ids_S_K[0].tolist() == [1, 2, -1]


def test_a_position_without_alternatives_learns_from_the_hard_target() -> None:
    top, _ = aligned(
        pack([Position(4, -0.1, []), Position(5, -0.1, [(5, -0.1), (6, -3.0)])]), np.asarray([4, 5, 9], np.int32), 10
    )

    assert top is not None
    assert top.ids_S_K.tolist() == [[4, -1], [5, 6], [9, -1]]
    assert top.probs_S_K[0].tolist() == [1, 0]
    assert top.probs_S_K[1, 1] == pytest.approx(exp(-3.0), rel=1e-3)


def test_a_local_teacher_reads_all_that_it_saw_and_the_same_answer(tokenizer) -> None:
    template = ChatTemplate(tokenizer)

    row = the_row(collected("Paris"), tokenizer, signal="weights", teacher_template=template)

    assert row.teacher_ids is not None
    assert tokenizer.decode(row.teacher_ids).startswith("<|im_start|>system\nYou are a careful clerk.<|im_end|>")
    assert row.teacher_ids[row.teacher_start :].tolist() == row.ids[row.start :].tolist()


def test_a_row_that_a_local_teacher_writes_in_other_tokens_is_left_out(tokenizer, new_tokenizer) -> None:
    other = ChatTemplate(
        new_tokenizer("{{ messages[-1].content }}{% if not add_generation_prompt %}<|pad|>{% endif %}")
    )

    row = the_row(collected("Paris"), tokenizer, signal="weights", teacher_template=other)

    assert "other tokens" in row.without_signal
    assert trainable([row], "weights") == []
    assert trainable([replace(row, without_signal="")], "weights") != []
