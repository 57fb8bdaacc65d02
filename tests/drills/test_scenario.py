from pathlib import Path

import pytest
from pydantic import ValidationError

from spiritsafe.drills.attackers import PRESETS
from spiritsafe.drills.scenario import Scenario, read_scenario
from spiritsafe.errors import InputError

GOOD = """
version = 1
name = "first"
seed = 7
days = 2
start = 2026-06-01
volume = 0.02
new_model = { name = "large-3", day = 1 }

[people]
ordinary = 300
nightly_batch = { accounts = 2, rate = 0.5 }

[[campaign]]
name = "north"
preset = "wide_shallow"
scale = 0.01
day = 0.5
follow_ups = 0.5
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_scenario_is_read_with_its_defaults(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, GOOD))

    assert scenario.people["ordinary"].accounts == 300
    assert scenario.people["nightly_batch"].rate == 0.5
    assert scenario.starts_at == 1780272000.0
    assert scenario.ends_at - scenario.starts_at == 2 * 86400
    assert scenario.campaign[0].plan.follow_ups == 0.5
    assert scenario.campaign[0].plan.accounts == PRESETS.get("wide_shallow").plan.accounts
    assert scenario.campaign[0].played.accounts == 250


def test_an_empty_scenario_is_a_world_without_people(tmp_path: Path) -> None:
    assert read_scenario(written(tmp_path, "")) == Scenario()


def test_the_description_says_what_was_planned_and_what_is_played(tmp_path: Path) -> None:
    campaign = read_scenario(written(tmp_path, GOOD)).described()["campaign"][0]

    assert campaign["plan"]["accounts"] == 24_975
    assert campaign["played"]["accounts"] == 250
    assert campaign["scale"] == 0.01


def test_paths_are_taken_from_the_files_own_folder(tmp_path: Path) -> None:
    text = 'prompts = "sets"\n[[campaign]]\nname = "a"\npreset = "pure"\nasks = "file"\nfile = "q.jsonl"\n'
    scenario = read_scenario(written(tmp_path, text))

    assert scenario.prompts == tmp_path / "sets"
    assert scenario.campaign[0].plan.file == tmp_path / "q.jsonl"
    assert str(tmp_path) not in str(scenario.described())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seeds = 1", "did you mean 'seed'"),
        ("days = 0", "days"),
        ("version = 2", "version"),
        ("[people]\nordinery = 3", "unknown customer 'ordinery'"),
        ("[people]\nordinary = -1", "accounts"),
        ("[people]\nordinary = { accounts = 3, speed = 2 }", "speed"),
        ('[[campaign]]\nname = "a"', "preset"),
        ('[[campaign]]\nname = "a"\npreset = "wide"', "unknown preset 'wide'; known: "),
        ('[[campaign]]\nname = "a"\npreset = "pure"\nscale = 2', "scale"),
        ('[[campaign]]\nname = "a"\npreset = "pure"\nfollow_up = 1', "did you mean 'follow_ups'"),
        ('[[campaign]]\nname = "a"\npreset = "pure"\nasks = "nicely"', "unknown asking 'nicely'"),
        ('[[campaign]]\nname = "a"\npreset = "pure"\nspread = "thin"', "unknown spread 'thin'"),
        ('[[campaign]]\nname = "a"\npreset = "pure"\ncover = "fog"\nshare = 0.5', "unknown cover 'fog'"),
        ('[[campaign]]\nname = "a/b"\npreset = "pure"', "name"),
        ('[[campaign]]\nname = "a"\npreset = "pure"\n[[campaign]]\nname = "a"\npreset = "pure"', "same name"),
        ('[[campaign]]\nname = "a"\npreset = "pure"\ncapability = "cooking"', "unknown capability 'cooking'"),
        ("nonsense", "is not TOML"),
    ],
)
def test_an_error_names_the_field_and_what_was_wanted(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match="scenario") as raised:
        read_scenario(written(tmp_path, text))

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read scenario"):
        read_scenario(tmp_path / "none.toml")


def test_a_scenario_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Scenario().seed = 3  # type: ignore[misc]
