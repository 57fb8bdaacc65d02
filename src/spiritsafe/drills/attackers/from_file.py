"""Questions from a file: what a distillation run really asks, so that a student can be trained on what got through."""

from __future__ import annotations

from pathlib import Path

import orjson

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.question import Asks, Question, Questions
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import topics
from spiritsafe.drills.world import World
from spiritsafe.errors import InputError, shown


def _make(plan: Plan, world: World, dice: Dice) -> Questions:
    prompts = _prompts(plan.file or Path())
    about = topics()[0]

    def question(number: int) -> Question:
        return Question("", prompts[number % len(prompts)], about)

    return question


def _prompts(path: Path) -> list[str]:
    """The prompts in the file at `path`.

    Raises:
        InputError: it cannot be read, has no prompts, or a line is not a JSON object with a text as `prompt`.
    """
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read {shown(str(path))}: {error.strerror}; give a file of prompts") from None
    prompts = [_prompt(path, number, line) for number, line in enumerate(lines, 1)]
    if not prompts:
        raise InputError(f"got no prompts in {shown(str(path))}, wanted JSON lines with `prompt`; add some")
    return prompts


def _prompt(path: Path, number: int, line: bytes) -> str:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(prompt, str):
        raise InputError(f'{path}:{number}: got {shown(line[:40])}, wanted {{"prompt": "..."}}; mend that line')
    return prompt


FROM_FILE = Asks("file", "the prompts of a file, in their order", _make)
