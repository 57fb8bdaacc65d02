"""The table [watch] of guard.toml: what it says, what it may not say, and that nothing watches without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spiritsafe.errors import InputError
from spiritsafe.guard.settings import Settings, WatchSettings, settings_from_json, settings_to_json
from spiritsafe.guard.settings_file import STARTING_TEXT, read_settings
from spiritsafe.guard.watch.watch import Levels

UPSTREAM = '[[upstream]]\nname = "up"\nurl = "http://127.0.0.1:9/v1"\n'


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "guard.toml").write_text(text)
    return read_settings(folder / "guard.toml")


def test_without_the_table_nothing_watches(tmp_path: Path) -> None:
    assert settings_of(tmp_path, UPSTREAM).watch == WatchSettings()
    assert settings_of(tmp_path, STARTING_TEXT).watch.reference == ""


def test_levels_are_those_of_a_watch_unless_they_are_given(tmp_path: Path) -> None:
    watch = settings_of(tmp_path, UPSTREAM + '[watch]\nreference = "ordinary"\n').watch
    assert watch.reference == str(tmp_path / "ordinary")
    assert Levels(watch.request, watch.account, watch.campaign, watch.account_fdr) == Levels()

    table = '[watch]\nreference = "/etc/ordinary"\nrequest = 0.01\naccount = 0.02\ncampaign = 0.05\n'
    assert settings_of(tmp_path, UPSTREAM + table).watch == WatchSettings("/etc/ordinary", 0.01, 0.02, 0.05)


def test_the_first_file_shows_the_table_as_it_is_by_itself(tmp_path: Path) -> None:
    shown = re.search(r"(?m)^# \[watch\]\n(?:# .+\n)+", STARTING_TEXT)
    assert shown is not None
    table = re.sub(r"(?m)^# ", "", shown[0])
    watch = settings_of(tmp_path, UPSTREAM + table).watch

    assert watch == WatchSettings(str(tmp_path / "reference"))
    assert set(re.findall(r"(?m)^(\w+) =", table)) == {"reference", "request", "account", "campaign"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "field 'watch.reference' is missing"),
        ('reference = ""', "field 'watch.reference'"),
        ('reference = "r"\naccount = 0.0', "field 'watch.account': got 0.0"),
        ('reference = "r"\nrequest = 1.0', "field 'watch.request': got 1.0"),
        ('reference = "r"\ncampaign = "few"', "field 'watch.campaign': got 'few'"),
        ('reference = "r"\nacount = 0.1', "unknown field 'watch.acount'; did you mean 'account'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        settings_of(tmp_path, f"{UPSTREAM}[watch]\n{table}\n")

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_processes_hand_it_to_one_another_as_it_is(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, UPSTREAM + '[watch]\nreference = "ordinary"\naccount = 0.01\n')

    assert settings_from_json(settings_to_json(settings)) == settings
