"""Prompts from grammars: every {name} is one of the lines of that name, chosen by a seed, until none is left."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).parent / "texts"
FAMILIES = ("repeat", "translate", "encode", "debugger", "system")

_SLOT = re.compile(r"\{(\w+)\}")
_MAYBE = re.compile(r"\[([^\[\]]*)\]")
_BRACES = {"{{": "\u0001", "}}": "\u0002"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and what it is: its family ("repeat", …, "ordinary"), its language, whether it coerces."""

    text: str
    family: str
    language: str
    coerces: bool


def english(family: str, count: int, seed: int, **other: list[str]) -> Iterator[Sample]:
    """`count` different prompts of an English family; `other` rules replace those of the grammar."""
    own = tomllib.loads((TEXTS / f"{family}.toml").read_text(encoding="utf-8"))
    rules = tomllib.loads((TEXTS / "words.toml").read_text(encoding="utf-8")) | own | other
    for text in _different(rules, "prompt", count, random.Random(f"{seed} {family}")):
        yield Sample(text, family, "en", own["coerces"])


def foreign(count: int, seed: int) -> Iterator[Sample]:
    """`count` prompts a kind and language, of the five other languages."""
    for language, rules in tomllib.loads((TEXTS / "languages.toml").read_text(encoding="utf-8")).items():
        for kind in ("coerces", "ordinary"):
            for text in _different(rules, kind, count, random.Random(f"{seed} {language} {kind}")):
                yield Sample(text, "foreign" if kind == "coerces" else "ordinary", language, kind == "coerces")


def rule(name: str) -> list[str]:
    """The lines of `name` that all families share."""
    lines: list[str] = tomllib.loads((TEXTS / "words.toml").read_text(encoding="utf-8"))[name]
    return lines


def _different(rules: dict[str, Any], start: str, count: int, dice: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    for _ in range(20 * count):
        if len(seen) == count:
            return
        text = " ".join(_written(rules, dice.choice(rules[start]), dice).split(" ")).strip()
        if text not in seen:
            seen.add(text)
            yield text


def _written(rules: dict[str, Any], line: str, dice: random.Random) -> str:
    for braces, mark in _BRACES.items():
        line = line.replace(braces, mark)
    if not line.startswith("["):
        line = _MAYBE.sub(lambda found: found[1] if dice.random() < 0.5 else "", line)
    text = _SLOT.sub(lambda found: _slot(rules, found[1], dice), line)
    return text.replace("\u0001", "{").replace("\u0002", "}")


def _slot(rules: dict[str, Any], name: str, dice: random.Random) -> str:
    lines = rules.get(name) or rules[name.lower()]
    text = _written(rules, dice.choice(lines), dice)
    return text[:1].upper() + text[1:] if name not in rules else text
