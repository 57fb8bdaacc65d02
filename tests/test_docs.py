"""Docs that cannot rot: every extension, field and command is in them, and every link leads somewhere."""

import re
import runpy
from pathlib import Path

import pytest

from spiritsafe.distil.curators import CURATORS
from spiritsafe.distil.run import STAGES
from spiritsafe.models.embedded import rows as embedded_rows
from spiritsafe.models.endpoints import ENDPOINTS
from spiritsafe.wire import DIALECTS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])


def test_the_recipe_page_is_what_its_script_writes() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_recipe_page.py"))["page"]

    assert (REFERENCE / "recipe.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("curators.md", [one.name for one in CURATORS]),
        ("dialects.md", [one.name for one in DIALECTS]),
        ("endpoints.md", [one.name for one in ENDPOINTS]),
        ("models.md", [one.name for one in embedded_rows()]),
        ("losses.md", ["sequence", "topk_forward_kl", "forward_kl", "reverse_kl", "jsd"]),
        ("commands.md", [f"spiritsafe distil {stage}" for stage in STAGES]),
    ],
)
def test_every_extension_has_its_place_in_the_reference(page: str, names: list[str]) -> None:
    text = (REFERENCE / page).read_text(encoding="utf-8")

    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_named_in_backticks_exists(page: Path) -> None:
    named = re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]+\.\w+)`", page.read_text(encoding="utf-8"))

    assert [name for name in named if not (ROOT / name).exists()] == []
