"""MinHash: finding what a new text nearly repeats among all texts before it, without comparing with each.

Signatures come from `rensa` (R-MinHash, in Rust). The index is banded locality-sensitive hashing (Broder 1997;
Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3). Candidates are verified by their exact Jaccard
similarity: what the index reports is truly that similar, and what it misses is bounded by `recall`. A text may have
several parts (a prompt and its answer); then every part must be similar, and bands mix slots of all parts, so that
texts that share one part only (all prompts of a template, all answers "yes") do not flood the candidates.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeAlias
from zlib import crc32

from rensa import RMinHash

from spiritsafe.text.shingles import jaccard, word_shingles

_SEED = 42
_BUCKET_TEXTS = 16
_CHECKED = 16

Parts: TypeAlias = Sequence[Sequence[str]]
"""A text as the words of each of its parts."""


def signatures(sets: Sequence[Collection[str]], slots: int) -> list[array[int]]:
    """MinHash signatures, one array of `slots` 32-bit integers for each set of shingles.

    The share of equal slots of two signatures estimates the Jaccard similarity J of their sets with standard error
    sqrt(J (1 - J) / slots).
    """
    matrix = RMinHash.digest_matrix_from_token_sets(sets, slots, _SEED)
    return [array("I", row) for row in matrix.to_rows()]


def rows_per_band(threshold: float, slots: int, recall: float = 0.95) -> int:
    """The most slots a band may have so that a pair at `threshold` still shares some band with probability `recall`."""
    fitting = [r for r in range(1, slots + 1) if 1 - (1 - threshold**r) ** (slots // r) >= recall]
    return max(fitting, default=1)


class NearIndex:
    """Texts seen so far, found again by similarity. Two texts are near if each part is: Jaccard of word n-grams.

    Memory: the words of every text, and about 180 bytes for each of its bands (18 at threshold 0.8 and 128 slots).

    Args:
        threshold: the least similarity that counts as near.
        parts: how many parts a text has.
        n: words in a shingle.
        slots: signature slots in all parts together; more slots give sharper bands and cost time in proportion.
        recall: the least probability of finding a text whose parts are all exactly at the threshold.
    """

    def __init__(self, threshold: float, parts: int = 1, n: int = 3, slots: int = 128, recall: float = 0.95) -> None:
        self.threshold = threshold
        self.parts = parts
        self.n = n
        self._slots_a_part = slots // parts
        rows = rows_per_band(threshold, self._slots_a_part * parts, recall)
        self._band_bytes = 4 * rows
        self._buckets: list[dict[int, tuple[int, ...]]] = [{} for _ in range(self._slots_a_part * parts // rows)]
        self._kept: list[tuple[str, ...]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def place(self, texts: Sequence[Parts]) -> list[int | None]:
        """For each text the number of an earlier one it is near to, or None: then it is added under the next number.

        Numbers count added texts, in order. A bucket holds its first 16 texts and at most 16 candidates are verified,
        those sharing the most bands first: time and memory stay bounded where a template makes everything alike.
        """
        shingled = [[word_shingles(part, self.n) for part in text] for text in texts]
        signed = self._signed(shingled)
        return [self._place(*each) for each in zip(texts, shingled, signed, strict=True)]

    def _signed(self, shingled: Sequence[Sequence[Collection[str]]]) -> list[bytes]:
        """Signatures in which the slots of the parts alternate."""
        mixed = [array("I", bytes(4 * self._slots_a_part * self.parts)) for _ in shingled]
        for part in range(self.parts):
            own = signatures([text[part] for text in shingled], self._slots_a_part)
            for whole, slots in zip(mixed, own, strict=True):
                whole[part :: self.parts] = slots
        return [whole.tobytes() for whole in mixed]

    def _place(self, text: Parts, shingles: Sequence[Collection[str]], signature: bytes) -> int | None:
        width = self._band_bytes
        keys = [crc32(signature[at : at + width]) for at in range(0, len(self._buckets) * width, width)]
        near = self._near(keys, shingles)
        if near is None:
            for key, bucket in zip(keys, self._buckets, strict=True):
                there = bucket.get(key, ())
                if len(there) < _BUCKET_TEXTS:
                    bucket[key] = (*there, len(self._kept))
            self._kept.append(tuple(map(" ".join, text)))
        return near

    def _near(self, keys: Sequence[int], shingles: Sequence[Collection[str]]) -> int | None:
        found = [number for key, bucket in zip(keys, self._buckets, strict=True) for number in bucket.get(key, ())]
        if not found:
            return None
        ranked = sorted(Counter(found).items(), key=lambda pair: (-pair[1], pair[0]))[:_CHECKED]
        return next((number for number, _ in ranked if self._verified(number, shingles)), None)

    def _verified(self, number: int, shingles: Sequence[Collection[str]]) -> bool:
        kept = (word_shingles(part.split(" "), self.n) if part else [] for part in self._kept[number])
        return all(jaccard(a, b) >= self.threshold for a, b in zip(kept, shingles, strict=True))
