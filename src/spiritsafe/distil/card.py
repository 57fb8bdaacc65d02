"""Cards: README.md of a student and of its dataset, in the Hub's format. Pure: facts in, text out.

A licence is stamped only where it is known: the student's from its base and its teacher, the dataset's not at all,
since the prompts' rights are nobody's to guess. Everything else says `license: other` and why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.distil.frontmatter import front_matter, markdown
from spiritsafe.distil.pages.words import compact, count, dollars, percent, share_with_span, span
from spiritsafe.models.embedded import EMBEDDED, is_embedded
from spiritsafe.models.licences import weights_of

HUB_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc-by-4.0", "cc0-1.0", "unlicense", "isc"}
"""Identifiers the Hub knows that mean the same as the SPDX id; any other licence is named in words."""

HUB_NAMES = {
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "qwen2.5-coder-0.5b": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    "qwen2.5-coder-1.5b": "Qwen/Qwen2.5-Coder-1.5B-Instruct",
}
"""Hub names of the embedded models, for `base_model`."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Licence:
    """What a card may say about a licence: the Hub's identifier ("other" where none is known), its name, and why."""

    identifier: str
    name: str | None
    why: str


def licence_of_base(model: str) -> str | None:
    """SPDX id (or own name) of a base model's licence, where this package knows it."""
    if is_embedded(model):
        return EMBEDDED.get(model).licence
    weights = weights_of(model)
    return None if weights is None else weights.licence


def student_licence(base: str | None, teacher_terms: str, teacher_licence: str | None) -> Licence:
    """The licence of a student's weights, from its base's and from what the teacher's terms ask.

    It is the base's where the teacher's terms permit learning and add no other licence; else it has to be decided by
    a person, and the card says "other".
    """
    if base is None:
        return Licence("other", None, "The licence of the base model is not known to the tool that wrote this card.")
    if teacher_terms not in ("open_weights", "permits"):
        return Licence("other", None, "The teacher's terms do not by themselves permit it; see the permission below.")
    if teacher_terms == "open_weights" and teacher_licence != base:
        theirs = teacher_licence or "not known"
        return Licence(
            "other", None, f"The base is under {base}, the teacher's licence is {theirs}; both have to be met."
        )
    identifier = base.lower()
    if identifier not in HUB_LICENCES:
        return Licence("other", base, f"The base model's licence, {base}.")
    return Licence(identifier, None, f"The base model's licence, {base}; the teacher's terms permit learning from it.")


def hub_name(model: str) -> str | None:
    """The Hub's name of a model, or None where it is a local path or is not known."""
    return HUB_NAMES.get(model) or (model if _HUB_NAME.fullmatch(model) else None)


def model_card(report: Facts, student: Facts) -> str:
    """The README.md of one student.

    Args:
        report: the content of report.json.
        student: one of `report["students"]`.
    """
    from_ = report["provenance"]
    licence = student_licence(licence_of_base(from_["base_model"]), from_["terms"], from_["licence"])
    name = f"{report['name']}-{student['exchanges']}"
    head = {
        "license": licence.identifier,
        "license_name": licence.name,
        "base_model": hub_name(from_["base_model"]),
        "base_model_relation": "finetune" if hub_name(from_["base_model"]) else None,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["distillation", "knowledge-distillation", "spiritsafe"],
        "datasets": [from_["dataset"]] if from_["dataset"] else None,
        "model-index": [{"name": name, "results": [_results(report, student)]}],
    }
    body = [
        f"# {markdown(name)}",
        _in_one_paragraph(report, student),
        "## How it does",
        _evaluation(report, student),
        "## How it was made",
        _making(report, student),
        "## Teacher, terms and permission",
        _provenance(from_),
        "## Licence",
        licence.why,
        "## How to use it",
        _usage(report),
        "## What these numbers cannot show",
        _bullets(report["limits"]),
        "## How to repeat it",
        _commands(report),
    ]
    return front_matter(head) + "\n" + "\n\n".join(body) + "\n"


def _results(report: Facts, student: Facts) -> dict[str, Any]:
    metrics = [_metric("accuracy", "Share of held-out items answered right", student["accuracy"], report)]
    if student["recovered"]["estimate"] is not None:
        metrics.append(_metric("recovered_capability", "Recovered capability", student["recovered"], report))
    items = {"name": f"{report['name']}: held-out items", "type": report["name"]}
    return {"task": {"type": "text-generation", "name": report["name"]}, "dataset": items, "metrics": metrics}


def _metric(kind: str, name: str, interval: Facts, report: Facts) -> dict[str, Any]:
    args = {key: round(interval[key], 4) for key in ("low", "high")} | {"confidence": report["recovered"]["confidence"]}
    return {"type": kind, "name": name, "value": round(interval["estimate"], 4), "args": args}


def _in_one_paragraph(report: Facts, student: Facts) -> str:
    from_ = report["provenance"]
    return (
        f"A model of {compact(student['parameters'])} weights, made from {markdown(from_['student_base'])}, that "
        f"learned one task from {count(student['exchanges'])} answers of {markdown(from_['model'])}. It is asked "
        "without the teacher's instructions and examples."
    )


def _evaluation(report: Facts, student: Facts) -> str:
    confidence = percent(report["recovered"]["confidence"])
    rows = [
        ("teacher, with its instructions", share_with_span(report["teacher"]["accuracy"])),
        ("this student", share_with_span(student["accuracy"])),
        ("untrained base", share_with_span(report["base"]["accuracy"])),
        ("same answer as the teacher", share_with_span(student["agreement"]["answer"])),
    ]
    lines = [f"On {count(student['accuracy']['items'])} held-out items, with {confidence} intervals:", ""]
    lines += ["| | share |", "|---|---|", *(f"| {label} | {value} |" for label, value in rows), ""]
    return "\n".join([*lines, _recovered(student["recovered"], confidence)])


def _recovered(found: Facts, confidence: str) -> str:
    if found["estimate"] is None:
        return f"Recovered capability is not estimable: {found['reason']}."
    return (
        f"Recovered capability, (student − base) / (teacher − base): **{percent(found['estimate'])}** "
        f"({confidence} interval {span(found)}; paired bootstrap, {count(found['resamples'])} resamples)."
    )


def _making(report: Facts, student: Facts) -> str:
    cuts, training = report["cuts"], student.get("training") or {}
    lines = [
        f"- answers collected {count(cuts['collected'])}, kept after curation {count(cuts['kept'])}, "
        f"trained on {count(student['exchanges'])}",
        f"- paid to the teacher for the run: {dollars(report['dollars'])}",
    ]
    if training:
        lines.append(
            f"- loss {markdown(str(training['loss']))}, {count(training['epochs'])} epochs, "
            f"{count(training['tokens'])} tokens read, {training['precision']} on {markdown(str(training['device']))}"
        )
    lines.append(f"- written by {', '.join(f'{name} {version}' for name, version in report['versions'].items())}")
    return "\n".join(lines)


def _provenance(from_: Facts) -> str:
    pairs = (
        ("teacher", f"{from_['model']} at {from_['endpoint']}"),
        ("version", ", ".join(from_["versions"]) or "not given"),
        ("fingerprint", ", ".join(from_["fingerprints"]) or "not given"),
        ("asked", f"{from_['first_asked'] or 'unknown'} to {from_['last_asked'] or 'unknown'}"),
        ("terms", from_["terms"]),
        ("licence", from_["licence"] or "not known"),
        ("permission", from_["permission"] or "none given"),
        ("terms read on", from_["terms_as_of"] or "unknown"),
    )
    return "\n".join(f"- {name}: {markdown(str(value))}" for name, value in pairs)


def _usage(report: Facts) -> str:
    system = report["provenance"]["student_system"]
    turns = [f'{{"role": "system", "content": {system!r}}}'] if system else []
    turns.append('{"role": "user", "content": "..."}')
    return "\n".join(
        [
            "```python",
            "from transformers import pipeline",
            "",
            'ask = pipeline("text-generation", model="path/to/this/folder")',
            f"messages = [{', '.join(turns)}]",
            f"answer = ask(messages, max_new_tokens={report['judging']['max_new_tokens']}, do_sample=False)",
            'print(answer[0]["generated_text"][-1]["content"])',
            "```",
        ]
    )


def _commands(report: Facts) -> str:
    return "\n".join(["```sh", *report["commands"].values(), "```"])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)


def dataset_card(report: Facts) -> str:
    """The README.md of the dataset folder: what the answers are, whose, and what was cut."""
    from_, cuts = report["provenance"], report["cuts"]
    kept = cuts["kept"] or 0
    head = {
        "license": "other",
        "license_name": "see-the-teachers-terms",
        "pretty_name": report["name"],
        "task_categories": ["text-generation"],
        "size_categories": [next((name for limit, name in SIZES if kept < limit), "n>1M")],
        "tags": ["distillation", "synthetic", "spiritsafe"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train.jsonl"}]}],
    }
    dropped = [f"| {markdown(s['curator'])} | {markdown(s['reason'])} | {count(s['dropped'])} |" for s in cuts["steps"]]
    table = ["| cut | reason | answers |", "|---|---|---|", *dropped, f"| kept | | {count(kept)} |"]
    body = [
        f"# {markdown(report['name'])}: answers of {markdown(from_['model'])}",
        f"{count(cuts['collected'])} answers were collected from the teacher, {count(kept)} kept to train on.",
        "## Teacher, terms and permission",
        _provenance(from_),
        "## Licence",
        "None is stamped. The answers are a model's output, on the terms above; the prompts are their authors'.",
        "## What was cut, and why",
        "\n".join(table),
        "## Fields",
        "- `messages`: the bare prompt and the teacher's answer, as turns with `role` and `content`. What else the "
        "teacher saw (instructions, examples) is not in it.",
        "## How to repeat it",
        _commands(report),
    ]
    return front_matter(head) + "\n" + "\n\n".join(body) + "\n"
