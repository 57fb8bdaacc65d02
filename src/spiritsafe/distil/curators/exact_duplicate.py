"""Exact duplicate: rows equal to an earlier row but for white space and the encoding of accents (NFC).

Keeps the first. Memory: about 100 bytes a kept row (a 12-byte digest in a set).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Literal
from unicodedata import normalize

from spiritsafe.distil.curator import Curator, Judged, Surroundings
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Section
from spiritsafe.text.normal import squeezed


class ExactDuplicateSettings(Section):
    """What must be equal: the prompt and its answer, or one of them."""

    over: Literal["both", "prompt", "answer"] = "both"


def _digest(text: str) -> bytes:
    plain = normalize("NFC", squeezed(text))
    return blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _cut(rows: Iterable[CollectedRow], settings: ExactDuplicateSettings, around: Surroundings) -> Iterator[Judged]:
    seen: set[bytes] = set()
    for row in rows:
        prompt = _digest(row.prompt.text) if settings.over != "answer" else b""
        answer = _digest(row.exchange.answer) if settings.over != "prompt" else b""
        key = blake2b(prompt + answer, digest_size=12).digest()
        yield row, f"exact duplicate: {settings.over}" if key in seen else None
        seen.add(key)


EXACT_DUPLICATE = Curator(
    name="exact_duplicate",
    says="rows equal to an earlier one but for white space",
    settings=ExactDuplicateSettings,
    cut=_cut,
    order_free=False,
)
