"""Shingles: overlapping n-grams of words or characters, and how much two texts have of them in common. Pure.

Where they are kept in great numbers they are integers: polynomial hashes (Karp and Rabin 1987) modulo the Mersenne
prime 2^61 - 1, the same in every process; two different n-grams collide with probability below n / 2^61.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from hashlib import blake2b

from spiritsafe.text.normal import words

_PRIME = (1 << 61) - 1
_BASE = 0x1D4C_E2B9_7A35_F681 % _PRIME


@lru_cache(maxsize=1 << 16)
def _word_hash(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % _PRIME


def word_hashes(own: Sequence[str], n: int) -> list[int]:
    """Hashes of the len(own) - n + 1 n-grams of words, in order; empty where there are fewer than `n` words."""
    values = list(map(_word_hash, own))
    if len(values) < n:
        return []
    leaving = pow(_BASE, n, _PRIME)
    state = 0
    for value in values[:n]:
        state = (state * _BASE + value) % _PRIME
    hashes = [state]
    for gone, come in zip(values, values[n:], strict=False):
        state = (state * _BASE + come - gone * leaving) % _PRIME
        hashes.append(state)
    return hashes


def word_shingles(own: Sequence[str], n: int = 3) -> list[str]:
    """The n-grams of words as text, in order, with repeats; 1 to n - 1 words are one shingle, no words are none."""
    if len(own) < n:
        return [" ".join(own)] if own else []
    return list(map(" ".join, zip(*(own[at:] for at in range(n)), strict=False)))


def char_shingles(text: str, n: int = 5) -> frozenset[str]:
    """The character n-grams of the words of `text` joined by spaces; short texts as in `word_shingles`."""
    plain = " ".join(words(text))
    return frozenset(plain[at : at + n] for at in range(max(1, len(plain) - n + 1))) if plain else frozenset()


def jaccard(left: Collection[str], right: Collection[str]) -> float:
    """Share of shingles two sets have in common, 0 to 1; two empty sets are equal, hence 1."""
    a, b = frozenset(left), frozenset(right)
    both = len(a & b)
    return both / (len(a) + len(b) - both) if a or b else 1.0


def rouge_l(left: Sequence[str], right: Sequence[str]) -> float:
    """ROUGE-L F1 of two word sequences, 0 to 1: longest common subsequence over the mean length (Lin 2004, section 3).

    Two empty sequences score 1. Costs len(left) x len(right) steps.
    """
    if not left or not right:
        return float(not left and not right)
    row = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for at, other in enumerate(right, 1):
            above = row[at]
            row[at] = diagonal + 1 if word == other else max(above, row[at - 1])
            diagonal = above
    return 2 * row[-1] / (len(left) + len(right))
