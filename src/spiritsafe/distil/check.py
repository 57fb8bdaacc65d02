"""The check stage: everything that would waste hours of training, found before it starts.

Reads the kept exchanges, the student's tokenizer and its configuration, and no weights: a student that is too large is
refused before memory is spent on it. Writes `stages/check.json` and `check.html`, where three rows are shown with what
is supervised in colour. A failed finding stops the run with an error that lists it and what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spiritsafe.distil.findings import (
    Finding,
    Inspected,
    answers_come_back,
    budgets_are_met,
    ids_mean_the_same,
    memory_suffices,
    padding_is_not_the_stop_token,
    prompts_carry_no_loss,
    rows_are_whole,
    rows_as_they_are,
    rows_end_with_the_stop_token,
    rows_have_something_to_learn,
    think_tags_as_asked,
)
from spiritsafe.distil.loss import Signal
from spiritsafe.distil.memory import available_bytes, memory_need
from spiritsafe.distil.pages.check import Shown, check_page, shown_row
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.ranks import Ranks
from spiritsafe.distil.recipe import Recipe, Student
from spiritsafe.distil.rows import TokenRow, token_rows, trainable
from spiritsafe.distil.run import RunFolder, write_bytes
from spiritsafe.distil.student import LoadedStudent, outline_student
from spiritsafe.distil.students import kept_rows, white_box_teacher
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.distil.train import loss_of, precision_of
from spiritsafe.errors import InputError
from spiritsafe.models.local import load_outline

SHOWN_ROWS = 3


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """What the check found.

    Attributes:
        findings: in the order they were looked for.
        shown: the rows that `check.html` shows.
        wall_s: seconds it took.
    """

    findings: tuple[Finding, ...]
    shown: tuple[Shown, ...]
    wall_s: float

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that stop the run."""
        return tuple(one for one in self.findings if one.passed is False)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not stop it, with something that one may want to do about them."""
        return tuple(one for one in self.findings if one.passed is None and one.advice)


def check(
    run: RunFolder,
    recipe: Recipe,
    *,
    load: Callable[[Student], LoadedStudent] = outline_student,
    available: Callable[[], float | None] = available_bytes,
    clock: Callable[[], float] = time.monotonic,
) -> CheckSummary:
    """Look at the kept rows as they will be trained on, write what was found, and stop the run if it will not do.

    Until it has passed the stage is not done, whatever an earlier check found.

    Args:
        run, recipe: the run.
        load: gives the student; its shapes are enough.
        available: bytes of memory there are, None where unknown.
        clock: seconds, monotonic.

    Raises:
        InputError: a finding failed, or there is nothing to check; the message lists what failed and what to do.
        StoreError: the page or the summary could not be written.
    """
    began_s = clock()
    run.forget("check")
    rows = kept_rows(run, None)
    model, tokenizer = load(recipe.student)
    summary = inspect(recipe, rows, model, tokenizer, available=available)
    summary = CheckSummary(summary.findings, summary.shown, clock() - began_s)
    write_bytes(run.check_page, check_page(recipe.name, summary.findings, summary.shown).encode())
    if summary.failed:
        raise InputError(f"check failed: {'; '.join(map(told, summary.failed))}; see {run.check_page}")
    found = [asdict(one) for one in summary.findings]
    run.finish("check", recipe, {"findings": found, "wall_s": round(summary.wall_s, 3)})
    return summary


def told(finding: Finding) -> str:
    """The finding as part of a line."""
    return f"{finding.name}: {finding.found}, wanted {finding.wanted}: {finding.advice}"


def inspect(
    recipe: Recipe,
    rows: Sequence[CollectedRow],
    model: Any,
    tokenizer: Any,
    *,
    available: Callable[[], float | None] = available_bytes,
) -> CheckSummary:
    """The findings about `rows` for a student or its outline, and three rows as they are supervised."""
    template, signal = ChatTemplate(tokenizer), loss_of(recipe.train).signal
    teacher, teacher_template = white_box_teacher(recipe, signal, tokenizer, load_outline)
    tokens = token_rows(
        rows,
        template,
        recipe.student,
        max_length=recipe.train.max_length,
        signal=signal,
        teacher_template=teacher_template,
    )
    seen = Inspected(rows, tokens, template, recipe)
    findings = [
        rows_as_they_are(seen),
        budgets_are_met(seen, signal),
        rows_are_whole(seen),
        rows_have_something_to_learn(seen),
        rows_end_with_the_stop_token(seen),
        prompts_carry_no_loss(seen),
        answers_come_back(seen),
        think_tags_as_asked(seen),
        padding_is_not_the_stop_token(seen),
        *([ids_mean_the_same(seen, signal)] if signal != "text" else []),
        _memory(seen, model, teacher, available, signal),
    ]
    return CheckSummary(tuple(findings), _rows_to_show(seen), 0.0)


def _memory(
    seen: Inspected, model: Any, teacher: Any, available: Callable[[], float | None], signal: Signal
) -> Finding:
    longest = max((len(row.ids) for row in trainable(seen.tokens, signal)), default=1)
    settings = seen.recipe.train
    half = precision_of(settings, Ranks().device) == "bfloat16"
    need = memory_need(model, settings, longest=longest, vocab=seen.template.vocab, teacher=teacher, half=half)
    wanted_gb = seen.recipe.check.memory_gb
    return memory_suffices(need, available() if wanted_gb is None else wanted_gb * 1e9)


def _rows_to_show(seen: Inspected) -> tuple[Shown, ...]:
    """The shortest row, the middle one and the longest, so that both ends are looked at."""
    by_length = sorted(range(len(seen.tokens)), key=lambda number: len(seen.tokens[number].ids))
    places = dict.fromkeys(by_length[place] for place in (0, (len(by_length) - 1) // 2, len(by_length) - 1))
    return tuple(_show(seen.tokens[number], seen.template) for number in list(places)[:SHOWN_ROWS])


def _show(row: TokenRow, template: ChatTemplate) -> Shown:
    return shown_row(row.exchange, [int(one) for one in row.ids], row.start, row.truncated, template)
