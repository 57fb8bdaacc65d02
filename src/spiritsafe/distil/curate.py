"""The curate stage: run the recipe's chain of cuts over the teacher's answers and count what was cut and why.

Reads `collected.jsonl` (and `held_out.jsonl` for contamination), writes `curated.jsonl` (what is kept, the same lines),
`dropped.jsonl` (exchange, prompt, curator, reason) and `dataset/train.jsonl` (bare prompt and answer as messages), each
whole or not at all. Rows stream: memory is what the chain's curators hold, which each of them states. The dataset card
beside `train.jsonl` is written by whoever calls `curate`, from its summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import orjson
from pydantic import ValidationError

from spiritsafe.distil.curator import Curator, Surroundings
from spiritsafe.distil.curators import CURATORS
from spiritsafe.distil.prompt import CollectedRow, Prompt, prompt_from_json, row_from_json, row_to_json
from spiritsafe.distil.recipe import Cut, Recipe, Section, first_problem
from spiritsafe.distil.run import RunFolder, read_lines
from spiritsafe.errors import InputError
from spiritsafe.exchanges.atomic import replacing

DEFAULT_CHAIN = tuple(
    Cut(curator=name) for name in ("truncated", "refusal", "empty", "exact_duplicate", "contamination")
)
"""The cuts of a recipe that names none."""


@dataclass(frozen=True, slots=True)
class Step:
    """One cut of a chain, its settings checked."""

    curator: Curator[Any]
    settings: Section


@dataclass(slots=True)
class CutSummary:
    """What one cut did: rows that came to it, and how many it cut for each reason."""

    curator: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    came: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> int:
        """Rows that went on."""
        return self.came - self.reasons.total()

    def to_json(self) -> dict[str, Any]:
        """As it is stored; reasons by falling count."""
        counts = dict(sorted(self.reasons.items(), key=lambda pair: (-pair[1], pair[0])))
        settings = dict(self.settings)
        return {"curator": self.curator, "settings": settings, "in": self.came, "kept": self.kept, "reasons": counts}


@dataclass(frozen=True, slots=True)
class CurateSummary:
    """What a chain did: rows in, rows kept, and each cut in the chain's order."""

    came: int
    kept: int
    cuts: tuple[CutSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is stored in the stage's summary."""
        return {"in": self.came, "kept": self.kept, "cuts": [cut.to_json() for cut in self.cuts]}


def chain_of(cuts: tuple[Cut, ...]) -> tuple[Step, ...]:
    """The steps a recipe's `curate` names, or the default chain where it names none.

    Raises:
        InputError: a curator is unknown, or a setting is unknown or not what is wanted.
    """
    return tuple(_step(cut) for cut in cuts or DEFAULT_CHAIN)


def _step(cut: Cut) -> Step:
    curator = CURATORS.get(cut.curator)
    try:
        return Step(curator, curator.settings.model_validate(cut.settings))
    except ValidationError as error:
        raise InputError(f"recipe curate, settings of '{cut.curator}': {first_problem(error)}") from None


Drop = Callable[[CollectedRow, str, str], None]


def run_chain(
    rows: Iterable[CollectedRow], chain: tuple[Step, ...], around: Surroundings, on_drop: Drop
) -> tuple[Iterator[CollectedRow], tuple[CutSummary, ...]]:
    """The rows that pass every step, in order, and the counts, which are complete once the rows are exhausted.

    `on_drop` is called with the row, the curator's name and the reason for each row that is cut.
    """
    summaries = tuple(
        CutSummary(step.curator.name, step.settings.model_dump(mode="json", exclude_defaults=True)) for step in chain
    )
    passing = iter(rows)
    for step, summary in zip(chain, summaries, strict=True):
        passing = _survivors(passing, step, around, summary, on_drop)
    return passing, summaries


def _survivors(
    rows: Iterator[CollectedRow], step: Step, around: Surroundings, summary: CutSummary, on_drop: Drop
) -> Iterator[CollectedRow]:
    for row, reason in step.curator.cut(rows, step.settings, around):
        summary.came += 1
        if reason is None:
            yield row
        else:
            summary.reasons[reason] += 1
            on_drop(row, step.curator.name, reason)


def curate(run: RunFolder, recipe: Recipe) -> CurateSummary:
    """Cut `run`'s collected rows by the recipe's chain and write what is kept and what is not.

    Raises:
        InputError: the collect stage has not been run, a line of it is damaged, or the chain is not usable.
        StoreError: the disk did not take what is written.
    """
    chain = chain_of(recipe.curate)

    def held_out() -> Iterator[Prompt]:
        return (prompt_from_json(line) for line in read_lines(run.held_out))

    with (
        replacing(run.curated) as curated,
        replacing(run.dropped) as dropped,
        replacing(run.dataset / "train.jsonl") as training,
    ):
        rows = (row_from_json(line) for line in read_lines(run.collected))
        kept = 0
        passing, cuts = run_chain(
            rows, chain, Surroundings(held_out), lambda row, name, why: _put(dropped, _drop_line(row, name, why))
        )
        for row in passing:
            _put(curated, row_to_json(row))
            _put(training, _training_line(row))
            kept += 1
    summary = CurateSummary(cuts[0].came, kept, cuts)
    run.finish("curate", recipe, summary.to_json())
    return summary


def _put(file: IO[bytes], line: Mapping[str, Any]) -> None:
    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _drop_line(row: CollectedRow, curator: str, reason: str) -> dict[str, str]:
    return {"id": row.exchange.id, "prompt_id": row.prompt.id, "curator": curator, "reason": reason}


def _training_line(row: CollectedRow) -> dict[str, Any]:
    turns = [{"role": m.role, "content": m.content} for m in row.prompt.messages]
    return {"messages": [*turns, {"role": "assistant", "content": row.exchange.answer}]}
