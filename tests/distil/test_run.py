"""Stamps: a stage is done again where what it reads of the recipe has changed, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distil.recipe import Recipe, Section
from spiritsafe.distil.run import STAGES, RunFolder, stamp

RAW = {
    "name": "tiny",
    "teacher": {"endpoint": "scripted", "model": "clerk"},
    "student": {"model": "s"},
    "prompts": {"kind": "jsonl", "path": "prompts.jsonl"},
    "evaluate": {"held_out": 1, "verifier": {"kind": "exact"}},
}
ALL = list(STAGES)


def recipe_with(field: str = "", value: Any = None) -> Recipe:
    raw: dict[str, Any] = {name: dict(part) if isinstance(part, Mapping) else part for name, part in RAW.items()}
    section, _, name = field.partition(".")
    if name:
        raw.setdefault(section, {})[name] = value
    elif section:
        raw[section] = value
    return Recipe.model_validate(raw)


PRICES = {"input_per_million": 1.0, "output_per_million": 2.0}


@pytest.mark.parametrize(
    ("field", "value", "stale"),
    [
        ("evaluate.bootstrap", 500, ["evaluate", "report"]),
        ("evaluate.machine_dollars_per_hour", 0.5, ["evaluate", "report"]),
        ("evaluate.max_new_tokens", 9, ["evaluate", "report"]),
        ("evaluate.verifier", {"kind": "numeric"}, ["evaluate", "report"]),
        ("evaluate.held_out", 2, ALL),
        ("evaluate.seed", 1, ALL),
        ("evaluate.prompts", {"kind": "jsonl", "path": "other.jsonl"}, ALL),
        ("teacher.prices", PRICES, ["plan", "report"]),
        ("teacher.limits", {"max_in_flight": 1}, ["plan", "report"]),
        ("teacher.system", "Be brief.", ALL),
        ("teacher.permission", "our contract", ALL),
        ("prompts", {"kind": "jsonl", "path": "other.jsonl"}, ALL),
        ("budget", {"dollars": 1.0}, ["plan", "report"]),
        ("curate", [{"curator": "empty"}], ALL[2:]),
        ("check", {"truncated_share": 0.5}, ALL[3:]),
        ("train", {"epochs": 1}, ALL[3:]),
        ("budgets", [5], ALL[3:]),
        ("student.layers", [0], ["plan", *ALL[3:]]),
        ("student.system", "Be brief.", ALL[3:]),
        ("name", "other", ["report"]),
    ],
)
def test_what_changed_makes_the_stages_that_read_it_stale_and_no_other(
    tmp_path: Path, field: str, value: Any, stale: list[str]
) -> None:
    run = RunFolder(tmp_path)
    for stage in ALL:
        run.finish(stage, recipe_with(), {})

    changed = recipe_with(field, value)

    assert [stage for stage in ALL if not run.is_current(stage, changed)] == stale
    assert all(run.is_current(stage, recipe_with()) for stage in ALL)


def test_every_part_that_a_stage_names_is_in_the_recipe() -> None:
    for part in {part for parts in STAGES.values() for part in parts}:
        section, _, name = part.partition(".")
        annotation = Recipe.model_fields[section].annotation
        assert not name or (issubclass(annotation, Section) and name in annotation.model_fields)


def test_the_report_depends_on_all_that_it_shows() -> None:
    before = set(STAGES) - {"plan"}

    assert {part for stage in before for part in STAGES[stage]} >= set(Recipe.model_fields)


def test_a_stage_that_is_forgotten_is_not_done(tmp_path: Path) -> None:
    run, recipe = RunFolder(tmp_path), recipe_with()
    run.finish("check", recipe, {})

    run.forget("check")
    run.forget("check")

    assert not run.is_current("check", recipe)
    assert stamp("check", recipe) == stamp("check", recipe_with())
