"""What every curator promises, as functions that raise `BrokenPromise` where it does not hold.

A package that adds a curator tests it by calling `check_curator` with its settings and rows that the cut is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spiritsafe.checks.promise import promise
from spiritsafe.distil.curator import Curator, Judged, Surroundings
from spiritsafe.distil.prompt import CollectedRow, make_prompt, row_to_json
from spiritsafe.distil.recipe import Section
from spiritsafe.exchanges.record import Exchange, Message, Usage


@dataclass(frozen=True, slots=True)
class Case:
    """A curator with settings, surroundings and rows (all rows of a prompt together)."""

    curator: Curator[Any]
    settings: Section
    rows: Sequence[CollectedRow]
    around: Surroundings = field(default_factory=Surroundings)

    def judged(self, rows: Sequence[CollectedRow]) -> list[Judged]:
        """What the curator says of `rows`."""
        return list(self.curator.cut(iter(rows), self.settings, self.around))

    def kept(self, rows: Sequence[CollectedRow]) -> list[CollectedRow]:
        """The rows it keeps of `rows`."""
        return [row for row, reason in self.judged(rows) if reason is None]


def example_row(
    prompt: str,
    answer: str,
    *,
    expected: str | None = None,
    finish_reason: str = "stop",
    sample: int = 0,
    output_tokens: int | None = None,
) -> CollectedRow:
    """A collected row made by hand."""
    asked = make_prompt((Message("user", prompt),), expected)
    exchange = Exchange(
        id=f"{asked.id}-{sample}",
        at=0.0,
        dialect="scripted",
        messages=asked.messages,
        sample=sample,
        answer=answer,
        finish_reason=finish_reason,
        usage=Usage(output_tokens=output_tokens),
    )
    return CollectedRow(asked, exchange)


def gives_back_every_row_in_order_unchanged(case: Case) -> None:
    """A curator judges rows; it neither loses, adds, moves nor changes one."""
    before = [row_to_json(row) for row in case.rows]
    after = [row_to_json(row) for row, _ in case.judged(case.rows)]
    promise(after == before, f"{case.curator.name} gives back every row, in order, unchanged")


def gives_a_reason_for_every_cut(case: Case) -> None:
    """A reason is one nonempty line of at most 100 characters, so that it can be counted and shown."""
    for _, reason in case.judged(case.rows):
        countable = reason is None or (reason.strip() == reason != "" and "\n" not in reason and len(reason) <= 100)
        promise(countable, f"{case.curator.name} gives a short line as a reason", reason)


def cuts_nothing_from_what_it_kept(case: Case) -> None:
    """Cutting again what is left cuts nothing: a cut is a property of the rows, not of a pass."""
    kept = case.kept(case.rows)
    again = [reason for _, reason in case.judged(kept) if reason is not None]
    promise(not again, f"{case.curator.name} cuts nothing from what it kept", again)


def takes_an_empty_stream(case: Case) -> None:
    """No rows give no rows."""
    promise(case.judged([]) == [], f"{case.curator.name} makes no rows of none")


def keeps_its_word_on_order(case: Case) -> None:
    """A curator that says it is order-free keeps the same rows when the rows come in reverse."""
    if case.curator.order_free:
        forward = {row.exchange.id for row in case.kept(case.rows)}
        backward = {row.exchange.id for row in case.kept(list(reversed(case.rows)))}
        promise(forward == backward, f"{case.curator.name} keeps the same rows in any order", forward ^ backward)


PROMISES: tuple[Callable[[Case], None], ...] = (
    gives_back_every_row_in_order_unchanged,
    gives_a_reason_for_every_cut,
    cuts_nothing_from_what_it_kept,
    takes_an_empty_stream,
    keeps_its_word_on_order,
)
"""All of them."""


def check_curator(case: Case) -> None:
    """Check every promise.

    Raises:
        BrokenPromise: one does not hold; the message names curator and promise.
    """
    for holds in PROMISES:
        holds(case)
