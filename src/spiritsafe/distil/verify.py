"""Verifiers: whether an answer is right. Used by curation and by evaluation alike.

`verifier_for` turns the recipe's `Verifier` into a function of a prompt and an answer. Pure, except that "function"
imports the user's function. Reasons are short and from a small set, since reports count them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from spiritsafe.distil import json_answers
from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import Verifier
from spiritsafe.errors import InputError, shown
from spiritsafe.text.normal import folded
from spiritsafe.text.numbers import last_number, near


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an answer is right (None: it cannot be judged) and why not, in a few words fit for counting."""

    right: bool | None
    reason: str = ""


Verify: TypeAlias = Callable[[Prompt, str], Judgement]

RIGHT = Judgement(True)
UNKNOWN = Judgement(None, "no known answer")


def verifier_for(section: Verifier) -> Verify:
    """The check `section` describes.

    Raises:
        InputError: a setting its kind needs is missing or unusable; later, from the check itself, a prompt whose known
            answer is not of the kind (no number in it, not JSON).
    """
    return dict(KINDS)[section.kind](section)


def _known(section: Verifier, prompt: Prompt) -> str | None:
    return prompt.expected if section.use_expected else None


def _bad_known(prompt: Prompt, wanted: str) -> InputError:
    return InputError(
        f"prompt {prompt.id}: got known answer {shown(prompt.expected)}, wanted {wanted}; "
        "mend the prompt, choose another verifier kind, or set use_expected = false"
    )


def _exact(section: Verifier) -> Verify:
    fold = folded if section.ignore_case else str

    def verify(prompt: Prompt, answer: str) -> Judgement:
        known = _known(section, prompt)
        if known is None:
            return UNKNOWN
        return RIGHT if fold(answer).strip() == fold(known).strip() else Judgement(False, "exact: differs")

    return verify


def _numeric(section: Verifier) -> Verify:
    def verify(prompt: Prompt, answer: str) -> Judgement:
        known = _known(section, prompt)
        if known is None:
            return UNKNOWN
        wanted, came = last_number(known), last_number(answer)
        if wanted is None:
            raise _bad_known(prompt, "a number in it")
        if came is None:
            return Judgement(False, "numeric: no number")
        return _numbers_agree(came, wanted, section.tolerance)

    return verify


def _numbers_agree(came: Fraction, wanted: Fraction, tolerance: float) -> Judgement:
    return RIGHT if near(came, wanted, tolerance) else Judgement(False, "numeric: differs")


def _json(section: Verifier) -> Verify:
    violation = json_answers.schema_check(section.json_schema) if section.json_schema is not None else None

    def problem(prompt: Prompt, came: Any) -> str | None:
        known = _known(section, prompt)
        if known is not None:
            wanted = json_answers.parsed(known)
            if wanted is json_answers.NOT_JSON:
                raise _bad_known(prompt, "JSON")
            if difference := json_answers.difference(came, wanted, section.tolerance, section.ignore_case):
                return difference
        if violation is not None and (broken := violation(came)):
            return broken
        if section.grounded:
            return json_answers.ungrounded(came, prompt.text, section.json_schema or {}, section.ignore_case)
        return None

    def verify(prompt: Prompt, answer: str) -> Judgement:
        came = json_answers.parsed(answer)
        wrong = "not JSON" if came is json_answers.NOT_JSON else problem(prompt, came)
        return Judgement(False, f"json: {wrong}") if wrong else RIGHT

    return verify


def _regex(section: Verifier) -> Verify:
    if section.pattern is None:
        raise InputError("verifier kind 'regex' got no pattern; add  pattern = '...'")
    try:
        pattern = re.compile(section.pattern, re.IGNORECASE if section.ignore_case else 0)
    except re.error as error:
        raise InputError(
            f"verifier pattern {shown(section.pattern)} is not a regular expression ({error}); mend it"
        ) from None
    return lambda prompt, answer: RIGHT if pattern.search(answer) else Judgement(False, "regex: no match")


def _function(section: Verifier) -> Verify:
    judge = _imported(section.function)

    def verify(prompt: Prompt, answer: str) -> Judgement:
        try:
            return _as_judgement(judge(prompt, answer, _known(section, prompt)))
        except Exception as error:  # a user's check that trips over one answer must not end the run
            return Judgement(False, f"function: raised {type(error).__name__}")

    return verify


def _as_judgement(said: Any) -> Judgement:
    if isinstance(said, Judgement):
        return said
    if said is None:
        return Judgement(None, "function: undecided")
    return RIGHT if bool(said) else Judgement(False, "function: wrong")


def _imported(name: str | None) -> Callable[[Prompt, str, str | None], Any]:
    module_name, _, attribute = (name or "").partition(":")
    if not module_name or not attribute:
        raise InputError(f"verifier function: got {shown(name)}, wanted 'package.module:name'")
    try:
        found: Any = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"verifier function {shown(name)} cannot be imported ({error}); install or mend the module"
        ) from None
    if not callable(found):
        raise InputError(f"verifier function {shown(name)} is {type(found).__name__}, wanted a function")
    called: Callable[[Prompt, str, str | None], Any] = found
    return called


KINDS: tuple[tuple[str, Callable[[Verifier], Verify]], ...] = (
    ("exact", _exact),
    ("numeric", _numeric),
    ("json", _json),
    ("regex", _regex),
    ("function", _function),
)
"""Every kind a recipe may name, with what builds its check."""
