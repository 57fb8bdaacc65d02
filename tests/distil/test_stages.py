"""Stages: what is wrong is found before it is paid for, and a plan says what a collection then asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.distil.recipes import NOBODY, teacher_at

from spiritsafe.distil.recipe import Recipe, parse
from spiritsafe.distil.run import RunFolder
from spiritsafe.distil.stages import Sitting, do
from spiritsafe.errors import InputError
from spiritsafe.models.replies import Asked, served_in_thread

SEEDS = ["Explain why the sky is blue.", "List three ways to cook an egg.", "Name the longest river of Asia."]
ITEMS = "abcdefgh"


def recipe_for(base_url: str, folder: Path, **sections: Any) -> Recipe:
    (folder / "seeds.jsonl").write_text("".join(json.dumps({"prompt": seed}) + "\n" for seed in SEEDS))
    raw = {
        "name": "tiny",
        "teacher": teacher_at(base_url, limits={"max_in_flight": 1}),
        "student": {"model": "s"},
        "prompts": {"kind": "expand", "seeds": "seeds.jsonl", "count": 20},
        "evaluate": {"held_out": 4, "verifier": {"kind": "exact"}},
    }
    return parse(raw | sections, folder / "recipe.toml")


def sitting(recipe: Recipe, folder: Path, said: list[str], *, again: bool = False) -> Sitting:
    return Sitting(recipe, "recipe.toml", RunFolder(folder / "run"), folder / "ledger", again, said.append)


def eight_new(asked: Asked) -> str:
    """Eight new prompts to whoever asks for some, else a short answer."""
    if "numbered list" not in asked.text:
        return "Yes."
    return "\n".join(
        f"{at}. {' '.join(f'w{asked.number}{item}{n}' for n in range(8))}?" for at, item in enumerate(ITEMS, 1)
    )


def plan_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "stages" / "plan.json").read_bytes())
    return found


def test_a_plan_of_an_expansion_counts_seeds_new_prompts_and_what_makes_them(tmp_path: Path) -> None:
    said: list[str] = []
    recipe = recipe_for(NOBODY, tmp_path)

    do("plan", sitting(recipe, tmp_path, said))

    found = plan_of(tmp_path)
    assert (found["prompts"], found["held_out"]) == (len(SEEDS) + 20 - 4, 4)
    assert (found["expansion"], found["requests"], found["in_ledger"]) == (3, len(SEEDS) + 20 + 3, 0)
    assert "prompts   19 to train on, 4 held out, new ones by at least 3 requests" in said


def test_of_several_processes_one_writes_the_recipe(tmp_path: Path) -> None:
    one = sitting(recipe_for(NOBODY, tmp_path), tmp_path, [])

    do("plan", replace(one, first=False))
    assert not one.run.recipe.exists()

    do("plan", replace(one, again=True))
    assert one.run.recipe.exists()


def test_a_collection_asks_what_was_planned_and_a_plan_after_it_finds_all_of_it_paid(tmp_path: Path) -> None:
    with served_in_thread(eight_new) as server:
        recipe = recipe_for(server.base_url, tmp_path)
        do("plan", sitting(recipe, tmp_path, []))
        planned = plan_of(tmp_path)

        do("collect", sitting(recipe, tmp_path, []))
        do("plan", sitting(recipe, tmp_path, [], again=True))

        assert len(server.asked) == planned["requests"]
    after = plan_of(tmp_path)
    counts = ("prompts", "held_out", "expansion", "requests")
    assert [after[name] for name in counts] == [planned[name] for name in counts]
    assert after["in_ledger"] == after["requests"]
    assert (after["input_tokens"], after["output_tokens"]) == (0, 0)


@pytest.mark.parametrize("stage", ["plan", "collect"])
@pytest.mark.parametrize(
    ("cut", "wrong"),
    [
        ({"curator": "length", "settings": {"max_wrds": 9}}, r"settings of 'length': unknown field 'max_wrds'"),
        ({"curator": "lenght"}, r"lenght"),
    ],
)
def test_a_cut_that_is_not_usable_is_found_before_anything_is_asked(
    tmp_path: Path, stage: str, cut: dict[str, Any], wrong: str
) -> None:
    with served_in_thread(eight_new) as server:
        recipe = recipe_for(server.base_url, tmp_path, curate=[cut])

        with pytest.raises(InputError, match=wrong):
            do(stage, sitting(recipe, tmp_path, []))

        assert not server.asked


def test_a_change_of_how_answers_are_judged_asks_for_nothing_again(tmp_path: Path) -> None:
    said: list[str] = []
    with served_in_thread(eight_new) as server:
        recipe = recipe_for(server.base_url, tmp_path)
        do("collect", sitting(recipe, tmp_path, said))
        judged = recipe.evaluate.model_copy(update={"bootstrap": 100, "machine_dollars_per_hour": 1.0})

        do("collect", sitting(recipe.model_copy(update={"evaluate": judged}), tmp_path, said))

    assert said[-1] == "collect: up to date"
