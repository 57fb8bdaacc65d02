"""The report: what is in report.json, and that report.html says the same, safely."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distil.pages.report import report_page
from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.report import build_report, commands, dollars_by_budget, write_report
from spiritsafe.distil.run import RunFolder
from spiritsafe.errors import InputError
from spiritsafe.exchanges.index import Spend
from spiritsafe.exchanges.record import Exchange

Finished = Callable[..., tuple[RunFolder, Recipe]]

HOSTILE = "</script><script>alert(1)</script> \" ' & <img src=x onerror=alert(2)> \u202eexe.txt \x00\x1b[31m"
VOID = {"meta", "br", "hr", "img", "col", "link", "input"}


class Page(HTMLParser):
    """Elements, text and attributes of a page; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report_of(finished_run: Finished, **changes: Any) -> dict[str, Any]:
    run, recipe = finished_run(**changes)
    return build_report(run, recipe, recipe_path="recipe.toml", written_at="2026-11-24 04:20 UTC")


def test_the_report_holds_what_was_promised(finished_run: Finished) -> None:
    report = report_of(finished_run)

    assert set(report["recovered"]) >= {"estimate", "low", "high"}
    assert 0 < report["recovered"]["low"] <= report["recovered"]["estimate"] <= report["recovered"]["high"]
    assert {"teacher", "base", "student", "exchanges", "dollars", "wall_s"} <= set(report)
    assert report["exchanges"] == report["student"]["exchanges"] == 160
    assert [one["exchanges"] for one in report["curve"]] == [40, 80, 160]
    assert report["wall_s"] == pytest.approx(190.1 + 3.1 + 186.0 + 51.0)
    assert report["dollars"] == pytest.approx((260 + 60) * 0.0002)
    assert json.loads(json.dumps(report)) == report


def test_the_curve_grows_in_dollars_and_its_last_point_is_the_headline(finished_run: Finished) -> None:
    report = report_of(finished_run)

    paid = [one["dollars"] for one in report["curve"]]
    assert all(first < second for first, second in pairwise(paid))
    assert report["curve"][-1]["recovered"] == report["recovered"]


def test_cuts_add_up_to_what_was_collected(finished_run: Finished) -> None:
    cuts = report_of(finished_run)["cuts"]

    assert cuts["kept"] + sum(step["dropped"] for step in cuts["steps"]) == cuts["collected"] == 260


def test_unknown_prices_are_null_and_unknown_never_zero(finished_run: Finished) -> None:
    report = report_of(finished_run, dollars=None)
    page = Page(report_page(report)).text

    assert report["dollars"] is None
    assert {one["dollars"] for one in report["curve"]} == {None}
    assert report["teacher"]["dollars_per_million_tokens"] is None
    assert "320 answers have no known price; give prices in the recipe" in page
    assert "$0" not in page


def test_a_free_teacher_costs_nothing_and_gets_no_curve_over_dollars(finished_run: Finished) -> None:
    report = report_of(finished_run, dollars=0.0)
    page = Page(report_page(report)).text

    assert report["dollars"] == 0.0
    assert "asking this teacher costs nothing" in page
    assert "$0.00" in page


def test_billed_failures_count_in_the_dollars(finished_run: Finished) -> None:
    run, recipe = finished_run()

    def dollars(spent: Spend | None) -> float | None:
        made = build_report(run, recipe, recipe_path="r.toml", written_at="now", spent=spent)
        found: float | None = made["dollars"]
        return found

    answers = 320 * 0.0002
    assert dollars(None) == pytest.approx(answers)
    assert dollars(Spend(nanodollars=500_000_000, exchanges=320, attempts=9)) == pytest.approx(0.5)
    assert dollars(Spend(nanodollars=10_000_000, exchanges=50)) == pytest.approx(answers), (
        "the rest was in the ledger already"
    )
    assert dollars(Spend(nanodollars=500_000_000, unknown_prices=1)) is None


def test_dollars_of_a_budget_include_what_was_cut_before_its_last_kept_answer() -> None:
    collected = [Exchange(id=str(n), at=0, dialect="chat", messages=(), dollars=1.0) for n in range(10)]
    kept = ["1", "4", "8"]

    assert dollars_by_budget(collected, kept, [1, 2, 3]) == {1: 2.0, 2: 5.0, 3: 9.0}
    assert dollars_by_budget(collected, kept, [5]) == {5: 10.0}
    unpriced = [replace(one, dollars=None) if one.id == "3" else one for one in collected]
    assert dollars_by_budget(unpriced, kept, [1, 2, 3]) == {1: 2.0, 2: None, 3: None}


def test_a_teacher_no_better_than_the_base_is_not_estimable_and_the_page_says_why(finished_run: Finished) -> None:
    report = report_of(finished_run, rights=(0.0, 0.0, 0.0, 0.0, 0.0))
    page = Page(report_page(report)).text

    assert report["recovered"]["estimate"] is None
    assert "not estimable" in page
    assert "which contains 0" in page


def test_the_page_is_one_file_that_loads_and_runs_nothing(finished_run: Finished) -> None:
    text = report_page(report_of(finished_run))
    page = Page(text)

    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags())
    assert "url(" not in text and "@import" not in text  # noqa: PT018 - one fact: the style sheet fetches nothing
    assert not [
        name for _, attrs in page.elements for name in attrs if name in ("src", "href") or name.startswith("on")
    ]
    policy = next(attrs for tag, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    assert str(policy["content"]).startswith("default-src 'none'")


def test_the_page_has_a_heading_for_every_part_and_a_title_in_every_chart(finished_run: Finished) -> None:
    text = report_page(report_of(finished_run))
    page = Page(text)

    assert page.tags().count("h1") == 1
    assert page.tags().count("h2") == page.tags().count("section") == 10
    assert page.tags().count("svg") == page.tags().count("desc") == 4
    labels = [attrs["aria-labelledby"] for tag, attrs in page.elements if tag == "section"]
    assert {attrs.get("id") for tag, attrs in page.elements if tag == "h2"} == set(labels)
    assert [attrs.get("lang") for tag, attrs in page.elements if tag == "html"] == ["en"]


def test_the_page_says_the_numbers_of_the_json_with_their_intervals_and_commands(finished_run: Finished) -> None:
    report = report_of(finished_run)
    page = Page(report_page(report)).text.replace(" %", "%")
    found = report["recovered"]

    assert f"{found['estimate']:.0%}" in page
    assert f"The 95% interval is {found['low']:.0%} to {found['high']:.0%}, on 60 held-out items." in page
    for stage in ("evaluate", "curate", "collect", "check"):
        assert f"Get these numbers again: spiritsafe distil {stage} recipe.toml --out " in page
    for cut in report["cuts"]["steps"]:
        assert cut["reason"] in page


def test_samples_show_failures_and_say_right_and_wrong_in_words(finished_run: Finished) -> None:
    report = report_of(finished_run)
    page = Page(report_page(report)).text

    assert len(report["samples"]) == 8
    verdicts = {sample["answers"]["student"]["right"] for sample in report["samples"]}
    assert verdicts == {True, False}
    assert "✓ right" in page
    assert "✗ wrong" in page
    assert sum(report["sample_counts"].values()) == 60


def hostile_answer(prompt: Prompt) -> str:
    return HOSTILE + "x" * 10_000


def test_text_from_outside_stays_text(finished_run: Finished, a_recipe: Callable[..., Recipe]) -> None:
    teacher = {"endpoint": "my<b>server", "model": HOSTILE, "terms": {"terms": "unknown"}, "permission": HOSTILE}
    student = {"model": "x/<u>y"}
    report = report_of(finished_run, recipe=a_recipe(teacher=teacher, student=student), teacher_says=hostile_answer)
    text = report_page(report)
    page = Page(text)

    assert not {"script", "img", "u", "b"} & set(page.tags())
    assert "<script>alert(1)</script>" in page.text
    assert "\u202e" not in text
    assert "⟨U+202E⟩exe.txt ⟨U+0000⟩⟨U+001B⟩[31m" in page.text


def test_a_very_long_answer_is_cut_with_a_note(finished_run: Finished) -> None:
    text = report_page(report_of(finished_run, teacher_says=hostile_answer))

    assert "x" * 500 not in text
    assert f"{10_000 + len(HOSTILE) - 500:,} more characters, whole in answers.jsonl" in Page(text).text


def test_the_report_shows_no_secret_and_no_place_of_this_machine(
    finished_run: Finished, a_recipe: Callable[..., Recipe]
) -> None:
    teacher = {
        "endpoint": "mine",
        "model": "/home/someone/models/big",
        "base_url": "https://someone:hunter2@example.org/v1?token=abc",
        "dialect": "chat",
        "extra_body": {"auth": "sk-abcdefghijklmnop"},
    }
    run, recipe = finished_run(recipe=a_recipe(teacher=teacher))
    write_report(run, recipe, recipe_path="/home/someone/recipe.toml", written_at="now")
    report = json.loads(run.report.read_bytes())

    shown = json.dumps(report["recipe"]) + (run.root / "student" / "README.md").read_text(encoding="utf-8")
    assert not [secret for secret in ("hunter2", "token=abc", "sk-abc", "/home/someone") if secret in shown]
    assert report["recipe"]["prompts"]["path"] == "orders.jsonl"
    assert report["recipe"]["teacher"]["base_url"] == "https://example.org/v1"


def test_everything_is_written_where_it_belongs(finished_run: Finished) -> None:
    run, recipe = finished_run()
    report = write_report(run, recipe, recipe_path="recipe.toml", written_at="2026-11-24 04:20 UTC")

    assert json.loads(run.report.read_bytes()) == report
    assert run.report_page.read_text(encoding="utf-8") == report_page(report)
    folders = [run.dataset, *(run.root / one["folder"] for one in report["students"])]
    assert all((folder / "README.md").read_text(encoding="utf-8").startswith("---\n") for folder in folders)
    assert run.is_current("report", recipe)


def test_a_run_without_evaluation_says_which_command_is_missing(
    tmp_path: Path, a_recipe: Callable[..., Recipe]
) -> None:
    with pytest.raises(InputError, match="spiritsafe distil evaluate"):
        build_report(RunFolder(tmp_path), a_recipe(), recipe_path="r.toml", written_at="now")


def test_commands_are_quoted_for_a_shell() -> None:
    made = commands("my recipe.toml", Path("runs/a b"))

    assert made["evaluate"] == "spiritsafe distil evaluate 'my recipe.toml' --out 'runs/a b'"
    assert list(made) == ["plan", "collect", "curate", "check", "train", "evaluate", "report"]
