"""The report stage: everything a run found, as report.json, report.html and the cards.

Reads the stages' summaries and the run's files; writes `report.json`, `report.html`, README.md in each student's folder
and in the dataset folder. The page is made from the JSON alone, so both always say the same. A number that is not known
is null there and "unknown" on the page.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from spiritsafe.distil.answers import BASE, TEACHER
from spiritsafe.distil.card import dataset_card, model_card
from spiritsafe.distil.evaluate import base_title
from spiritsafe.distil.origins import Origins, origins_of
from spiritsafe.distil.pages.report import report_page
from spiritsafe.distil.prompt import row_from_json
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import STAGES, RunFolder, read_lines, stamp, write_bytes, write_json
from spiritsafe.exchanges.index import Spend
from spiritsafe.exchanges.record import Exchange
from spiritsafe.models.secrets import Secret

REPORT_VERSION = 1
FEW_ITEMS = 50

Numbers = dict[str, Any]


def write_report(
    run: RunFolder, recipe: Recipe, *, recipe_path: str, written_at: str, spent: Spend | None = None
) -> Numbers:
    """Write report.json, report.html and the cards of `run`; returns the report.

    Args:
        run, recipe: the run; its evaluate stage is done.
        recipe_path: the recipe as the user named it, for the commands shown.
        written_at: when, in words.
        spent: what the ledger says this recipe's budget paid, billed failures included; None where it was not asked.

    Raises:
        InputError: a stage before has not been run; the message names its command.
        StoreError: the disk did not take a file.
    """
    report = build_report(run, recipe, recipe_path=recipe_path, written_at=written_at, spent=spent)
    write_json(run.report, report)
    write_bytes(run.report_page, report_page(report).encode())
    # Cards are for others: what they show has no place of this machine in it.
    shared = report | {"commands": commands(Path(recipe_path).name, Path(run.root.name))}
    write_bytes(run.dataset / "README.md", dataset_card(shared).encode())
    for student in report["students"]:
        write_bytes(run.root / student["folder"] / "README.md", model_card(shared, student).encode())
    run.finish("report", recipe, {"recovered": report["recovered"], "files": [run.report.name, run.report_page.name]})
    return report


def build_report(
    run: RunFolder, recipe: Recipe, *, recipe_path: str, written_at: str, spent: Spend | None = None
) -> Numbers:
    """The content of report.json; arguments and errors as `write_report`."""
    evaluated, curated, collected = (run.read_summary(stage) for stage in ("evaluate", "curate", "collect"))
    students = [one | {"training": _training(run, one["folder"])} for one in evaluated["students"]]
    trained_on, held_out = _origins(run.collected), _origins(run.held_out_collected)
    stages = _stage_seconds(run, students)
    student = students[-1]
    return {
        "report_version": REPORT_VERSION,
        "name": recipe.name,
        "written_at": written_at,
        "recovered": student["recovered"],
        "teacher": evaluated["teacher"],
        "base": evaluated["base"],
        "student": student,
        "students": students,
        "exchanges": student["exchanges"],
        "dollars": _dollars([trained_on.dollars, held_out.dollars], spent),
        "wall_s": sum(stages.values()),
        "stage_seconds": stages,
        "curve": _curve(run, students),
        "judging": _judging(recipe, evaluated),
        "cuts": _cuts(curated),
        "costs": _costs(collected, trained_on, held_out, spent),
        "check": {"findings": _findings(run)},
        "provenance": _provenance(recipe, trained_on),
        "versions": _versions(),
        "recipe": _shown_recipe(recipe),
        "commands": commands(recipe_path, run.root),
        "sample_counts": evaluated["sample_counts"],
        "samples": _samples(run, evaluated["samples"], student),
        "limits": _limits(recipe, evaluated),
    }


def commands(recipe_path: str, out: Path) -> dict[str, str]:
    """The command of every stage, as it is typed in a shell."""
    tail = f"{shlex.quote(recipe_path)} --out {shlex.quote(str(out))}"
    return {stage: f"spiritsafe distil {stage} {tail}" for stage in STAGES}


def _training(run: RunFolder, folder: str) -> Numbers | None:
    """What the training left in the student's folder, without its loss curve."""
    path = run.root / folder / "train.json"
    if not path.exists():
        return None
    found: Numbers = orjson.loads(path.read_bytes())
    return {key: value for key, value in found.items() if key not in ("loss_curve", "settings")}


def _exchanges(path: Path) -> Iterator[Exchange]:
    return (row_from_json(line).exchange for line in read_lines(path))


def _origins(path: Path) -> Origins:
    return origins_of(_exchanges(path)) if path.exists() else Origins()


def _dollars(answers: Sequence[float | None], spent: Spend | None) -> float | None:
    """What the teacher's answers cost: their own prices, or what the budget paid where billed failures made it more."""
    known = [amount for amount in answers if amount is not None]
    if len(known) < len(answers) or (spent is not None and spent.unknown_prices):
        return None
    return max(sum(known), spent.dollars if spent is not None else 0.0)


def _stage_seconds(run: RunFolder, students: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Wall seconds by stage, of the stages that say."""
    found = {}
    for stage in STAGES:
        path = run.summary(stage)
        took = orjson.loads(path.read_bytes()).get("wall_s") if path.exists() else None
        if stage == "train" and took is None and all(one["training"] for one in students):
            took = sum(one["training"]["seconds"] for one in students)
        if took is not None and stage != "report":
            found[stage] = float(took)
    return found


def _curve(run: RunFolder, students: Sequence[Mapping[str, Any]]) -> list[Numbers]:
    paid = dollars_by_budget(
        _exchanges(run.collected),
        (line["id"] for line in read_lines(run.curated)),
        [one["exchanges"] for one in students],
    )
    keys = ("exchanges", "accuracy", "recovered", "folder")
    return [{key: one[key] for key in keys} | {"dollars": paid[one["exchanges"]]} for one in students]


def dollars_by_budget(
    collected: Iterable[Exchange], kept: Iterable[str], budgets: Sequence[int]
) -> dict[int, float | None]:
    """What one would have paid for the first N kept answers: the price of all answers up to the N-th kept one.

    Answers that were cut are paid for too. None where one of those prices is unknown.

    Args:
        collected: the teacher's exchanges in the order of asking.
        kept: ids of the kept ones, in that order.
        budgets: the numbers N.
    """
    wanted = set(budgets)
    last = {kept_id: number for number, kept_id in enumerate(kept, 1) if number in wanted}
    found: dict[int, float | None] = {}
    total: float | None = 0.0
    for exchange in collected:
        total = None if total is None or exchange.dollars is None else total + exchange.dollars
        if exchange.id in last:
            found[last[exchange.id]] = total
    return {budget: found.get(budget, total) for budget in budgets}


def _judging(recipe: Recipe, evaluated: Mapping[str, Any]) -> Numbers:
    return {
        "verifier": _verifier_words(recipe),
        "items": evaluated["items"],
        "judged": evaluated["judged"],
        "unjudged": evaluated["unjudged"],
        "max_new_tokens": recipe.evaluate.max_new_tokens,
    }


def _verifier_words(recipe: Recipe) -> str:
    section = recipe.evaluate.verifier
    words = [f"kind {section.kind}"]
    words += ["the answer is compared with the known one"] if section.use_expected and section.kind != "regex" else []
    words += ["it has to fit a JSON schema"] if section.json_schema is not None else []
    words += ["every string in it has to occur in the prompt"] if section.grounded else []
    words += ["upper and lower case count as the same"] if section.ignore_case else []
    return ", ".join(words)


def _cuts(curated: Mapping[str, Any]) -> Numbers:
    steps = [
        {"curator": cut["curator"], "reason": reason, "dropped": dropped}
        for cut in curated["cuts"]
        for reason, dropped in cut["reasons"].items()
    ]
    return {"collected": curated["in"], "kept": curated["kept"], "steps": steps}


def _costs(collected: Mapping[str, Any], trained_on: Origins, held_out: Origins, spent: Spend | None) -> Numbers:
    answers = _dollars([trained_on.dollars, held_out.dollars], None)
    failed = collected.get("failed")
    return {
        "training_answers": trained_on.exchanges,
        "held_out_answers": held_out.exchanges,
        "asked": collected.get("asked"),
        "from_ledger": collected.get("from_ledger"),
        "failed": sum(failed.values()) if isinstance(failed, Mapping) else failed,
        "skipped": collected.get("skipped"),
        "input_tokens": trained_on.input_tokens + held_out.input_tokens,
        "output_tokens": trained_on.output_tokens + held_out.output_tokens,
        "dollars": _dollars([trained_on.dollars, held_out.dollars], spent),
        "dollars_answers": answers,
        "dollars_charged": None if spent is None or spent.unknown_prices else spent.dollars,
        "dollars_note": _dollars_note(trained_on.unpriced + held_out.unpriced, answers, trained_on.price_versions),
        "price_versions": trained_on.price_versions,
    }


def _dollars_note(unpriced: int, dollars: float | None, price_versions: Sequence[str]) -> str | None:
    if unpriced:
        return f"{unpriced:,} answers have no known price; give prices in the recipe"
    if dollars is None:
        return "the ledger holds requests without a known price"
    return f"prices from: {', '.join(price_versions)}" if price_versions else None


def _findings(run: RunFolder) -> list[Numbers]:
    path = run.summary("check")
    found = orjson.loads(path.read_bytes()).get("findings", []) if path.exists() else []
    return [{key: one.get(key) for key in ("name", "found", "wanted", "passed")} for one in found]


def _provenance(recipe: Recipe, trained_on: Origins) -> Numbers:
    model = recipe.student.model
    return trained_on.to_json() | {
        "base_model": Path(model).name if Path(model).is_absolute() else model,
        "student_base": base_title(recipe.student),
        "student_system": recipe.student.system,
        "dataset": recipe.prompts.name if recipe.prompts.kind == "datasets" else None,
        "recipe_stamp": stamp("report", recipe),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("spiritsafe", "torch", "transformers", "peft"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _shown_recipe(recipe: Recipe) -> Numbers:
    """The recipe as it may be shown to others: without keys and passwords, files by name and not by their place."""
    shown: Numbers = _shown(recipe.model_dump(exclude_defaults=True))
    return shown


def _shown(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _shown(one, name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one, key) for one in value]
    if isinstance(value, Path) or (key == "model" and isinstance(value, str) and Path(value).is_absolute()):
        return Path(value).name
    return _shown_text(value, key) if isinstance(value, str) else value


def _shown_text(text: str, key: str) -> str:
    if key == "base_url":
        parts = urlsplit(text)
        text = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
    return Secret(None).out_of(text)


def _samples(run: RunFolder, ids: Sequence[str], student: Mapping[str, Any]) -> list[Numbers]:
    """The sample items with the answers of teacher, base and the largest student."""
    names = {TEACHER: TEACHER, BASE: BASE, student["model"]: "student"}
    found: dict[str, Numbers] = {}
    for line in read_lines(run.answers):
        if line["prompt_id"] in ids and line["model"] in names:
            sample = found.setdefault(line["prompt_id"], _empty_sample(line))
            kept = {key: line[key] for key in ("answer", "right", "reason", "finish_reason")}
            sample["answers"][names[line["model"]]] = kept
    return [found[one] for one in ids if one in found]


def _empty_sample(line: Mapping[str, Any]) -> Numbers:
    asked = {key: line[key] for key in ("prompt_id", "prompt", "expected")}
    return asked | {"answers": dict.fromkeys((TEACHER, BASE, "student"))}


def _limits(recipe: Recipe, evaluated: Mapping[str, Any]) -> list[str]:
    limits = [
        "The intervals say how the numbers would vary with other items of the same kind. They leave out how they would "
        "vary with another training seed: one student was trained for each budget.",
        "Recovered capability is about this task and this verifier. It says nothing of what else the teacher can do.",
        "Speeds were measured once, on the machine that ran the evaluation; they depend on the hardware, the batch "
        "size and on what else ran.",
    ]
    if recipe.evaluate.prompts is None:
        limits.append("Held-out items come from the same source as the training prompts. Other prompts can be harder.")
    if recipe.student.layers:
        limits.append(
            "The untrained base is a model from which layers were taken, which by itself breaks it. A small model left "
            "whole would start higher, and its recovered share would be of a smaller gap."
        )
    if recipe.curate and "contamination" not in [cut.curator for cut in recipe.curate]:
        limits.append("The recipe has no contamination cut, so training answers may contain held-out items.")
    if evaluated["judged"] < FEW_ITEMS:
        limits.append(
            f"{evaluated['judged']} items are few: below {FEW_ITEMS}, bootstrap intervals tend to be too narrow."
        )
    return limits
