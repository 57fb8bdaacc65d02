"""Truncated: answers the teacher did not finish. A student that learns from them learns not to stop."""

from __future__ import annotations

from spiritsafe.distil.curator import Curator, NoSettings, Reason, each_row
from spiritsafe.distil.prompt import CollectedRow

_UNFINISHED = {"length": "truncated", "max_tokens": "truncated", "error": "truncated: broken off"}


def _reason(row: CollectedRow) -> Reason:
    return _UNFINISHED.get(row.exchange.finish_reason)


TRUNCATED = Curator(
    name="truncated",
    says="answers that hit the token limit or broke off (by finish_reason)",
    settings=NoSettings,
    cut=each_row(lambda settings, around: _reason),
)
