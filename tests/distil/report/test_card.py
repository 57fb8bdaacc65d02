"""Cards: front matter that the Hub reads back, licences that are known or not stamped, provenance in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.card import dataset_card, hub_name, licence_of_base, model_card, student_licence
from spiritsafe.distil.frontmatter import front_matter, markdown
from spiritsafe.distil.pages.markup import visible
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.report import build_report
from spiritsafe.distil.run import RunFolder
from spiritsafe.exchanges.record import Source

yaml = pytest.importorskip("yaml")
Finished = Callable[..., tuple[RunFolder, Recipe]]

HOSTILE = 'a "quoted": {name}\n---\nlicense: mit # [x](http://evil) <b>\u2028\x85\ufeff'


def report_of(finished_run: Finished, **changes: Any) -> dict[str, Any]:
    run, recipe = finished_run(**changes)
    return build_report(run, recipe, recipe_path="recipe.toml", written_at="now")


def head_of(card: str) -> dict[str, Any]:
    head = card.split("---\n")[1]
    loaded: dict[str, Any] = yaml.safe_load(head)
    return loaded


plain = st.text() | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(-1e9, 1e9)
trees = st.recursive(
    plain,
    lambda inner: st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def seen(value: Any) -> Any:
    """The value with what YAML cannot hold written out."""
    if isinstance(value, dict):
        return {seen(key): seen(one) for key, one in value.items()}
    if isinstance(value, list):
        return [seen(one) for one in value]
    return re.sub("[\ufffe\uffff]", "\ufffd", visible(value)) if isinstance(value, str) else value


@given(st.dictionaries(st.text(min_size=1, max_size=8), trees, max_size=4))
def test_front_matter_reads_back_as_what_was_written(values: dict[str, Any]) -> None:
    text = front_matter(values)
    body = text.removeprefix("---\n").removesuffix("---\n")

    assert len(text) - len(body) == 8
    assert "\n---" not in body
    loaded = yaml.safe_load(body) or {}
    assert loaded == seen(values)


def test_lists_of_mappings_and_missing_values_are_written_as_yaml_has_them() -> None:
    values = {"a": [{"b": 1, "c": ["x"]}, {"d": {"e": None, "f": 2.5}}], "g": None, "h": [], "i": {}}

    assert yaml.safe_load(front_matter(values).strip("-\n")) == {
        "a": [{"b": 1, "c": ["x"]}, {"d": {"f": 2.5}}],
        "h": [],
        "i": {},
    }


@given(st.text())
def test_markdown_from_outside_is_one_line_without_markup(text: str) -> None:
    made = markdown(text)

    assert "\n" not in made
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|#]", made)


def test_the_hub_reads_the_model_card_with_its_results(finished_run: Finished, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    report = report_of(finished_run)
    path = tmp_path / "README.md"
    path.write_text(model_card(report, report["student"]), encoding="utf-8")

    data = hub.ModelCard.load(path).data

    assert data.license == "apache-2.0"
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "distillation" in data.tags
    results = {one.metric_type: one for one in data.eval_results}
    assert results["accuracy"].metric_value == pytest.approx(report["student"]["accuracy"]["estimate"], abs=1e-4)
    assert results["recovered_capability"].metric_args["low"] == pytest.approx(report["recovered"]["low"], abs=1e-4)
    assert hub.metadata_load(path)["model-index"][0]["name"] == "order-fields-160"


def test_the_hub_reads_the_dataset_card(finished_run: Finished, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    path = tmp_path / "README.md"
    path.write_text(dataset_card(report_of(finished_run)), encoding="utf-8")

    data = hub.DatasetCard.load(path).data

    assert data.license == "other"
    assert data.configs[0]["data_files"] == [{"split": "train", "path": "train.jsonl"}]
    assert data.size_categories == ["n<1K"]


def test_the_model_card_says_teacher_terms_intervals_and_commands(finished_run: Finished) -> None:
    report = report_of(finished_run)
    card = model_card(report, report["student"]).replace("\u202f", " ")

    for words in (
        "teacher: smollm2-135m at llama.cpp",
        "fingerprint: sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "terms read on: 2026-11-24",
        "asked: 2026-11-24 to 2026-11-24",
        "95 % interval",
        "spiritsafe distil evaluate recipe.toml --out ",
    ):
        assert words in card
    assert all(limit.split(".")[0] in card for limit in report["limits"])


def test_each_student_gets_its_own_numbers(finished_run: Finished) -> None:
    report = report_of(finished_run)
    names = [head_of(model_card(report, one))["model-index"][0]["name"] for one in report["students"]]

    assert names == ["order-fields-40", "order-fields-80", "order-fields-160"]


def test_the_dataset_card_counts_every_reason(finished_run: Finished) -> None:
    report = report_of(finished_run)
    card = dataset_card(report)

    for step in report["cuts"]["steps"]:
        assert f"| {step['curator']} | {markdown(step['reason'])} | {step['dropped']} |" in card
    assert f"| kept | | {report['cuts']['kept']} |" in card


def test_a_teacher_whose_terms_forbid_it_leaves_the_licence_open_and_its_permission_in_the_card(
    finished_run: Finished,
) -> None:
    source = Source(
        "vendor", "big-1", "big-1-2026", None, "forbids", None, "written consent of 1 May 2026", "2026-11-01"
    )
    report = report_of(finished_run, source=source)
    card = model_card(report, report["student"])

    assert head_of(card)["license"] == "other"
    assert "permission: written consent of 1 May 2026" in card
    assert "written consent of 1 May 2026" in dataset_card(report)


@pytest.mark.parametrize(
    ("base", "terms", "teacher", "identifier"),
    [
        ("Apache-2.0", "open_weights", "Apache-2.0", "apache-2.0"),
        ("Apache-2.0", "permits", None, "apache-2.0"),
        ("Apache-2.0", "open_weights", "MIT", "other"),
        ("Apache-2.0", "open_weights", None, "other"),
        ("Apache-2.0", "unknown", None, "other"),
        ("Apache-2.0", "forbids", None, "other"),
        ("Gemma", "permits", None, "other"),
        (None, "permits", None, "other"),
        (None, "open_weights", "MIT", "other"),
    ],
)
def test_a_licence_is_stamped_only_where_it_is_known(
    base: str | None, terms: str, teacher: str | None, identifier: str
) -> None:
    found = student_licence(base, terms, teacher)

    assert found.identifier == identifier
    assert found.why


def test_licences_of_bases_come_from_the_tables_and_are_unknown_elsewhere() -> None:
    assert licence_of_base("smollm2-135m") == "Apache-2.0"
    assert licence_of_base("Qwen/Qwen3-8B") == "Apache-2.0"
    assert licence_of_base("somebody/their-finetune") is None
    assert licence_of_base("/models/mine") is None


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("mine", None),
        ("/models/x", None),
        ("./models/x", None),
        ("../x", None),
    ],
)
def test_base_model_is_a_name_of_the_hub_or_left_out(model: str, name: str | None) -> None:
    assert hub_name(model) == name


def test_hostile_words_stay_inside_their_place(finished_run: Finished) -> None:
    source = Source(HOSTILE, HOSTILE, HOSTILE, HOSTILE, "unknown", HOSTILE, HOSTILE, "2026-11-01")
    report = report_of(finished_run, source=source)

    for card in (model_card(report, report["student"]), dataset_card(report)):
        assert card.count("\n---\n") == 1
        assert head_of(card)["license"] == "other"
        assert "[x](http" not in card
        assert "\n# " in card
        assert "<b>" not in card


def test_mixed_terms_are_unknown_terms(finished_run: Finished) -> None:
    from spiritsafe.distil.origins import origins_of
    from spiritsafe.exchanges.record import Exchange

    one = Exchange("1", 0.0, "chat", (), source=Source("a", "m", terms="permits"), dollars=0.1)
    other = replace(one, id="2", at=86_400.0, source=Source("a", "m", terms="forbids"), dollars=None)
    found = origins_of([one, other])

    assert found.to_json()["terms"] == "unknown"
    assert (found.to_json()["first_asked"], found.to_json()["last_asked"]) == ("1970-01-01", "1970-01-02")
    assert (found.dollars, found.unpriced) == (None, 1)
