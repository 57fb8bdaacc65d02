"""Public prompt sets from a folder that the scenario names; none is part of the package.

A file is read where it is there and left out where it is not; a folder without any of them is an error. The names and
fields are those of the sets' own releases, repacked as gzipped JSON lines.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.errors import InputError, shown

MOST_CHARS = 6000
"""A longer prompt is left out: it would be most of a log."""


@dataclass(frozen=True, slots=True)
class PromptSets:
    """Prompts by use; each may be empty, and then the drills' own texts take its place.

    Attributes:
        questions: open questions of people (AlpacaEval, Arena-Hard, MT-Bench, Self-Instruct seeds).
        utterances: what customers say to a support desk, one tuple an intent (CLINC150).
        templates: records of one template each (P3 by way of Self-Instruct).
        problems: (question, answer) of GSM8K and (input, target) of BIG-Bench Hard, one tuple a benchmark.
        names: the files that were there.
    """

    questions: tuple[str, ...] = ()
    utterances: tuple[tuple[str, ...], ...] = ()
    templates: tuple[tuple[str, ...], ...] = ()
    problems: tuple[tuple[tuple[str, str], ...], ...] = ()
    names: tuple[str, ...] = ()


NONE = PromptSets()

_QUESTIONS = (
    ("alpaca_eval_prompts.jsonl.gz", "instruction"),
    ("arena_hard_v01.jsonl.gz", "prompt"),
    ("mt_bench_questions.jsonl.gz", "turns"),
    ("self_instruct_seeds.jsonl.gz", "instruction"),
)
_UTTERANCES = "clinc150.jsonl.gz"
_TEMPLATES = "t0_templates.jsonl.gz"
_PROBLEMS = (("gsm8k_test.jsonl.gz", "question", "answer"), ("bbh.jsonl.gz", "input", "target"))
_FILES = (*(name for name, _ in _QUESTIONS), _UTTERANCES, _TEMPLATES, *(name for name, *_ in _PROBLEMS))


def read_sets(folder: Path) -> PromptSets:
    """The prompt sets in `folder`.

    Raises:
        InputError: none of the files is there, or one cannot be read.
    """
    names = tuple(name for name in _FILES if (folder / name).is_file())
    if not names:
        raise InputError(
            f"got {shown(str(folder))} as folder of prompt sets, wanted one with some of {', '.join(_FILES)}; "
            "leave 'prompts' out of the scenario to play with the drills' own texts"
        )
    return PromptSets(
        questions=tuple(_texts(folder, _QUESTIONS)),
        utterances=_grouped(_rows(folder / _UTTERANCES), "intent", "text"),
        templates=_grouped(_rows(folder / _TEMPLATES), "template", "prompt"),
        problems=tuple(filter(None, (_answered(_rows(folder / name), *keys) for name, *keys in _PROBLEMS))),
        names=names,
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the file at `path`; none where there is no such file."""
    if not path.is_file():
        return
    try:
        with gzip.open(path) as file:
            for line in file:
                yield orjson.loads(line)
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError) as error:
        raise InputError(f"cannot read {shown(str(path))} as gzipped JSON lines: {error}; put it back") from None


def _texts(folder: Path, wanted: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, key in wanted:
        for row in _rows(folder / name):
            text = row.get(key)
            said = text[0] if isinstance(text, list) and text else text
            if isinstance(said, str) and 0 < len(said) <= MOST_CHARS:
                yield said


def _grouped(rows: Iterable[dict[str, Any]], group: str, key: str) -> tuple[tuple[str, ...], ...]:
    """The texts of each group, groups in the order in which they first come."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        if isinstance(row.get(key), str) and len(row[key]) <= MOST_CHARS:
            texts[str(row.get(group))].append(row[key])
    return tuple(map(tuple, texts.values()))


def _answered(rows: Iterable[dict[str, Any]], question: str, answer: str) -> tuple[tuple[str, str], ...]:
    return tuple((row[question], row[answer]) for row in rows if {question, answer} <= row.keys())
