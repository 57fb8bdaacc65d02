"""The report page: a pure function of report.json.

One file with its style inside; the content security policy forbids the browser to load or run anything, so the page is
the same offline and cannot be turned against its reader by what a model said.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from spiritsafe.distil.pages.details import (
    check_section,
    commands_section,
    costs_section,
    cuts_section,
    limits_section,
    provenance_section,
)
from spiritsafe.distil.pages.markup import Markup, joined, tag
from spiritsafe.distil.pages.parts import bidi
from spiritsafe.distil.pages.result import accuracy_section, curve_section, hero, running_section
from spiritsafe.distil.pages.samples import samples_section

SECTIONS = (
    curve_section,
    accuracy_section,
    running_section,
    samples_section,
    cuts_section,
    costs_section,
    check_section,
    provenance_section,
    commands_section,
    limits_section,
)
"""The page below its headline, in order."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def report_page(report: Mapping[str, Any]) -> str:
    """The whole page of `report`, the content of report.json."""
    top = tag("header", *_heading(report), class_="top")
    main = tag("main", *(build(report) for build in SECTIONS))
    foot = tag("footer", f"Written {report['written_at']} by spiritsafe {report['versions'].get('spiritsafe', '')}.")
    return "<!doctype html>\n" + tag("html", _head(report["name"]), tag("body", top, main, foot), lang="en") + "\n"


def _head(name: str) -> Markup:
    style = files("spiritsafe.distil.pages").joinpath("report.css").read_text(encoding="utf-8")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Markup(POLICY)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{name}: distillation report"),
        tag("style", Markup(style)),
    )


def _heading(report: Mapping[str, Any]) -> list[Markup]:
    teacher, student = report["teacher"]["name"], report["provenance"]["student_base"]
    items = report["recovered"]["items"]
    lede = joined(
        [
            "What a student made from ",
            bidi(student),
            " learned from the answers of ",
            bidi(teacher),
            f", measured on {items} items that neither training nor curation has seen.",
        ]
    )
    return [
        tag("p", "Spirit Safe distillation report", class_="eyebrow"),
        tag("h1", bidi(report["name"])),
        tag("p", lede, class_="lede"),
        hero(report),
    ]
