"""Near-duplicate: rows that nearly repeat an earlier one, by MinHash (Broder 1997) and verified Jaccard similarity.

Similarity is the Jaccard index of word n-grams. With `over = "both"`, the default, a row is cut only if its prompt and
its answer each are near to those of one and the same earlier row: several different answers to one prompt stay, and so
do equal short answers to different prompts. Keeps the first.

Limits: prompts of a template whose records are a small part of the text are near to one another, so raise `threshold`
there; of pairs exactly at the threshold up to 5 % are missed, of closer ones fewer. Memory: see `text.minhash`; about
4 KB a kept row of 150 words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from pydantic import Field

from spiritsafe.distil.curator import Curator, Judged, Surroundings
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Section
from spiritsafe.text.minhash import NearIndex
from spiritsafe.text.normal import words

_BLOCK_ROWS = 256


class NearDuplicateSettings(Section):
    """What must be near, how near (Jaccard), and over word n-grams of what length."""

    over: Literal["both", "prompt", "answer"] = "both"
    threshold: float = Field(0.8, gt=0, le=1)
    words: int = Field(3, ge=1, le=13)


def _cut(rows: Iterable[CollectedRow], settings: NearDuplicateSettings, around: Surroundings) -> Iterator[Judged]:
    index = NearIndex(settings.threshold, parts=2 if settings.over == "both" else 1, n=settings.words)
    coming = iter(rows)
    while block := list(islice(coming, _BLOCK_ROWS)):
        found = index.place([_parts(row, settings.over) for row in block])
        for row, near in zip(block, found, strict=True):
            yield row, None if near is None else f"near duplicate: {settings.over}"


def _parts(row: CollectedRow, over: str) -> list[list[str]]:
    texts = {"prompt": row.prompt.text, "answer": row.exchange.answer}
    return [words(text) for name, text in texts.items() if over in (name, "both")]


NEAR_DUPLICATE = Curator(
    name="near_duplicate",
    says="rows that nearly repeat an earlier one (MinHash, verified)",
    settings=NearDuplicateSettings,
    cut=_cut,
    order_free=False,
)
