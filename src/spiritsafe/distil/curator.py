"""Curator: one cut through the collected answers. It keeps a row or gives a reason, and never changes one.

A curator reads rows in order (all rows of a prompt stand together) and gives back every one of them, in that order,
each with None for "keep" or with the reason it is cut for. Reasons are short and from a small set, since the report
counts them: "truncated", "refusal: i cannot". Pure: what a cut needs besides the rows comes in `Surroundings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from spiritsafe.distil.prompt import CollectedRow, Prompt
from spiritsafe.distil.recipe import Section

S = TypeVar("S", bound=Section)

Reason: TypeAlias = str | None
"""Why a row is cut; None keeps it."""

Judged: TypeAlias = tuple[CollectedRow, Reason]


def _none_held_out() -> Iterable[Prompt]:
    return ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What cuts may look at besides the rows.

    Attributes:
        held_out: gives the evaluation prompts, each time from the first.
    """

    held_out: Callable[[], Iterable[Prompt]] = _none_held_out


Cutter: TypeAlias = Callable[[Iterable[CollectedRow], S, Surroundings], Iterator[Judged]]


class NoSettings(Section):
    """For a cut with nothing to set."""


@dataclass(frozen=True)
class Curator(Generic[S]):
    """One kind of cut.

    Attributes:
        name: the word in recipes, reports and docs.
        says: what it cuts, as one phrase.
        settings: the class of its settings, defaults included.
        cut: the stream from rows to judged rows.
        order_free: whether the rows kept are the same in whatever order rows come (prompts' rows staying together).
    """

    name: str
    says: str
    settings: type[S]
    cut: Cutter[S]
    order_free: bool = True


def each_row(prepare: Callable[[S, Surroundings], Callable[[CollectedRow], Reason]]) -> Cutter[S]:
    """A cut that judges every row by itself. `prepare` is called once a stream and gives the judge of one row."""

    def cut(rows: Iterable[CollectedRow], settings: S, around: Surroundings) -> Iterator[Judged]:
        judge = prepare(settings, around)
        for row in rows:
            yield row, judge(row)

    return cut
