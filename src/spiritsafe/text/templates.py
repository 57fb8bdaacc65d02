"""Templates: how much of an account's prompts is one text with slots, and how many ways its slots were filled. Pure.

A prompt is known by its anchors: of the runs of three words at the beginning and the end of its system prompt and of
what the user said, those with the smallest hashes (min-wise sampling; Broder 1997). Prompts of one template share its
smallest anchors, whatever fills the slots, so the same template has the same anchors in every account and on every
machine, without anyone having seen two of its prompts. An account's state is a uniform sample of its distinct prompts
with their anchors (`text.distinct`): it merges exactly, so a campaign's state is the merge of its accounts'.

Limits, measured on the templates of T0 (`benchmarks/reading.py`): where a template has fixed words at all, 95 of 100
are known again in another account. Of a template's prompts 100 % are recognised in the median, 85 % with every 20th
word replaced at random, 72 % with every tenth, 48 % with every fifth. Anchors see words: a template that a model writes
anew each time needs embeddings. Hashes are public, so whoever picks prompts by their hash can stay out of the sample.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from spiritsafe.text.distinct import DistinctSample, Notes, hash_of, smallest
from spiritsafe.text.shingles import word_hashes
from spiritsafe.text.slots import masked

SAMPLED = 40
"""Distinct prompts in an account's sample: shares are known to ±0.15, counts to ±16 %."""

SYSTEM_ANCHORS, EDGE_ANCHORS, WHOLE_ANCHORS, LABEL_ANCHORS = 3, 2, 2, 1
ANCHORS = SYSTEM_ANCHORS + 2 * EDGE_ANCHORS + WHOLE_ANCHORS + LABEL_ANCHORS

ANCHOR_WORDS = 3
EDGE_RUNS = 4
"""The runs in the first and in the last six words: most templates begin or end a prompt."""

EDGE_CHARS = 480
"""Characters read at either end of a text. What is long is a slot's filling; templates begin or end prompts."""

TOGETHER = 0.6
"""An anchor belongs to a template if at least this share of the template's prompts have it, or it of theirs."""

_LABEL = re.compile(r"^[ \t*#-]*([^\W\d_][\w ]{0,30}):", re.MULTILINE)
_LOW_BITS = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Template:
    """A template found in a sample of an account's prompts.

    Attributes:
        id: 8 hex digits: its smallest anchor, the same in every account.
        anchors: all that were found; two accounts share a template if they share most of these.
        sampled: prompts of the sample that are of this template.
        share: of the account's distinct prompts, 0 to 1.
        exchanges: the share of its exchanges, repeats included; poor where few prompts make up most exchanges.
        fillings: about how many different ways the slots were filled.
    """

    id: str
    anchors: frozenset[int]
    sampled: int
    share: float
    exchanges: float
    fillings: float


def anchors_of(system: str, user: str) -> Notes:
    """The anchors of a prompt, `ANCHORS` numbers: those of its system prompt, then those of what the user said."""
    runs = [_runs(part) for part in _ends(user)]
    first, last = runs[0][:EDGE_RUNS], runs[-1][-EDGE_RUNS:]
    return (
        *smallest([run for part in _ends(system) for run in _runs(part)], SYSTEM_ANCHORS),
        *smallest(first, EDGE_ANCHORS),
        *smallest(last, EDGE_ANCHORS),
        *smallest([run for part in runs for run in part], WHOLE_ANCHORS),
        *smallest(_labels(user), LABEL_ANCHORS),
    )


def _ends(text: str) -> list[str]:
    """Both ends of `text`; all of it where that is no more. The words at the cuts, perhaps halves, are left out."""
    if len(text) <= 2 * EDGE_CHARS:
        return [text]
    return [text[:EDGE_CHARS].rpartition(" ")[0], text[-EDGE_CHARS:].partition(" ")[2]]


def _runs(text: str) -> list[int]:
    """Hashes of the runs of words in `text`, in order, none of them 0."""
    return [one & _LOW_BITS or 1 for one in word_hashes(masked(text), ANCHOR_WORDS)]


def _labels(text: str) -> list[int]:
    """One hash of the labels that begin lines ("Question:"), in their order; none where there are fewer than two."""
    labels = [label.lower() for part in _ends(text) for label in _LABEL.findall(part)]
    return [hash_of(*labels) or 1] if len(labels) > 1 else []


class Templates:
    """What is remembered of an account's prompts, in at most `STATE_BYTES`."""

    __slots__ = ("sample",)

    def __init__(self, sample: DistinctSample | None = None) -> None:
        self.sample = DistinctSample(SAMPLED, ANCHORS) if sample is None else sample

    def add(self, system: str, user: str) -> None:
        """Take in one prompt."""
        self.sample.add(hash_of(system, user), lambda: anchors_of(system, user))

    def merge(self, other: Templates) -> Templates:
        """What is remembered of both accounts."""
        return Templates(self.sample.merge(other.sample))

    def pack(self) -> bytes:
        """The state for `unpack`."""
        return self.sample.pack()

    @classmethod
    def unpack(cls, data: bytes) -> Templates:
        """The state that `pack` wrote.

        Raises:
            StoreError: it is none.
        """
        return cls(DistinctSample.unpack(data, SAMPLED, ANCHORS))

    def found(self, fewest: int = 3) -> list[Template]:
        """The templates with at least `fewest` sampled prompts, the largest first; a prompt counts for one of them."""
        left = [(count, frozenset(notes) - {0}) for _, count, notes in self.sample]
        sampled, exchanges = len(left), sum(count for count, _ in left)
        templates = []
        while (anchor := _commonest(own for _, own in left))[1] >= fewest:
            mine = [(count, own) for count, own in left if anchor[0] in own]
            left = [(count, own) for count, own in left if anchor[0] not in own]
            share = len(mine) / sampled
            templates.append(
                Template(
                    f"{anchor[0]:08x}",
                    _together([own for _, own in mine]),
                    len(mine),
                    share,
                    sum(count for count, _ in mine) / exchanges,
                    share * self.sample.distinct(),
                )
            )
        return templates


STATE_BYTES = 12 + SAMPLED * 4 * (2 + ANCHORS)


def _commonest(prompts: Iterable[frozenset[int]]) -> tuple[int, int]:
    """(anchor, prompts that have it): the commonest, of several the one with the smallest hash; (0, 0) for none."""
    counts = Counter(anchor for own in prompts for anchor in own)
    return min(counts.items(), key=lambda pair: (-pair[1], pair[0]), default=(0, 0))


def _together(prompts: list[frozenset[int]]) -> frozenset[int]:
    counts = Counter(anchor for own in prompts for anchor in own)
    return frozenset(anchor for anchor, count in counts.items() if count >= TOGETHER * len(prompts))
