"""Students of a run: trained on their budget, saved with the record of it, and not trained twice."""

import json

import pytest

from spiritsafe.distil.loss import LossSettings
from spiritsafe.distil.recipe import Student
from spiritsafe.distil.student import load_student
from spiritsafe.distil.students import kept_rows, require_same_vocabulary, train_student, white_box_teacher
from spiritsafe.errors import InputError

CAPITALS = {"France": "Paris", "Norway": "Oslo", "Chile": "Santiago", "Kenya": "Nairobi", "Japan": "Tokyo"}


@pytest.fixture
def rows(new_row):
    return [new_row(f"What is the capital of {land}?", city) for land, city in CAPITALS.items()]


def test_each_budget_trains_on_its_first_rows_and_has_its_folder(new_run, rows) -> None:
    run, recipe = new_run(rows, budgets=[2, 5])

    small, large = (train_student(run, recipe, budget) for budget in recipe.budgets)

    assert (small.rows, small.folder) == (2, "students/2")
    assert (large.rows, large.folder) == (5, "student")
    assert json.loads((run.root / "student" / "train.json").read_bytes())["budget"] == 5
    assert not list((run.root / "checkpoints").glob("*"))
    assert load_student(Student(model=str(run.root / "student"))).model.config.num_hidden_layers == 4


def test_a_student_that_is_there_is_not_trained_again_unless_something_changed(new_run, rows) -> None:
    run, recipe = new_run(rows)
    said: list[int] = []

    def train(recipe) -> int:
        said.clear()
        train_student(run, recipe, 5, on_progress=lambda progress: said.append(progress.step))
        return len(said)

    assert train(recipe) == 1
    assert train(recipe) == 0
    assert train(recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 2})})) == 2


def test_rows_that_are_too_long_are_left_out_and_counted(new_run, rows, new_row) -> None:
    run, recipe = new_run([*rows, new_row("Say it.", "no " * 200)], train={"epochs": 1, "max_length": 100})

    summary = train_student(run, recipe, 6)

    assert (summary.budget, summary.rows, summary.left_out) == (6, 5, 1)


def test_nothing_to_train_on_is_an_error_that_points_to_the_check(new_run, rows) -> None:
    run, recipe = new_run(rows, train={"epochs": 1, "max_length": 5})

    with pytest.raises(InputError, match="none of 5 rows can be trained on; run  spiritsafe distil check"):
        train_student(run, recipe, 5)


def test_an_empty_curation_is_an_error_that_points_to_the_reasons(new_run) -> None:
    run, _ = new_run([])

    with pytest.raises(InputError, match=r"has no rows; see dropped\.jsonl"):
        kept_rows(run, 3)


def test_rows_without_log_probabilities_are_learned_by_their_tokens_and_counted(new_run, rows) -> None:
    run, recipe = new_run(rows, train={"epochs": 1, "loss": "topk_forward_kl"})

    assert train_student(run, recipe, 5).without_logprobs == 5


def test_a_local_teacher_of_the_same_vocabulary_teaches_by_its_weights(new_run, rows, student_folder) -> None:
    run, recipe = new_run(
        rows, teacher={"endpoint": "local", "model": str(student_folder)}, train={"epochs": 1, "loss": "jsd"}
    )

    summary = train_student(run, recipe, 5)

    # The teacher is the student, but it reads its own longer prompt, so there is something to learn.
    assert summary.loss == "jsd"
    assert summary.first_loss > 0.01


def test_a_loss_over_weights_is_refused_for_a_served_teacher(new_run, rows) -> None:
    run, recipe = new_run(rows, train={"loss": "forward_kl"})

    with pytest.raises(InputError, match=r"got endpoint 'scripted'; set teacher\.endpoint = 'local'"):
        train_student(run, recipe, 5)


def test_a_text_loss_needs_no_teacher(new_run, rows, tokenizer) -> None:
    _, recipe = new_run(rows)

    assert white_box_teacher(recipe, "text", tokenizer) == (None, None)
    assert LossSettings() == LossSettings(1.0, 0.5, 1.0)


def test_ids_that_mean_something_else_to_the_teacher_are_named(tokenizer, new_tokenizer) -> None:
    require_same_vocabulary(tokenizer, new_tokenizer())
    other = new_tokenizer(specials=("<|extra|>",))

    with pytest.raises(InputError, match=r"token .* is id .* to the student and .* to the teacher"):
        require_same_vocabulary(tokenizer, other)
