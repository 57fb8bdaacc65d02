"""Empty: answers without content: nothing, white space, invisible characters, or a code fence around nothing."""

from __future__ import annotations

import re

from spiritsafe.distil.curator import Curator, NoSettings, Reason, each_row
from spiritsafe.distil.prompt import CollectedRow

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_EMPTY_FENCE = re.compile(r"(```|~~~)(?:[\w+-]*[ \t]*\n)?\s*\1")


def _reason(row: CollectedRow) -> Reason:
    seen = _INVISIBLE.sub("", row.exchange.answer).strip()
    if not seen:
        return "empty"
    return "empty: code fence" if _EMPTY_FENCE.fullmatch(seen) else None


EMPTY = Curator(
    name="empty",
    says="answers without content",
    settings=NoSettings,
    cut=each_row(lambda settings, around: _reason),
)
