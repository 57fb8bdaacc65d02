"""A run whose stages are all done, made without training: real files, real curation, made-up answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from spiritsafe.distil.answers import BASE, TEACHER, Given, judge, teacher_given, write_answers
from spiritsafe.distil.curate import curate
from spiritsafe.distil.evaluate import Contender, Machine, base_title, summarised
from spiritsafe.distil.prompt import CollectedRow, Prompt, make_prompt, prompt_to_json, row_to_json
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import RunFolder, write_json, write_lines
from spiritsafe.distil.verify import verifier_for
from spiritsafe.exchanges.record import Exchange, Message, Source, Timing, Usage

CITIES = ("Bergen", "Oslo", "Trondheim", "Tromsø", "Molde", "Bodø", "Narvik", "Hamar")
ITEMS = ("kettle", "lamp", "chair", "bicycle", "tent", "radio", "knife", "blanket")
NAMES = ("Marta Olsen", "Ivar Lund", "Kari Nes", "Ola Vik", "Siri Dahl", "Nils Berg")


def order(number: int) -> Prompt:
    """A letter about an order, and its fields as JSON."""
    draw = Random(number)
    fields = {
        "name": draw.choice(NAMES),
        "city": draw.choice(CITIES),
        "order": f"A-{1000 + number}",
        "item": draw.choice(ITEMS),
        "quantity": draw.randint(2, 9),
    }
    text = (
        "Hello, this is {name} from {city}. I ordered {quantity} of the {item} last week (order {order}) and one of "
        "them arrived with a dent. Could you send me another? Thank you!"
    ).format(**fields)
    return make_prompt((Message("user", text),), json.dumps(fields))


def spoiled(answer: str, draw: Random) -> str:
    """The answer with one thing wrong."""
    fields = json.loads(answer)
    fields[draw.choice(("city", "item"))] = "Drammen"
    return json.dumps(fields)


SOURCE = Source(
    endpoint="llama.cpp",
    model="smollm2-135m",
    version="SmolLM2-135M-Instruct.Q4_1",
    fingerprint="sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    terms="open_weights",
    licence="Apache-2.0",
    terms_as_of="2026-11-24",
)


def exchange(prompt: Prompt, number: int, answer: str, dollars: float | None, source: Source) -> Exchange:
    return Exchange(
        id=f"{number:032x}",
        at=1_795_500_000.0 + number,
        dialect="chat",
        messages=prompt.messages,
        answer=answer,
        usage=Usage(412, 31),
        timing=Timing(0.05, 0.2),
        source=source,
        dollars=dollars,
        price_version=None if dollars is None else "recipe",
    )


def recipe_of(**changes: Any) -> Recipe:
    wanted = {
        "name": "order-fields",
        "teacher": {"endpoint": "llama.cpp", "model": "smollm2-135m", "system": "Answer with JSON."},
        "student": {"model": "smollm2-135m", "layers": [0, 1, 2, 3, 4, 5, 26, 27, 28, 29]},
        "prompts": {"kind": "jsonl", "path": "/home/someone/private/orders.jsonl"},
        "curate": [{"curator": name} for name in ("truncated", "empty", "exact_duplicate", "contamination")]
        + [{"curator": "verifier", "settings": {"kind": "json", "grounded": True, "use_expected": False}}],
        "evaluate": {"held_out": 60, "verifier": {"kind": "json"}, "bootstrap": 500},
        "budgets": [40, 80, 160],
    }
    return Recipe.model_validate(wanted | changes)


def make_run(
    root: Path,
    *,
    recipe: Recipe | None = None,
    items: int = 60,
    collected: int = 260,
    dollars: float | None = 0.0002,
    source: Source = SOURCE,
    rights: tuple[float, ...] = (0.0, 0.35, 0.6, 0.72, 0.75),
    teacher_says: Callable[[Prompt], str | None] = lambda prompt: None,
) -> tuple[RunFolder, Recipe]:
    """A finished run in `root`.

    Args:
        root: an empty folder.
        recipe: with as many budgets as `rights` has students.
        items, collected: held-out and training prompts.
        dollars: price of one answer.
        source: who the teacher is.
        rights: share of right answers of the base, each student and the teacher.
        teacher_says: the teacher's words on held-out prompts; None leaves it to `rights`.
    """
    recipe = recipe or recipe_of()
    run, draw = RunFolder(root), Random(1)
    held_out = [order(number) for number in range(items)]
    training = [order(number) for number in range(items, items + collected)]
    write_lines(run.held_out, map(prompt_to_json, held_out))
    _collect(run.collected, training, draw, dollars, source, rights[-1])
    run.finish("collect", recipe, {"asked": collected, "from_ledger": 12, "failed": {"timeout": 4}, "wall_s": 190.1})
    curate(run, recipe)
    finding = {"name": "last supervised token is the stop token", "found": "100 %", "wanted": "≥ 99 %", "passed": True}
    run.finish("check", recipe, {"findings": [finding], "wall_s": 3.1})
    run.finish("train", recipe, {"wall_s": 186.0})
    _evaluate(run, recipe, held_out, draw, dollars, source, rights, teacher_says)
    return run, recipe


def _collect(
    path: Path, prompts: list[Prompt], draw: Random, dollars: float | None, source: Source, right: float
) -> None:
    rows = []
    for number, prompt in enumerate(prompts):
        known = prompt.expected or ""
        answer = known if draw.random() < right else draw.choice((spoiled(known, draw), "I think it is a kettle.", ""))
        rows.append(row_to_json(CollectedRow(prompt, exchange(prompt, number, answer, dollars, source))))
    write_lines(path, rows)


def _evaluate(
    run: RunFolder,
    recipe: Recipe,
    held_out: list[Prompt],
    draw: Random,
    dollars: float | None,
    source: Source,
    rights: tuple[float, ...],
    teacher_says: Callable[[Prompt], str | None],
) -> None:
    def answer(prompt: Prompt, right: float) -> str:
        known = prompt.expected or ""
        return known if draw.random() < right else spoiled(known, draw)

    exchanges = {
        prompt.id: exchange(prompt, 10_000 + n, teacher_says(prompt) or answer(prompt, rights[-1]), dollars, source)
        for n, prompt in enumerate(held_out)
    }
    rows = (row_to_json(CollectedRow(prompt, exchanges[prompt.id])) for prompt in held_out)
    write_lines(run.held_out_collected, rows)
    contenders = [Contender(BASE, base_title(recipe.student), "s0", lambda: (None, None))]
    contenders += [_student(run, recipe, budget) for budget in recipe.budgets]
    verify = verifier_for(recipe.evaluate.verifier)
    models = [judge(TEACHER, "t", teacher_given(exchanges), held_out, verify)]
    for contender, right in zip(contenders, rights, strict=False):
        given = {p.id: Given(p.id, answer(p, right), "stop", 30, 74, 0.07) for p in held_out}
        if contender.name == BASE:
            given = {p.id: Given(p.id, "order order order order", "length", 128, 74, 0.3) for p in held_out}
        models.append(judge(contender.name, contender.stamp, given, held_out, verify))
    machines = {one.name: Machine(61_200_000, "batches of 32, 2 CPU threads") for one in contenders}
    write_answers(run.answers, held_out, models)
    summary = summarised(recipe, held_out, models, contenders, machines, exchanges)
    run.finish("evaluate", recipe, summary | {"wall_s": 51.0})


def _student(run: RunFolder, recipe: Recipe, budget: int) -> Contender:
    folder = run.student(budget, recipe.budgets)
    record = {
        "loss": "sequence",
        "epochs": 4,
        "tokens": 48_000,
        "precision": "float32",
        "device": "cpu",
        "seconds": 60.0,
    }
    write_json(folder / "train.json", record)
    name = folder.relative_to(run.root).as_posix()
    return Contender(f"student-{budget}", f"student of {budget} exchanges", "s1", lambda: (None, None), budget, name)


@pytest.fixture
def finished_run(tmp_path: Path) -> Callable[..., tuple[RunFolder, Recipe]]:
    """Makes a finished run in the test's folder; arguments as `make_run`."""
    return lambda **changes: make_run(tmp_path / "run", **changes)


@pytest.fixture
def a_recipe() -> Callable[..., Recipe]:
    """Makes a recipe; arguments replace its sections."""
    return recipe_of
