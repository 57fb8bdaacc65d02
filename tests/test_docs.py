"""Docs that cannot rot: extensions, fields and commands are in them, what they print exists, links lead somewhere."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from cyclopts import App

from spiritsafe.cli.main import app
from spiritsafe.distil.curators import CURATORS
from spiritsafe.distil.losses import LOSSES
from spiritsafe.distil.prompts import SOURCES
from spiritsafe.guard.detectors import DETECTORS
from spiritsafe.guard.habits import HABITS
from spiritsafe.guard.log.features import COLUMNS
from spiritsafe.guard.policy_file import RuleTable, SegmentTable
from spiritsafe.guard.settings_file import SECTIONS, File
from spiritsafe.models.embedded import rows as embedded_rows
from spiritsafe.models.endpoints import ENDPOINTS
from spiritsafe.wire import DIALECTS

GUARD_TABLES = [one for one in SECTIONS if one is not File]
"""The tables of guard.toml; the page names each by its heading."""

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
CODE = re.compile(r"`+[^`]+`+|^ {4}.*$", re.MULTILINE)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])


def commands(noun: App, words: str = "spiritsafe") -> Iterator[tuple[str, set[str]]]:
    """Every command under `noun` with its options; a noun by itself has none."""
    names = [name for name in noun if not name.startswith("-")]
    yield words, {name for one in noun.assemble_argument_collection() for name in one.names} if not names else set()
    for name in names:
        yield from commands(noun[name], f"{words} {name}")


COMMANDS = dict(commands(app))


def test_the_recipe_page_is_what_its_script_writes() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_recipe_page.py"))["page"]

    assert (REFERENCE / "recipe.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("curators.md", [one.name for one in CURATORS]),
        ("detectors.md", [one.name for one in (*DETECTORS, *HABITS)]),
        ("dialects.md", [one.name for one in DIALECTS]),
        ("endpoints.md", [one.name for one in ENDPOINTS]),
        ("models.md", [one.name for one in embedded_rows()]),
        ("guard-file.md", [name for one in GUARD_TABLES for name in one.model_fields]),
        ("log-format.md", [name for name, _ in COLUMNS]),
        ("losses.md", [one.name for one in LOSSES]),
        ("policy-file.md", [*SegmentTable.model_fields, *RuleTable.model_fields, "mode", "throttle"]),
        ("prompts.md", [kind for section, _ in SOURCES for kind in get_args(section.model_fields["kind"].annotation)]),
    ],
)
def test_every_extension_has_its_place_in_the_reference(page: str, names: list[str]) -> None:
    text = (REFERENCE / page).read_text(encoding="utf-8")

    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_command_has_its_place_in_the_reference() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")

    assert [words for words in COMMANDS if not re.search(rf"`{words}\b", text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_printed_exists_with_its_options(page: Path) -> None:
    wrong = []
    for code in CODE.findall(page.read_text(encoding="utf-8")):
        for words, rest in re.findall(r"\bspiritsafe((?: [a-z][a-z-]*)+)([^`#|\n]*)", code):
            said = f"spiritsafe{words}"
            name = max((one for one in COMMANDS if f"{said} ".startswith(f"{one} ")), key=len)
            is_noun = any(one.startswith(f"{name} ") for one in COMMANDS)
            if (is_noun and name != said) or not set(re.findall(r"--[a-z-]+", rest)) <= COMMANDS[name]:
                wrong.append(said + rest)

    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_named_in_backticks_exists(page: Path) -> None:
    named = re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]+\.\w+)`", page.read_text(encoding="utf-8"))

    assert [name for name in named if not (ROOT / name).exists()] == []
