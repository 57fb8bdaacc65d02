"""The adapters' files and items; with the tools themselves where they are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distil.adapters.inspect_task import inspect_task, task_of_run
from spiritsafe.distil.adapters.items import is_right, items_of
from spiritsafe.distil.adapters.lm_eval_task import judged, write_lm_eval_task
from spiritsafe.distil.prompt import make_prompt, prompt_to_json
from spiritsafe.distil.recipe import Recipe, Verifier
from spiritsafe.distil.run import RunFolder, read_lines, write_json, write_lines
from spiritsafe.distil.verify import verifier_for
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message

yaml = pytest.importorskip("yaml")

PROMPTS = [make_prompt((Message("user", f"What comes after {n}? {{{{x}}}}"),), str(n + 1)) for n in range(8)]


def recipe_of(system: str | None = None) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "counting",
            "teacher": {"endpoint": "mine", "model": "big"},
            "student": {"model": "small", "system": system},
            "prompts": {"kind": "jsonl", "path": "prompts.jsonl"},
            "evaluate": {"held_out": 8, "verifier": {"kind": "numeric"}, "max_new_tokens": 16},
        }
    )


def test_items_are_what_the_student_sees() -> None:
    own = make_prompt((Message("system", "Be brief."), Message("user", "1 + 1?")), "2")
    items = items_of([PROMPTS[0], own], recipe_of("Count."))

    assert [(one.system, one.question) for one in items] == [
        ("Count.", "What comes after 0? {{x}}"),
        ("Count.\n\nBe brief.", "1 + 1?"),
    ]
    assert items_of([PROMPTS[0]], recipe_of())[0].system == ""


def test_items_that_cannot_be_judged_are_left_out_and_none_left_is_an_error() -> None:
    unknown = make_prompt((Message("user", "Why?"),))

    assert [one.prompt.id for one in items_of([unknown, PROMPTS[1]], recipe_of())] == [PROMPTS[1].id]
    with pytest.raises(InputError, match="no held-out item can be judged"):
        items_of([unknown], recipe_of())


def test_a_longer_conversation_is_refused_by_its_id() -> None:
    long = make_prompt((Message("user", "a"), Message("assistant", "b"), Message("user", "c")), "1")
    with pytest.raises(InputError, match=f"prompt {long.id} has turns user, assistant, user"):
        items_of([long], recipe_of())


def test_reasoning_is_taken_off_before_judging() -> None:
    verify = verifier_for(Verifier(kind="exact"))
    prompt = make_prompt((Message("user", "a"),), "4")

    assert is_right(verify, prompt, "<think>\n2 + 2\n</think>\n\n4") == (True, "")
    assert is_right(verify, prompt, "5") == (False, "exact: differs")


def test_the_lm_eval_folder_holds_a_task_the_items_and_their_judge(tmp_path: Path) -> None:
    assert write_lm_eval_task(tmp_path, PROMPTS, recipe_of("Count.")) == 8

    text = (tmp_path / "counting.yaml").read_text(encoding="utf-8")
    functions = [line for line in text.splitlines() if "!function" in line]
    settings = yaml.safe_load("\n".join(line for line in text.splitlines() if "!function" not in line))
    assert settings["task"] == "counting"
    assert settings["generation_kwargs"] == {"until": [], "do_sample": False, "max_gen_toks": 16}
    assert functions == ["custom_dataset: !function judge.load", "process_results: !function judge.process_results"]
    lines = list(read_lines(tmp_path / "items.jsonl"))
    assert [set(line) for line in lines] == [{"system", "question", "prompt"}] * 8
    assert [judged(tmp_path, line, ["it is 3"])["right"] for line in lines[:4]] == [0.0, 0.0, 1.0, 0.0]
    compile((tmp_path / "judge.py").read_text(encoding="utf-8"), "judge.py", "exec")
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run at"):
        task_of_run(tmp_path)


@pytest.mark.slow
def test_lm_eval_asks_the_items_and_judges_them_as_evaluation_does(
    tmp_path: Path, tokenizer: Any, new_model: Callable[..., Any]
) -> None:
    pytest.importorskip("lm_eval", reason="extra lm-eval")
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    write_lm_eval_task(tmp_path, PROMPTS, recipe_of("Count."))
    model = HFLM(pretrained=new_model(len(tokenizer), seed=3), tokenizer=tokenizer, batch_size=4)
    found = simple_evaluate(
        model,
        tasks=["counting"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
    )

    samples = found["samples"]["counting"]
    assert len(samples) == 8
    asked = samples[0]["arguments"][0][0]
    assert "<|im_start|>system\nCount.<|im_end|>" in asked
    assert "<|im_start|>user\nWhat comes after 0? {{x}}<|im_end|>" in asked
    verify, prompts = verifier_for(Verifier(kind="numeric")), {p.id: p for p in PROMPTS}
    for sample in samples:
        prompt = prompts[json.loads(sample["doc"]["prompt"])["id"]]
        assert sample["right"] == float(is_right(verify, prompt, sample["resps"][0][0])[0])
    right = sum(sample["right"] for sample in samples) / 8
    assert found["results"]["counting"]["right,none"] == pytest.approx(right)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")  # Inspect's own, of tenacity
def test_inspect_asks_the_items_and_judges_them_as_evaluation_does(tmp_path: Path) -> None:
    inspect_ai = pytest.importorskip("inspect_ai", reason="extra inspect")
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    run = RunFolder(tmp_path / "run")
    write_json(run.recipe, recipe_of("Count.").model_dump(mode="json"))
    write_lines(run.held_out, map(prompt_to_json, PROMPTS))
    said = ModelOutput.from_content("mock", "The answer is 3.")
    said.usage = ModelUsage(input_tokens=9, output_tokens=5)  # else the mock counts with a tokenizer from the network
    model = get_model("mockllm/model", custom_outputs=[said] * 8)
    (log,) = inspect_ai.eval(
        task_of_run(run.root), model=model, log_dir=str(tmp_path / "logs"), display="none", max_samples=1
    )

    assert log.status == "success", log.error
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(1 / 8)
    first = next(sample for sample in log.samples if sample.id == PROMPTS[0].id).input
    assert [(turn.role, turn.content) for turn in first] == [
        ("system", "Count."),
        ("user", "What comes after 0? {{x}}"),
    ]
    right = {sample.id for sample in log.samples if sample.scores["verifier"].value == "C"}
    assert right == {PROMPTS[2].id}
    assert inspect_task(PROMPTS, recipe_of()).name == "counting"
