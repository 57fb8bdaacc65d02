"""Counting what an account does: how many of its exchanges are of a kind, and how many different ones.

`Tally` is the sketch, `Counting` a detector made of a function that says which kind an exchange is of. Its score is the
lower end of the 95 % Wilson interval of the share of an account's exchanges that are of any kind. So one exchange alone
is worth 0.2, two odd ones in a thousand next to nothing, and doing nothing else, however much, comes close to 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from spiritsafe.errors import StoreError
from spiritsafe.guard.detectors.base import Scope, Sign
from spiritsafe.guard.detectors.view import View
from spiritsafe.stats.intervals import wilson
from spiritsafe.text.distinct import DistinctSample, hash_of

SAMPLED = 16
_SAMPLE_BYTES = 12 + SAMPLED * 8
ENOUGH = 1_000
"""Ordinary exchanges from which on their share is worth naming."""


class Tally:
    """How many exchanges there were, how many of each kind, and about how many different ones of any kind.

    Attributes:
        seen: exchanges.
        counts: those of each kind; an exchange is of one kind or of none.
        different: a sample of the distinct prompts of any kind.
    """

    __slots__ = ("counts", "different", "seen")

    def __init__(self, kinds: int, seen: int = 0, counts: list[int] | None = None) -> None:
        self.seen = seen
        self.counts = [0] * kinds if counts is None else counts
        self.different = DistinctSample(SAMPLED, 0)

    @property
    def of_any(self) -> int:
        """Exchanges of any kind."""
        return sum(self.counts)

    def add(self, kind: int | None, prompt: int) -> None:
        """Count an exchange of `kind` whose prompt has the hash `prompt`, or one of no kind, whose hash is not used."""
        self.seen += 1
        if kind is not None:
            self.counts[kind] += 1
            self.different.add(prompt, tuple)

    def merge(self, other: Tally) -> Tally:
        """The tally of both."""
        counts = [one + its for one, its in zip(self.counts, other.counts, strict=True)]
        both = Tally(len(counts), self.seen + other.seen, counts)
        both.different = self.different.merge(other.different)
        return both

    def pack(self) -> bytes:
        """The tally for `unpack`."""
        return struct.pack(f"<{1 + len(self.counts)}Q", self.seen, *self.counts) + self.different.pack()

    @classmethod
    def unpack(cls, data: bytes, kinds: int) -> Tally:
        """The tally that `pack` wrote.

        Raises:
            StoreError: it is none, or one of other kinds.
        """
        numbers = struct.Struct(f"<{1 + kinds}Q")
        if len(data) < numbers.size:
            raise StoreError(f"got {len(data)} bytes that are no tally of {kinds} kinds: replay the log again")
        seen, *counts = numbers.unpack_from(data)
        tally = cls(kinds, seen, counts)
        tally.different = DistinctSample.unpack(data[numbers.size :], SAMPLED, 0)
        return tally


def tally_bytes(kinds: int) -> int:
    """The most that a packed tally takes."""
    return 8 * (1 + kinds) + _SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class Counting:
    """A detector that counts exchanges of its kinds.

    Attributes:
        name: the word in alarms, policies and docs.
        says: what it looks for, as one phrase.
        kinds: each as a phrase that goes after "of its 12 exchanges 3".
        kind_of: the place of an exchange's kind in `kinds`, or None.
    """

    name: str
    says: str
    kinds: tuple[str, ...]
    kind_of: Callable[[View], int | None]
    scope: Scope = "account"

    @property
    def state_bytes(self) -> int:
        """A packed tally is never longer."""
        return tally_bytes(len(self.kinds))

    def fresh(self) -> Tally:
        """No exchange."""
        return Tally(len(self.kinds))

    def unpack(self, data: bytes) -> Tally:
        """The tally that was packed."""
        return Tally.unpack(data, len(self.kinds))

    def look(self, view: View, state: Tally, ordinary: Tally) -> Sign | None:
        """The share of such exchanges, this one included, where it is one; else None."""
        kind = view.once(self.name, self.kind_of)
        if kind is None:
            return None
        share = wilson(state.of_any + 1, state.seen + 1)
        reasons = tuple(
            f"of its {state.seen + 1:,} exchanges {count:,} {phrase}"
            for place, phrase in enumerate(self.kinds)
            if (count := state.counts[place] + (place == kind))
        )
        return Sign(self.name, share.low, (*reasons, *_compared(state, ordinary)), (view.exchange.id,))

    def observe(self, view: View, state: Tally) -> None:
        """Count the exchange."""
        kind = view.once(self.name, self.kind_of)
        state.add(kind, 0 if kind is None else view.once("prompt hash", prompt_hash))

    def learn(self, view: View, ordinary: Tally) -> None:
        """Count the exchange among the ordinary ones."""
        self.observe(view, ordinary)


def _compared(state: Tally, ordinary: Tally) -> tuple[str, ...]:
    different = f"different prompts of such kinds before this one: about {state.different.distinct():,.0f}"
    if ordinary.seen < ENOUGH:
        return (different,)
    return different, f"of ordinary exchanges in its segment {ordinary.of_any / ordinary.seen:.2%} are such"


def prompt_hash(view: View) -> int:
    """A hash of what a customer filled in; equal prompts have equal ones."""
    return hash_of(view.system, view.user)
