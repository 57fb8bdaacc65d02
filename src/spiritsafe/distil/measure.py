"""Measures: from judged answers to accuracies, agreement, speed and recovered capability. Pure.

Shares are over the items that could be judged for every model, so that every number is about the same items. Accuracy
and agreement carry Wilson intervals, differences and recovered capability paired bootstrap intervals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spiritsafe.distil.answers import Judged, ModelAnswers
from spiritsafe.distil.json_answers import NOT_JSON, parsed
from spiritsafe.errors import InputError
from spiritsafe.stats.intervals import Interval, paired_difference, recovered, wilson
from spiritsafe.text.normal import squeezed

Numbers = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Precision:
    """How intervals are made: their confidence, the bootstrap's draws and its seed."""

    confidence: float = 0.95
    resamples: int = 10_000
    seed: int = 0


def common_items(models: Sequence[ModelAnswers]) -> list[str]:
    """Ids of the prompts that every model answered with something that could be judged, in the first model's order.

    Raises:
        InputError: there is none.
    """
    items = [
        prompt_id
        for prompt_id in models[0].by_prompt
        if all((one := m.by_prompt.get(prompt_id)) is not None and one.right is not None for m in models)
    ]
    if not items:
        answered = ", ".join(f"{m.model} {len(m.by_prompt)}" for m in models)
        raise InputError(
            f"no held-out item was answered and could be judged for every model (answered: {answered}); "
            "give held-out prompts with known answers, or a verifier that needs none"
        )
    return items


def measured(model: ModelAnswers, items: Sequence[str], precision: Precision) -> Numbers:
    """What one model's answers show by themselves."""
    judged = [model.by_prompt[item] for item in items]
    right = sum(one.right is True for one in judged)
    return {
        "accuracy": as_numbers(wilson(right, len(items), precision.confidence)) | {"right": right, "items": len(items)},
        "truncated": sum(one.given.finish_reason == "length" for one in judged),
        "prompt_tokens_per_item": _mean(one.given.prompt_tokens for one in judged),
        "output_tokens_per_item": _mean(one.given.tokens for one in judged),
        "tokens_per_s": _speed(judged),
    }


def compared(student: ModelAnswers, teacher: ModelAnswers, items: Sequence[str], precision: Precision) -> Numbers:
    """How often the student's answers are like the teacher's, and how far apart the two accuracies are."""
    pairs = [(student.by_prompt[item], teacher.by_prompt[item]) for item in items]
    same_judgement = sum(mine.right == theirs.right for mine, theirs in pairs)
    same_answer = sum(normalised(mine.given.answer) == normalised(theirs.given.answer) for mine, theirs in pairs)
    difference = paired_difference(
        [mine.right is True for mine, _ in pairs],
        [theirs.right is True for _, theirs in pairs],
        **_bootstrap(precision),
    )
    return {
        "agreement": {
            "judgement": as_numbers(wilson(same_judgement, len(items), precision.confidence)),
            "answer": as_numbers(wilson(same_answer, len(items), precision.confidence)),
        },
        "minus_teacher": as_numbers(difference),
    }


def recovered_by(
    student: ModelAnswers, base: ModelAnswers, teacher: ModelAnswers, items: Sequence[str], precision: Precision
) -> Numbers:
    """Recovered capability of `student`, with all that is needed to read it."""
    rights = [[m.by_prompt[item].right is True for item in items] for m in (base, student, teacher)]
    found = asdict(recovered(*rights, **_bootstrap(precision)))
    gap = (sum(rights[2]) - sum(rights[0])) / len(items)
    found["gap"] = {"estimate": gap, "low": found.pop("gap_low"), "high": found.pop("gap_high")}
    return found | {"confidence": precision.confidence, "resamples": precision.resamples, "items": len(items)}


def four_cases(student: ModelAnswers, teacher: ModelAnswers, items: Iterable[str]) -> dict[str, list[str]]:
    """Items by who was right: both, the teacher only, the student only, neither."""
    cases: dict[str, list[str]] = {"both_right": [], "teacher_only": [], "student_only": [], "both_wrong": []}
    names = {(True, True): "both_right", (False, True): "teacher_only", (True, False): "student_only"}
    for item in items:
        mine, theirs = student.by_prompt[item].right is True, teacher.by_prompt[item].right is True
        cases[names.get((mine, theirs), "both_wrong")].append(item)
    return cases


def samples_of(cases: Mapping[str, Sequence[str]], wanted: int = 8) -> list[str]:
    """Up to `wanted` items, one of each case in turn, those in which the two differ first."""
    order = ("teacher_only", "student_only", "both_right", "both_wrong")
    longest = max((len(cases[name]) for name in order), default=0)
    in_turn = [cases[name][place] for place in range(longest) for name in order if place < len(cases[name])]
    return in_turn[:wanted]


def normalised(answer: str) -> str:
    """`answer` without what does not matter to its content: white space, and in JSON the order of fields."""
    value = parsed(answer)
    return squeezed(answer) if value is NOT_JSON else json.dumps(value, sort_keys=True, ensure_ascii=False)


def dollars_per_million(dollars_per_hour: float | None, tokens_per_s: float | None) -> float | None:
    """What a million tokens cost on a machine of that price at that speed; None where one of them is unknown."""
    if dollars_per_hour is None or not tokens_per_s:
        return None
    return dollars_per_hour / (tokens_per_s * 3600) * 1e6


def as_numbers(interval: Interval) -> Numbers:
    """An interval as it is stored."""
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _bootstrap(precision: Precision) -> dict[str, Any]:
    return asdict(precision)


def _mean(counts: Iterable[int | None]) -> float | None:
    known = list(counts)
    return None if not known or None in known else sum(c for c in known if c is not None) / len(known)


def _speed(judged: Sequence[Judged]) -> float | None:
    """Tokens written a second, over the answers for which both are known."""
    known = [(one.given.tokens, one.given.seconds) for one in judged if one.given.tokens and one.given.seconds]
    seconds = sum(took for _, took in known if took)
    return sum(tokens for tokens, _ in known if tokens) / seconds if seconds else None
