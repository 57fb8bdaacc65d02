"""RunFolder: the plain files of one run, and which stage is up to date.

Every stage reads files and writes files here. A stage that finishes leaves `stages/NAME.json` with a stamp: the hash of
the parts of the recipe that it and the stages before it depend on. A stage whose stamp still holds is not done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.distil.recipe import Recipe
from spiritsafe.errors import InputError, StoreError, shown

HELD_OUT = ("evaluate.prompts", "evaluate.held_out", "evaluate.seed")
"""What decides which prompts are held out; the rest of the section is about judging the answers."""

ASKED = (
    "teacher.endpoint",
    "teacher.model",
    "teacher.base_url",
    "teacher.dialect",
    "teacher.terms",
    "teacher.permission",
    "teacher.sampling",
    "teacher.system",
    "teacher.shots",
    "teacher.samples",
    "teacher.extra_body",
)
"""What decides an answer and on which terms it is had; the rest is about what asking costs and how it is done."""

STAGES: dict[str, tuple[str, ...]] = {
    "plan": ("teacher", "prompts", *HELD_OUT, "budget", "student.model", "student.layers"),
    "collect": (*ASKED, "prompts", *HELD_OUT),
    "curate": ("curate",),
    "check": ("student", "train", "check", "budgets"),
    "train": ("student", "train", "budgets"),
    "evaluate": ("student", "evaluate"),
    "report": ("name", "budget", "teacher"),
}
"""Stages in order, with what of the recipe each depends on besides what the stages before it do, the plan left out.

A section by its name, or one field of it as section.field. The report shows the whole recipe.
"""


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder. Nothing outside this class spells a file name."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The recipe as it was last run, in full."""
        return self.root / "recipe.json"

    @property
    def prompts(self) -> Path:
        """Training prompts, one `Prompt` a line."""
        return self.root / "prompts.jsonl"

    @property
    def held_out(self) -> Path:
        """Evaluation prompts, one `Prompt` a line."""
        return self.root / "held_out.jsonl"

    @property
    def collected(self) -> Path:
        """The teacher's answers: exchange lines, each with a `prompt` key (id, expected)."""
        return self.root / "collected.jsonl"

    @property
    def held_out_collected(self) -> Path:
        """The teacher's answers to the held-out prompts: the same lines."""
        return self.root / "held_out_collected.jsonl"

    @property
    def curated(self) -> Path:
        """What is kept to train on: the same lines."""
        return self.root / "curated.jsonl"

    @property
    def dropped(self) -> Path:
        """What was cut: exchange id, curator, reason."""
        return self.root / "dropped.jsonl"

    @property
    def dataset(self) -> Path:
        """The dataset folder in the Hub's layout: train.jsonl and README.md (the dataset card)."""
        return self.root / "dataset"

    @property
    def check_page(self) -> Path:
        """Three rows rendered with what is supervised in colour."""
        return self.root / "check.html"

    @property
    def answers(self) -> Path:
        """Every model's answer to every held-out prompt, one line each."""
        return self.root / "answers.jsonl"

    @property
    def report_page(self) -> Path:
        """The report as one HTML file."""
        return self.root / "report.html"

    @property
    def report(self) -> Path:
        """The report as JSON."""
        return self.root / "report.json"

    def student(self, budget: int, budgets: tuple[int, ...]) -> Path:
        """Folder of the student trained on `budget` exchanges: `student` for the largest, else `students/BUDGET`."""
        return self.root / "student" if not budgets or budget == max(budgets) else self.root / "students" / str(budget)

    def summary(self, stage: str) -> Path:
        """What `stage` found and the stamp it finished with."""
        return self.root / "stages" / f"{stage}.json"

    def finish(self, stage: str, recipe: Recipe, summary: Mapping[str, Any]) -> None:
        """Record that `stage` is done for `recipe`, with its summary."""
        write_json(self.summary(stage), {"stage": stage, "stamp": stamp(stage, recipe), **summary})

    def forget(self, stage: str) -> None:
        """Take back that `stage` is done."""
        self.summary(stage).unlink(missing_ok=True)

    def read_summary(self, stage: str) -> dict[str, Any]:
        """The summary `stage` left.

        Raises:
            InputError: the stage has not been run; the message names the command.
        """
        path = self.summary(stage)
        if not path.exists():
            raise InputError(f"{shown(str(self.root))} has no {stage} stage yet; run  spiritsafe distil {stage}  first")
        loaded: dict[str, Any] = orjson.loads(path.read_bytes())
        return loaded

    def is_current(self, stage: str, recipe: Recipe) -> bool:
        """Whether `stage` was finished for a recipe that asks for the same."""
        path = self.summary(stage)
        return path.exists() and orjson.loads(path.read_bytes()).get("stamp") == stamp(stage, recipe)


def stamp(stage: str, recipe: Recipe) -> str:
    """Hash of all of the recipe that decides what `stage` produces: its own part and those of the stages before it."""
    order = list(STAGES)
    parts: set[str] = set()
    for name in order[: order.index(stage) + 1]:
        parts |= set(STAGES[name]) if name != "plan" or stage == "plan" else set()
    wanted = recipe.model_dump(mode="json", include=_sections(parts))
    return blake2b(json.dumps(wanted, sort_keys=True).encode(), digest_size=16).hexdigest()


def _sections(parts: Iterable[str]) -> dict[str, Any]:
    """`parts` as pydantic's `include`: a section's name with its fields, or with True where it is wanted whole."""
    wanted: dict[str, Any] = {}
    for part in sorted(parts):  # a section comes before its fields
        section, _, field = part.partition(".")
        if not field:
            wanted[section] = True
        elif wanted.get(section) is not True:
            wanted.setdefault(section, set()).add(field)
    return wanted


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON to `path`, whole or not at all.

    Raises:
        StoreError: the disk did not take it.
    """
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all: a temporary file beside it, synced, then renamed.

    Raises:
        StoreError: the disk did not take it.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise _unwritten(path, part, error) from None


def _unwritten(path: Path, part: Path, error: OSError) -> StoreError:
    with suppress(OSError):
        part.unlink()
    return StoreError(f"cannot write {shown(str(path))}: {error.strerror}; make room or give another --out")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write `rows` as JSON lines to `path`, whole or not at all, holding one row in memory; returns how many.

    Raises:
        StoreError: the disk did not take it.
    """
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for row in rows:
                file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
                count += 1
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise _unwritten(path, part, error) from None
    return count


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of the lines of `path`.

    Raises:
        InputError: the file is missing, or a line is not a JSON object; the message names the line.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise InputError(f"{path}:{number}: not JSON ({error}); mend or remove the line") from None
                if not isinstance(row, dict):
                    raise InputError(f"{path}:{number}: got {shown(row)}, wanted a JSON object a line")
                yield row
    except OSError as error:
        raise InputError(
            f"cannot read {shown(str(path))}: {error.strerror}; run the stage that writes it first"
        ) from None
