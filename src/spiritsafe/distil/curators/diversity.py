"""Diversity: of several answers to one prompt, the few that differ most.

Greedy max-min (Gonzalez 1985): the first answer, then again and again the one farthest from all chosen, until `keep`
are chosen or the next is nearer than `min_distance`. Distance is 1 minus the Jaccard similarity of character 5-grams,
so equal answers are at 0 and are never both chosen. Memory: the rows of one prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pydantic import Field

from spiritsafe.distil.curator import Curator, Judged, Surroundings
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Section
from spiritsafe.text.shingles import char_shingles, jaccard


class DiversitySettings(Section):
    """How many answers a prompt may keep, and how far apart they must be (0: merely different)."""

    keep: int = Field(4, ge=1)
    min_distance: float = Field(0.0, ge=0, le=1)


def most_different(texts: Sequence[frozenset[str]], keep: int, min_distance: float) -> list[int]:
    """Indices of at most `keep` of `texts` (shingle sets), in the order chosen; ties go to the earlier text."""
    chosen = [0] if texts else []
    nearest = [1 - jaccard(text, texts[0]) for text in texts]
    while len(chosen) < min(keep, len(texts)):
        best = max(range(len(texts)), key=lambda at: (nearest[at], -at))
        if nearest[best] <= 0 or nearest[best] < min_distance:
            break
        chosen.append(best)
        nearest = [min(old, 1 - jaccard(text, texts[best])) for old, text in zip(nearest, texts, strict=True)]
    return chosen


def _cut(rows: Iterable[CollectedRow], settings: DiversitySettings, around: Surroundings) -> Iterator[Judged]:
    for _, group in groupby(rows, key=lambda row: row.prompt.id):
        samples = list(group)
        if len(samples) == 1:
            yield samples[0], None
            continue
        texts = [char_shingles(row.exchange.answer) for row in samples]
        chosen = set(most_different(texts, settings.keep, settings.min_distance))
        for at, row in enumerate(samples):
            yield row, None if at in chosen else "diversity"


DIVERSITY = Curator(
    name="diversity",
    says="answers beyond the few to a prompt that differ most",
    settings=DiversitySettings,
    cut=_cut,
    order_free=False,
)
