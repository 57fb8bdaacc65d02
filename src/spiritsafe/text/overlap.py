"""Overlap: whether a text repeats one of a set of items (evaluation prompts), though not merely their template.

Two questions, both over normalised words (`text.normal.words`):

- `quotes`: does the text hold a run of 13 words of an item (Brown et al. 2020, appendix C), or a whole short item of at
  least 6 words?
- `repeats`: is the whole text an item, or, from 11 words on, a short item with one word more or less? A replaced word
  is not a repeat: that is how two records of one template differ.

Items made from a template share its words, so a plain 13-gram rule would find every text of that template guilty. Words
of an item that lie in a run of 5 words found in several items are therefore taken for template (see `template_share`),
and a 13-gram counts only if at least 7 of its words are the item's own. An item without such a 13-gram, being short or
all template, counts as short: the whole-item rules find it.

Pure. Memory: about 200 bytes a word of the items; nothing grows with the texts looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil

from spiritsafe.text.normal import words
from spiritsafe.text.shingles import word_hashes, word_shingles

TEMPLATE_RUN = 5
LEAST_CONTAINED = 6
LEAST_ONE_OFF = 11


class OverlapIndex:
    """The items, ready to be found again in other texts.

    Args:
        items: their texts; equal ones count once.
        n: words in a run that counts as quoting.
        template_share: a run of 5 words is template if it occurs in at least 2 items and in at least this share of all.
    """

    def __init__(self, items: Iterable[str], n: int = 13, template_share: float = 0.01) -> None:
        self.n = n
        # Any n words in a row hold one of a text's runs of this length that start at its multiples.
        self._anchor = (n + 1) // 2
        self._anchors: set[str] = set()
        self._grams: set[int] = set()
        self._whole: set[str] = set()
        self._shortened: set[str] = set()
        self._openings: dict[str, set[str]] = {}
        distinct = [list(own) for own in dict.fromkeys(tuple(words(item)) for item in items) if own]
        template = template_runs(distinct, template_share)
        for own in distinct:
            self._add(own, template)

    def _add(self, own: list[str], template: frozenset[int]) -> None:
        self._whole.add(" ".join(own))
        starts = distinctive_starts(own, self.n, template)
        if not starts:
            self._add_short(own)
            return
        hashes = word_hashes(own, self.n)
        for at in starts:
            self._grams.add(hashes[at])
            self._anchors.update(word_shingles(own[at : at + self.n], self._anchor))

    def _add_short(self, own: list[str]) -> None:
        if LEAST_ONE_OFF <= len(own) < self.n:
            self._shortened.update(_without_one(own))
        if len(own) >= LEAST_CONTAINED:
            self._openings.setdefault(" ".join(own[:LEAST_CONTAINED]), set()).add(" ".join(own))

    def quotes(self, text: str) -> str | None:
        """How `text` quotes an item: "13-gram", "contains an item", or None."""
        own = words(text)
        if self._has_anchor(own) and not self._grams.isdisjoint(word_hashes(own, self.n)):
            return f"{self.n}-gram"
        return "contains an item" if self._openings and self._contains(own) else None

    def _has_anchor(self, own: Sequence[str]) -> bool:
        length = self._anchor
        starts = range(0, len(own) - length + 1, length)
        return any(" ".join(own[at : at + length]) in self._anchors for at in starts)

    def _contains(self, own: Sequence[str]) -> bool:
        for at, opening in enumerate(word_shingles(own, LEAST_CONTAINED)):
            items = self._openings.get(opening)
            if items and any(_begins(own[at:], item.split(" ")) for item in items):
                return True
        return False

    def repeats(self, text: str) -> str | None:
        """How `text` as a whole repeats an item: "equals an item", "one word off an item", or None."""
        own = words(text)
        whole = " ".join(own)
        if whole in self._whole:
            return "equals an item"
        longer = LEAST_ONE_OFF <= len(own) <= self.n and not self._whole.isdisjoint(_without_one(own))
        return "one word off an item" if longer or whole in self._shortened else None


def _begins(own: Sequence[str], item: Sequence[str]) -> bool:
    return list(own[: len(item)]) == list(item)


def _without_one(own: Sequence[str]) -> list[str]:
    return [" ".join([*own[:at], *own[at + 1 :]]) for at in range(len(own))]


def template_runs(items: Sequence[Sequence[str]], share: float) -> frozenset[int]:
    """Hashes of the runs of 5 words found in at least 2 of `items` and at least `share` of them."""
    seen = Counter(run for own in items for run in set(word_hashes(own, TEMPLATE_RUN)))
    enough = max(2, ceil(share * len(items)))
    return frozenset(run for run, count in seen.items() if count >= enough)


def distinctive_starts(own: Sequence[str], n: int, template: frozenset[int]) -> list[int]:
    """Where the n-grams of `own` begin of whose words more than half lie in no run of `template`."""
    is_own = [True] * len(own)
    for at, run in enumerate(word_hashes(own, TEMPLATE_RUN)):
        if run in template:
            is_own[at : at + TEMPLATE_RUN] = [False] * TEMPLATE_RUN
    return [at for at in range(len(own) - n + 1) if 2 * sum(is_own[at : at + n]) > n]
