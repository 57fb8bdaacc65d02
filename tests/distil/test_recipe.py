"""One run as one TOML file."""

import copy
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distil.recipe import TemplatePrompts, load, parse
from spiritsafe.errors import InputError

SMALL: dict[str, Any] = {
    "name": "small",
    "teacher": {"endpoint": "openai", "model": "m"},
    "student": {"model": "s"},
    "prompts": {"kind": "jsonl", "path": "p.jsonl"},
    "evaluate": {"held_out": 10, "verifier": {"kind": "exact"}},
}


def with_field(path: str, value: Any) -> dict[str, Any]:
    """SMALL with the dotted `path` set to `value`."""

    raw = copy.deepcopy(SMALL)
    *parents, last = path.split(".")
    here = raw
    for parent in parents:
        here = here.setdefault(parent, {})
    here[last] = value
    return raw


def test_a_short_recipe_is_enough() -> None:
    recipe = parse(SMALL, Path("r.toml"))

    assert recipe.teacher.sampling.escalated == 2 * recipe.teacher.sampling.max_tokens


def test_relative_paths_are_taken_from_the_recipes_folder() -> None:
    recipe = parse(SMALL, Path("/somewhere/r.toml"))

    assert recipe.prompts.path == Path("/somewhere/p.jsonl")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("teacher.temprature", 1, "unknown field 'teacher.temprature'; did you mean 'temperature'"),
        ("nonsense_xyz", 1, "unknown field 'nonsense_xyz'"),
        ("teacher.sampling.max_tokens", -3, "field 'teacher.sampling.max_tokens': got -3"),
        ("budgets", [5, 3], "strictly growing"),
        ("name", "a b", "field 'name'"),
        ("evaluate", {"verifier": {"kind": "exact"}}, "held_out"),
    ],
)
def test_a_bad_field_is_one_line_that_says_what_to_do(field: str, value: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(with_field(field, value), Path("r.toml"))

    message = str(caught.value)
    assert says in message
    assert "\n" not in message


def test_a_template_needs_one_origin_of_records() -> None:
    with pytest.raises(ValueError, match="not both and not neither"):
        TemplatePrompts(kind="template", templates=("{a}",))


def test_a_missing_file_and_broken_toml_are_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read recipe"):
        load(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("a = = 1")
    with pytest.raises(InputError, match="is not TOML"):
        load(bad)
