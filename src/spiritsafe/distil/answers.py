"""Answers: what every model said to every held-out prompt, judged, one line each in `answers.jsonl`.

Generation is what takes time, so a line also says which weights and settings it came from (`stamp`): an answer of the
same stamp is read back instead of generated again. Judging is cheap and done anew each time, so a changed verifier
needs no new answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.run import read_lines, write_lines
from spiritsafe.distil.verify import Verify
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Exchange

TEACHER = "teacher"
BASE = "base"


@dataclass(frozen=True, slots=True)
class Given:
    """One model's answer to one held-out prompt, before it is judged.

    Attributes:
        prompt_id: of the prompt.
        answer: the text, without reasoning.
        finish_reason: "stop", "length" or the upstream's word.
        tokens, prompt_tokens: written and read; None where not counted.
        seconds: that went into it; None where unknown.
    """

    prompt_id: str
    answer: str
    finish_reason: str
    tokens: int | None = None
    prompt_tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with the verifier's word on it: right, wrong, or not to be judged (None)."""

    given: Given
    right: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """All answers of one model.

    Attributes:
        model: "teacher", "base", or "student-N" for the student of N exchanges.
        stamp: what the answers came from; equal stamps mean equal answers.
        by_prompt: judged answers by prompt id.
    """

    model: str
    stamp: str
    by_prompt: Mapping[str, Judged]


def teacher_given(exchanges: Mapping[str, Exchange]) -> dict[str, Given]:
    """The teacher's exchanges by prompt id, as answers."""
    return {
        prompt_id: Given(
            prompt_id,
            one.answer,
            one.finish_reason,
            one.usage.output_tokens,
            one.usage.input_tokens,
            one.timing.last_byte_s,
        )
        for prompt_id, one in exchanges.items()
    }


def judge(
    model: str, stamp: str, given: Mapping[str, Given], prompts: Iterable[Prompt], verify: Verify
) -> ModelAnswers:
    """The model's answers to `prompts`, judged; prompts it did not answer are left out.

    Raises:
        InputError: a prompt's known answer is not of the verifier's kind.
    """
    judged = {}
    for prompt in prompts:
        if (answer := given.get(prompt.id)) is not None:
            said = verify(prompt, answer.answer)
            judged[prompt.id] = Judged(answer, said.right, said.reason)
    return ModelAnswers(model, stamp, judged)


def write_answers(path: Path, prompts: Sequence[Prompt], models: Iterable[ModelAnswers]) -> int:
    """Write every model's answers to `path`, whole or not at all; returns how many lines.

    Raises:
        StoreError: the disk did not take it.
    """
    return write_lines(path, _lines(prompts, models))


def _lines(prompts: Sequence[Prompt], models: Iterable[ModelAnswers]) -> Iterator[dict[str, Any]]:
    for one in models:
        for prompt in prompts:
            if (judged := one.by_prompt.get(prompt.id)) is not None:
                asked = {"prompt_id": prompt.id, "prompt": prompt.text, "expected": prompt.expected, "model": one.model}
                said = {"right": judged.right, "reason": judged.reason, "stamp": one.stamp}
                yield asked | {key: value for key, value in asdict(judged.given).items() if key != "prompt_id"} | said


def stored(path: Path) -> dict[tuple[str, str], dict[str, Given]]:
    """The answers at `path` by (model, stamp), then by prompt id; empty where there is no file.

    Raises:
        InputError: a line is damaged.
    """
    found: dict[tuple[str, str], dict[str, Given]] = {}
    for line in read_lines(path) if path.exists() else ():
        try:
            given = Given(*(line[name] for name in Given.__dataclass_fields__))
            found.setdefault((line["model"], line["stamp"]), {})[given.prompt_id] = given
        except (KeyError, TypeError):
            raise InputError(
                f"{path}: got line {shown(line)}, wanted an answer; remove the file and evaluate again"
            ) from None
    return found
