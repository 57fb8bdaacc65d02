"""Method: a way to get new prompts from a teacher, and the pool of prompts it draws on and adds to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeAlias

from spiritsafe.exchanges.record import Message, Request, Sampling
from spiritsafe.text.normal import words
from spiritsafe.text.shingles import rouge_l

Ask: TypeAlias = Callable[[Sequence[Request]], Iterator[str]]
"""Answers to requests, one each, in order; "" where there was none."""

FEWEST_WORDS = 3
MOST_WORDS = 150


@dataclass(frozen=True, slots=True)
class Entry:
    """A prompt of the pool: its text, its words, and how many steps it is away from a seed."""

    text: str
    words: tuple[str, ...]
    depth: int = 0


class Pool:
    """Seeds and kept new prompts.

    Two prompts are alike if their ROUGE-L is `max_similarity` or more (0.7 in Wang et al. 2023, section 2.2).
    """

    def __init__(self, seeds: Sequence[str], max_similarity: float) -> None:
        self.seeds = [Entry(text, tuple(words(text))) for text in seeds]
        self.made: list[Entry] = []
        self.max_similarity = max_similarity
        self.vocabulary = frozenset(word for entry in self.seeds for word in entry.words)

    @property
    def entries(self) -> list[Entry]:
        """All of them, seeds first."""
        return self.seeds + self.made

    def admits(self, entry: Entry, but: Entry | None = None) -> bool:
        """Whether `entry` is long enough, not too long, and unlike every entry; `but` is not compared with."""
        if not FEWEST_WORDS <= len(entry.words) <= MOST_WORDS:
            return False
        known = frozenset(entry.words)
        return not any(self._alike(entry, known, other) for other in self.entries if other is not but)

    def _alike(self, entry: Entry, known: frozenset[str], other: Entry) -> bool:
        # The words of `other` that `entry` has at all bound their common subsequence: most pairs end here.
        enough = self.max_similarity * (len(entry.words) + len(other.words)) / 2
        if sum(word in known for word in other.words) < enough:
            return False
        return rouge_l(entry.words, other.words) >= self.max_similarity


@dataclass(frozen=True, slots=True)
class Question:
    """A request for new prompts.

    Attributes:
        request: what is asked.
        parent: the prompt it starts from, if it starts from one.
        may_resemble: the entry the answer may be alike to, since it is meant to extend it.
    """

    request: Request
    parent: Entry | None = None
    may_resemble: Entry | None = None


class Method(Protocol):
    """A way to get new prompts from a pool."""

    @property
    def name(self) -> str:
        """The word in recipes."""
        ...

    @property
    def gives(self) -> int:
        """New prompts that one answer holds at most."""
        ...

    def questions(self, pool: Pool, wanted: int, per_request: int, round_number: int, draw: Random) -> list[Question]:
        """What to ask in one round when `wanted` prompts are still missing."""
        ...

    def read(self, answer: str, question: Question, pool: Pool) -> list[Entry]:
        """The new prompts in an answer that are well formed; the pool decides whether they are new."""
        ...


def request_for(text: str, round_number: int) -> Request:
    """A request with self-instruct's temperature; the round is the sample number, so that no round repeats another."""
    return Request((Message("user", text),), Sampling(temperature=0.7, max_tokens=1024), round_number)
