"""Verifier: answers that a check finds wrong. Its settings are the recipe's `Verifier`.

A row the check cannot judge (no known answer) is kept. With `use_expected = false` known answers are ignored, which is
what curation amounts to where right answers are not known.
"""

from __future__ import annotations

from collections.abc import Callable

from spiritsafe.distil.curator import Curator, Reason, Surroundings, each_row
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Verifier
from spiritsafe.distil.verify import verifier_for


def _prepare(settings: Verifier, around: Surroundings) -> Callable[[CollectedRow], Reason]:
    verify = verifier_for(settings)

    def judge(row: CollectedRow) -> Reason:
        judgement = verify(row.prompt, row.exchange.answer)
        return f"verifier: {judgement.reason}" if judgement.right is False else None

    return judge


VERIFIER = Curator(
    name="verifier",
    says="answers that a check finds wrong",
    settings=Verifier,
    cut=each_row(_prepare),
)
