"""The report's details: what was cut, what it cost, what the check found, who was asked on what terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spiritsafe.distil.pages.markup import Child, Markup, joined, tag
from spiritsafe.distil.pages.parts import bidi, facts, section, table
from spiritsafe.distil.pages.words import UNKNOWN, count, dollars, percent, seconds

Report = Mapping[str, Any]

TERMS = {
    "open_weights": "open weights: the licence allows learning from its answers",
    "permits": "the provider's terms permit it",
    "forbids": "the provider's terms forbid training competing models",
    "unknown": "not known",
}


def cuts_section(report: Report) -> Markup:
    """What was cut and why, reason by reason."""
    cuts = report["cuts"]
    answers = max(1, cuts["collected"] or 0)
    rows: list[list[Child]] = [
        [bidi(one["curator"]), bidi(one["reason"]), count(one["dropped"]), _share(one["dropped"] / answers)]
        for one in cuts["steps"]
    ]
    rows.append(["kept", "", count(cuts["kept"]), _share((cuts["kept"] or 0) / answers)])
    heads = ("Cut", "Reason", "Answers", "Share of all")
    listed = table(f"{count(cuts['collected'])} answers went in", heads, rows, (2,))
    nothing = None if cuts["steps"] else tag("p", "Nothing was cut.", class_="notice")
    intro = "The recipe's cuts, in its order; an answer is counted at the first cut that drops it."
    return section("cuts", "What was cut, and why", intro, nothing, listed, command=report["commands"]["curate"])


def _share(share: float) -> Markup:
    return joined([percent(share, 1), tag("span", class_="share", style=f"width:{min(1.0, share) * 100:.1f}%")])


def costs_section(report: Report) -> Markup:
    """What asking, training and evaluating took."""
    costs = report["costs"]
    asked = [
        ("answers to training prompts", count(costs["training_answers"])),
        ("answers to held-out prompts", count(costs["held_out_answers"])),
        ("asked for in the last sitting", count(costs["asked"])),
        ("found in the ledger, not paid again", count(costs["from_ledger"])),
        ("attempts that failed", count(costs["failed"])),
        ("prompts left without an answer", count(costs["skipped"])),
        ("prompt tokens", count(costs["input_tokens"])),
        ("answer tokens", count(costs["output_tokens"])),
        ("price of the answers", _with_note(dollars(costs["dollars_answers"]), costs["dollars_note"])),
    ]
    if costs["dollars_charged"] is not None:
        asked.append(("charged to this recipe's budget, failures included", dollars(costs["dollars_charged"])))
    times = [(f"{stage} stage", seconds(took)) for stage, took in report["stage_seconds"].items()]
    times.append(("all stages", seconds(report["wall_s"])))
    both = tag(
        "div",
        table("The teacher", ("", "Count"), asked, (1,)),
        table("Time", ("", "Wall time"), times, (1,)),
        class_="pair",
    )
    intro = "Training and held-out answers together. Counts and times are exact for this run and have no interval."
    return section("costs", "What it cost", intro, both, command=report["commands"]["collect"])


def _with_note(text: str, note: str | None) -> Child:
    return joined([text, tag("small", note)]) if note else text


def check_section(report: Report) -> Markup:
    """What the preflight check found."""
    findings = report["check"]["findings"]
    if not findings:
        return section("check", "Checks before training", None, tag("p", "No check is on record.", class_="notice"))
    rows = [[bidi(f["name"]), bidi(f["found"]), bidi(f["wanted"]), _passed(f["passed"])] for f in findings]
    listed = table("Findings", ("Check", "Found", "Wanted", "Result"), rows)
    intro = "Found before any training time was spent."
    return section("check", "Checks before training", intro, listed, command=report["commands"]["check"])


def _passed(passed: bool | None) -> Markup:
    if passed is None:
        return tag("span", "noted", class_="verdict open")
    return (
        tag("span", "✓ passed", class_="verdict right") if passed else tag("span", "✗ failed", class_="verdict wrong")
    )


def provenance_section(report: Report) -> Markup:
    """Who was asked, when, on what terms, and what the student is made from."""
    from_ = report["provenance"]
    pairs: list[tuple[str, Child]] = [
        ("Teacher", bidi(f"{from_['model']} at {from_['endpoint']}")),
        ("Version it answered with", _list(from_["versions"])),
        ("Fingerprint", _list(from_["fingerprints"])),
        ("Terms", TERMS.get(from_["terms"], UNKNOWN)),
        ("Licence", bidi(from_["licence"] or UNKNOWN)),
        ("Permission given in the recipe", _permission(from_)),
        ("Terms read on", from_["terms_as_of"] or UNKNOWN),
        ("Asked on", _asked_on(from_)),
        ("Student made from", bidi(from_["student_base"])),
        ("Recipe", bidi(f"{report['name']}, stamp {from_['recipe_stamp']}")),
        ("Written by", ", ".join(f"{name} {version}" for name, version in report["versions"].items())),
    ]
    shown = json.dumps(report["recipe"], indent=2, ensure_ascii=False)
    recipe = tag("details", tag("summary", "The recipe in full"), tag("pre", shown, tabindex=0))
    intro = "The same facts are in the model card and the dataset card, and on every stored exchange."
    return section("provenance", "Provenance and permission", intro, facts(pairs), recipe)


def _list(values: list[str]) -> Child:
    return joined(tag("div", bidi(value)) for value in values) if values else "not given by the teacher"


def _permission(from_: Report) -> Markup:
    if from_["permission"]:
        return bidi(from_["permission"])
    needless = from_["terms"] in ("open_weights", "permits")
    return bidi("none; the terms need none" if needless else "none")


def _asked_on(from_: Report) -> str:
    first, last = from_["first_asked"], from_["last_asked"]
    if not first:
        return UNKNOWN
    return first if first == last else f"{first} to {last}"


def commands_section(report: Report) -> Markup:
    """Every command of the run, and which numbers it makes."""
    said = {
        "plan": "what the run would take, before asking",
        "collect": "exchanges, failures, tokens, dollars",
        "curate": "cuts and reasons",
        "check": "findings before training",
        "train": "students and training time",
        "evaluate": "accuracy, agreement, recovered capability and their intervals, speed",
        "report": "this page, report.json and the cards",
    }
    pairs = [(said.get(stage, stage), tag("code", command)) for stage, command in report["commands"].items()]
    intro = "Finished stages are not done again and paid answers are not paid again; a stage can be repeated by itself."
    return section("commands", "How to repeat it", intro, facts(pairs))


def limits_section(report: Report) -> Markup:
    """What a reader must not take from this page."""
    listed = tag("ul", *(tag("li", one) for one in report["limits"]), class_="limits")
    return section("limits", "What this report cannot show", None, listed)
