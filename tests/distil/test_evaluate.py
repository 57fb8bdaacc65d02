"""The evaluate stage with models small enough for a test; the teacher's answers are handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distil.answers import stored
from spiritsafe.distil.evaluate import (
    Contender,
    contenders_of,
    evaluate,
    held_out_exchanges,
)
from spiritsafe.distil.prompt import CollectedRow, Prompt, make_prompt, prompt_to_json, row_to_json
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import RunFolder, read_lines, write_lines
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Exchange, Message, Source, Timing, Usage

PROMPTS = [make_prompt((Message("user", f"What comes after {n}?"),), str(n + 1)) for n in range(30)]


def recipe_of(**evaluate: Any) -> Recipe:
    asked = {"held_out": 30, "verifier": {"kind": "regex", "pattern": "."}, "max_new_tokens": 4, "bootstrap": 100}
    return Recipe.model_validate(
        {
            "name": "counting",
            "teacher": {"endpoint": "mine", "model": "big"},
            "student": {"model": "small"},
            "prompts": {"kind": "jsonl", "path": "prompts.jsonl"},
            "evaluate": asked | evaluate,
            "budgets": [10, 20],
        }
    )


def exchange(prompt: Prompt, answer: str, dollars: float | None = 0.001) -> Exchange:
    return Exchange(
        id=prompt.id,
        at=1.0,
        dialect="chat",
        messages=prompt.messages,
        answer=answer,
        usage=Usage(200, 10),
        timing=Timing(0.1, 0.5),
        source=Source("mine", "big", terms="permits"),
        dollars=dollars,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    write_lines(folder.held_out, map(prompt_to_json, PROMPTS))
    return folder


@pytest.fixture
def teacher_answers() -> dict[str, Exchange]:
    return {prompt.id: exchange(prompt, prompt.expected or "") for prompt in PROMPTS}


class Shelf:
    """Contenders with random weights; notes whose weights were used, once a forward pass."""

    def __init__(self, tokenizer: Any, new_model: Callable[..., Any]) -> None:
        self.tokenizer, self.new_model = tokenizer, new_model
        self.asked: list[str] = []

    def contender(self, name: str, seed: int, exchanges: int = 0, stamp: str = "s") -> Contender:
        def load() -> tuple[Any, Any]:
            module = self.new_model(len(self.tokenizer), seed=seed)
            module.register_forward_hook(lambda *_: self.asked.append(name))
            return module, self.tokenizer

        return Contender(name, f"{name} of a test", stamp, load, exchanges, None if name == "base" else f"at/{name}")

    def all(self) -> list[Contender]:
        return [
            self.contender("base", 1),
            self.contender("student-10", 2, exchanges=10),
            self.contender("student-20", 3, exchanges=20),
        ]


@pytest.fixture
def shelf(tokenizer: Any, new_model: Callable[..., Any]) -> Shelf:
    return Shelf(tokenizer, new_model)


def test_every_model_answers_every_item_and_the_summary_says_how_well(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    summary = evaluate(run, recipe_of(), shelf.all(), teacher_answers)
    lines = list(read_lines(run.answers))

    assert len(lines) == 4 * 30
    assert {line["model"] for line in lines} == {"teacher", "base", "student-10", "student-20"}
    wanted = {"prompt_id", "prompt", "expected", "model", "answer", "right", "reason", "finish_reason", "tokens"}
    assert all(wanted <= set(line) for line in lines)
    assert (summary["items"], summary["judged"], summary["unjudged"]) == (30, 30, 0)
    assert summary["teacher"]["accuracy"]["right"] == 30
    assert [one["exchanges"] for one in summary["students"]] == [10, 20]
    assert all(one["tokens_per_s"] > 0 and one["parameters"] > 1000 for one in summary["students"])
    assert run.is_current("evaluate", recipe_of())
    assert run.read_summary("evaluate")["students"] == summary["students"]


def test_answers_that_are_there_are_not_generated_again(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    first = evaluate(run, recipe_of(), shelf.all(), teacher_answers)
    before, lines = len(shelf.asked), run.answers.read_bytes()
    again = evaluate(run, recipe_of(), shelf.all(), teacher_answers)

    assert before > 0
    assert len(shelf.asked) == before
    assert run.answers.read_bytes() == lines
    assert again["students"] == first["students"]


def test_a_run_that_was_killed_goes_on_with_the_model_it_was_at(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    def broken() -> tuple[Any, Any]:
        raise KeyboardInterrupt

    base, small, large = shelf.all()
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, recipe_of(), [base, small, replace(large, load=broken)], teacher_answers)
    assert not run.summary("evaluate").exists()
    shelf.asked.clear()
    done = evaluate(run, recipe_of(), [base, small, large], teacher_answers)

    assert set(shelf.asked) == {"student-20"}
    shelf.asked.clear()
    assert evaluate(run, recipe_of(), [base, small, large], teacher_answers)["students"] == done["students"]
    assert shelf.asked == []


def test_being_killed_at_the_first_model_keeps_the_answers_of_the_others(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    def broken() -> tuple[Any, Any]:
        raise KeyboardInterrupt

    base, small, large = shelf.all()
    evaluate(run, recipe_of(), [base, small, large], teacher_answers)
    changed = replace(base, stamp="new")
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, recipe_of(), [changed, replace(small, load=broken), large], teacher_answers)

    assert {model for model, _ in stored(run.answers)} == {"teacher", "base", "student-10", "student-20"}


def test_new_weights_are_asked_again_and_only_they(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    base, small, large = shelf.all()
    evaluate(run, recipe_of(), [base, small, large], teacher_answers)
    before = {line["model"]: line["stamp"] for line in read_lines(run.answers)}
    shelf.asked.clear()
    evaluate(run, recipe_of(), [base, small, shelf.contender("student-20", 9, 20, stamp="t")], teacher_answers)
    after = {line["model"]: line["stamp"] for line in read_lines(run.answers)}

    assert {model for model in after if after[model] != before[model]} == {"student-20"}
    assert set(shelf.asked) == {"student-20"}


def test_another_verifier_judges_the_same_answers_anew(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    evaluate(run, recipe_of(), shelf.all(), teacher_answers)
    shelf.asked.clear()
    summary = evaluate(run, recipe_of(verifier={"kind": "numeric"}), shelf.all(), teacher_answers)

    assert shelf.asked == []
    assert summary["teacher"]["accuracy"]["right"] == 30
    assert summary["students"][0]["accuracy"]["right"] < 30


def test_items_the_teacher_did_not_answer_are_left_out_for_all_and_counted(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    del teacher_answers[PROMPTS[3].id]
    summary = evaluate(run, recipe_of(), shelf.all(), teacher_answers)

    assert (summary["judged"], summary["unjudged"]) == (29, 1)
    assert {one["accuracy"]["items"] for one in (summary["teacher"], summary["base"], *summary["students"])} == {29}


def test_costs_are_known_only_with_their_prices(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    summary = evaluate(run, recipe_of(), shelf.all(), teacher_answers)
    assert summary["teacher"]["dollars_per_million_tokens"] == pytest.approx(0.001 / 10 * 1e6)
    assert summary["teacher"]["tokens_per_s"] == pytest.approx(20.0)
    assert summary["students"][0]["dollars_per_million_tokens"] is None
    assert "no price of the machine" in summary["students"][0]["dollars_note"]

    unpriced = {key: replace(one, dollars=None) for key, one in teacher_answers.items()}
    summary = evaluate(run, recipe_of(machine_dollars_per_hour=1.8), shelf.all(), unpriced)
    assert summary["teacher"]["dollars_per_million_tokens"] is None
    speed = summary["students"][0]["tokens_per_s"]
    assert summary["students"][0]["dollars_per_million_tokens"] == pytest.approx(1.8 / 3600 / speed * 1e6)


def test_progress_is_told_by_model(run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]) -> None:
    told: list[tuple[str, int, int]] = []
    evaluate(run, recipe_of(batch_size=20), shelf.all(), teacher_answers, on_answers=lambda *one: told.append(one))

    assert told == [(name, done, 30) for name in ("base", "student-10", "student-20") for done in (20, 30)]


def test_without_a_student_the_error_names_the_command(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    with pytest.raises(InputError, match="spiritsafe distil train"):
        evaluate(run, recipe_of(), shelf.all()[:1], teacher_answers)


def test_contenders_are_the_base_and_the_students_of_the_folder_by_budget(run: RunFolder) -> None:
    recipe = recipe_of()
    run.finish("curate", recipe, {"kept": 15})
    for budget in (10, 20):
        folder = run.student(budget, recipe.budgets)
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    found = contenders_of(run, recipe)

    assert [(one.name, one.exchanges, one.folder) for one in found] == [
        ("base", 0, None),
        ("student-10", 10, "students/10"),
        ("student-20", 15, "student"),
    ]


def test_a_stamp_changes_with_the_training_and_with_the_settings(run: RunFolder) -> None:
    def stamps(recipe: Recipe) -> list[str]:
        return [one.stamp for one in contenders_of(run, recipe)]

    recipe = recipe_of().model_copy(update={"budgets": ()})
    run.finish("curate", recipe, {"kept": 15})
    folder = run.student(15, ())
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "train.json").write_bytes(b'{"seconds": 1}')
    first = stamps(recipe)
    longer = stamps(recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"max_new_tokens": 9})}))
    (folder / "train.json").write_bytes(b'{"seconds": 2}')
    trained_again = stamps(recipe)

    assert stamps(recipe) == trained_again
    assert first[0] != longer[0]
    assert first[0] == trained_again[0]
    assert len({first[1], longer[1], trained_again[1]}) == 3


def test_a_missing_student_names_the_command(run: RunFolder) -> None:
    run.finish("curate", recipe_of(), {"kept": 15})
    with pytest.raises(InputError, match="spiritsafe distil train"):
        contenders_of(run, recipe_of())


def test_of_several_samples_the_first_is_the_teachers_answer(run: RunFolder) -> None:
    rows = [CollectedRow(PROMPTS[0], exchange(PROMPTS[0], said)) for said in ("first", "second")]
    write_lines(run.held_out_collected, map(row_to_json, rows))

    assert [one.answer for one in held_out_exchanges(run).values()] == ["first"]


def test_a_damaged_answers_file_is_an_error_that_says_what_to_do(run: RunFolder) -> None:
    run.answers.write_bytes(b'{"model": "base"}\n')
    with pytest.raises(InputError, match="remove the file and evaluate again"):
        stored(run.answers)


def test_the_weights_of_an_embedded_teacher_are_known_and_others_unknown(
    run: RunFolder, shelf: Shelf, teacher_answers: dict[str, Exchange]
) -> None:
    recipe = recipe_of()
    named = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"model": "smollm2-135m"})})

    found = [evaluate(run, one, shelf.all(), teacher_answers)["teacher"]["parameters"] for one in (recipe, named)]
    assert found == [None, 134_500_000]
