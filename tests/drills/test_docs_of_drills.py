from pathlib import Path

import pytest

from spiritsafe.drills.attackers import ASKS, COVERS, PRESETS, SPREADS
from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.people import PEOPLE
from spiritsafe.drills.scenario import Scenario, read_scenario
from spiritsafe.drills.texts.lessons import CAPABILITIES

PAGE = (Path(__file__).parents[2] / "docs" / "how" / "drills.md").read_text(encoding="utf-8")

NAMES = {
    "classes": [one.name for one in PEOPLE],
    "ways of asking": [one.name for one in ASKS],
    "spreads": [one.name for one in SPREADS],
    "covers": [one.name for one in COVERS],
    "presets": [one.name for one in PRESETS],
    "fields of a plan": list(Plan.model_fields),
    "fields of a scenario": list(Scenario.model_fields),
}


@pytest.mark.parametrize("kind", NAMES)
def test_everything_a_scenario_can_name_is_on_the_page(kind: str) -> None:
    assert [name for name in NAMES[kind] if f"`{name}`" not in PAGE and f"`{name} =" not in PAGE] == []


def test_every_capability_is_on_the_page() -> None:
    assert f"({', '.join(one.name for one in CAPABILITIES)})" in PAGE


@pytest.mark.parametrize("preset", [one.name for one in PRESETS if "camouflage" not in one.name])
def test_a_presets_sizes_on_the_page_are_its_plans(preset: str) -> None:
    plan = PRESETS.get(preset).plan
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{preset}` | ") and line.count("|") == 5)

    assert f"| {plan.accounts:,} " in row
    assert f"| {plan.per_day:,.0f}" in row
    assert ("as many behind" in row) == (plan.reserve > 0)


def test_the_scenario_on_the_page_is_one(tmp_path: Path) -> None:
    text = PAGE.split("```toml\n")[1].split("```")[0]
    (tmp_path / "first.toml").write_text(text)

    assert read_scenario(tmp_path / "first.toml").campaign[0].played.accounts == 250
