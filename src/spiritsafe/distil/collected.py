"""Collected: the teacher's answers as plain lines, in the order of the prompts, taken from the ledger.

The same prompts, recipe and ledger give the same bytes. One row is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from spiritsafe.distil.prompt import CollectedRow, Prompt, row_to_json
from spiritsafe.distil.recipe import Teacher
from spiritsafe.distil.run import write_lines
from spiritsafe.distil.teacher import escalated, key_for, requests_for
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Exchange, Request


def write_collected(path: Path, prompts: Iterable[Prompt], teacher: Teacher, ledger: Ledger) -> int:
    """Write `collected.jsonl` at `path`, whole or not at all; returns how many lines.

    Raises:
        StoreError: the ledger is damaged, or the disk did not take it.
    """
    return write_lines(path, (row_to_json(row) for row in collected_rows(prompts, teacher, ledger)))


def collected_rows(prompts: Iterable[Prompt], teacher: Teacher, ledger: Ledger) -> Iterator[CollectedRow]:
    """Every prompt with every answer there is to it, sample by sample; prompts without an answer are passed over."""
    for prompt in prompts:
        for request in requests_for(teacher, prompt):
            exchange = final_answer(request, teacher, ledger)
            if exchange is not None:
                yield CollectedRow(prompt, exchange)


def final_answer(request: Request, teacher: Teacher, ledger: Ledger) -> Exchange | None:
    """The answer to `request`; where it was cut off and asked for again with a larger limit, the later one."""
    first = ledger.get(key_for(teacher, request))
    if first is None or first.finish_reason != "length":
        return first
    larger = escalated(teacher, request)
    later = None if larger is None else ledger.get(key_for(teacher, larger))
    return first if later is None else later
