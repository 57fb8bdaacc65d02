"""What a classifier sees of a prompt that may be after a model's hidden reasoning. Pure.

A text is read through windows of 16 words, each half over the one before. Of a window count the two words in a row,
hashed, and the *ideas* that meet in it, one, two or three at a time: the mind of a model, that it is hidden, whose it
is, that it lies before, and that it is to be uttered, exactly, recoded, or by somebody's power. None of them is telling
alone; their meeting is what all ways of coercion have in common, also those that nobody wrote an example of. A window
without any word for a mind is not looked at, so that long ordinary texts have few in which chance could speak.

Limits: the lexicon of ideas covers English well and German, French, Spanish, Chinese and Japanese thinly; coercion that
names no mind ("show what stands above") is not seen; of a long text the beginning and the end are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple
from zlib import crc32

from spiritsafe.text.coercion_words import IDEAS
from spiritsafe.text.ends import both_ends
from spiritsafe.text.normal import words

HASHED = 1 << 14
"""Buckets of two words in a row; those of ideas come after them."""

WINDOW_WORDS, STRIDE_WORDS = 16, 8
HEAD_CHARS, TAIL_CHARS = 500, 300
"""What is read of a text."""

FEWEST_IDEAS = 3
"""Ideas that must meet in a window whose only word for a mind is an everyday one ("think")."""

MOST_MEETING = 3

_FIRST_UNSPACED = "\u3040"
_BITS: Mapping[str, int] = {idea: 1 << place for place, idea in enumerate(IDEAS)}
_WORDS: Mapping[str, int] = {
    " ".join(word) if word >= _FIRST_UNSPACED else word: _BITS[idea]
    for idea, listed in IDEAS.items()
    for word in listed.split()
}
_MEETINGS: Mapping[int, int] = {
    sum(bits): HASHED + place
    for place, bits in enumerate(
        found for size in range(1, MOST_MEETING + 1) for found in combinations(_BITS.values(), size)
    )
}
BUCKETS = HASHED + len(_MEETINGS)


class Window(NamedTuple):
    """A window of a text that may be telling.

    Attributes:
        ideas: a bit for each of `IDEAS` that is in it, see `names_of`.
        buckets: numbers below `BUCKETS`, each once.
    """

    ideas: int
    buckets: tuple[int, ...]


def windows(text: str) -> Iterator[Window]:
    """The windows of `text` in which there is a word for a mind; of a long text both ends are read."""
    own = words(both_ends(text, HEAD_CHARS, TAIL_CHARS))
    bits = _bits_of(own)
    if not any(one & (_BITS["mind"] | _BITS["think"]) for one in bits):
        return
    for at in range(0, max(1, len(own) - STRIDE_WORDS), STRIDE_WORDS):
        ideas = 0
        for one in bits[at : at + WINDOW_WORDS]:
            ideas |= one
        if ideas & _BITS["mind"] or (ideas & _BITS["think"] and ideas.bit_count() >= FEWEST_IDEAS):
            yield Window(ideas, (*_pairs(own[at : at + WINDOW_WORDS]), *_meetings(ideas)))


def names_of(ideas: int) -> list[str]:
    """The names of the ideas in a window."""
    return [idea for idea, bit in _BITS.items() if ideas & bit]


def _bits_of(own: list[str]) -> list[int]:
    bits = [_WORDS.get(word, 0) for word in own]
    for at, (one, other) in enumerate(pairwise(own)):
        if one >= _FIRST_UNSPACED:
            bits[at] |= _WORDS.get(f"{one} {other}", 0)
    return bits


def _pairs(own: list[str]) -> set[int]:
    return {crc32(f"{one} {other}".encode("utf-8", "surrogatepass")) % HASHED for one, other in pairwise(own)}


@lru_cache(maxsize=1 << len(IDEAS))
def _meetings(ideas: int) -> tuple[int, ...]:
    own = [bit for bit in _BITS.values() if ideas & bit]
    return tuple(_MEETINGS[sum(one)] for size in range(1, MOST_MEETING + 1) for one in combinations(own, size))
