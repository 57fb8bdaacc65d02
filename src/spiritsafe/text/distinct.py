"""A small uniform sample of the distinct things in a stream, with how often each came: the k smallest hashes. Pure.

What is among the k smallest at the end was among them from its first coming on, so its count is exact. Samples merge
by union: in any order and grouping, and however a stream was cut, the result is the same. From the sample follow how
many distinct things there were (k − 1 over the k-th smallest hash; a standard error of 1/√(k − 2)) and which share of
them has any property, by the share in the sample.

Sources: Bar-Yossef, Jayram, Kumar, Sivakumar and Trevisan 2002; Cohen and Kaplan 2007 ("Summarizing data using
bottom-k sketches").

Limit: whoever knows the hash can choose things that never enter the sample.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias

from spiritsafe.errors import StoreError

Notes: TypeAlias = tuple[int, ...]
"""What is kept beside a sampled thing: 32-bit whole numbers, as many for each."""

HASHES = 1 << 32
_MOST_COUNT = HASHES - 1
_HEAD = struct.Struct("<QHH")
_SEEN_MOST = (1 << 64) - 1


def hash_of(*parts: str | bytes) -> int:
    """A 32-bit hash of `parts`, the same in every process; text that is no Unicode is hashed as well."""
    digest = blake2b(digest_size=4)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little")


class DistinctSample:
    """At most `size` distinct things, each a 32-bit hash, its count and `notes` numbers.

    Attributes:
        size: k.
        notes: how many numbers are kept beside each.
        seen: how many came altogether, repeats included.
    """

    __slots__ = ("_kept", "_largest", "notes", "seen", "size")

    def __init__(self, size: int, notes: int) -> None:
        self.size = size
        self.notes = notes
        self.seen = 0
        self._kept: dict[int, tuple[int, Notes]] = {}
        self._largest = HASHES

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[int, int, Notes]]:
        """(hash, count, notes) of what is in the sample, by rising hash."""
        return iter([(key, *self._kept[key]) for key in sorted(self._kept)])

    def add(self, key: int, notes: Callable[[], Notes], count: int = 1) -> None:
        """Count the thing with the hash `key`; `notes` is called only if it enters the sample."""
        self.seen += count
        if key in self._kept:
            before, kept = self._kept[key]
            self._kept[key] = (before + count, kept)
        elif key < self._largest:
            self._enter(key, count, notes())

    def _enter(self, key: int, count: int, notes: Notes) -> None:
        self._kept[key] = (count, notes)
        if len(self._kept) > self.size:
            del self._kept[self._largest]
        if len(self._kept) == self.size:
            self._largest = max(self._kept)

    def merge(self, other: DistinctSample) -> DistinctSample:
        """The sample of both streams."""
        both = DistinctSample(self.size, self.notes)
        for sample in (self, other):
            for key, count, notes in sample:
                both.add(key, lambda notes=notes: notes, count)  # type: ignore[misc]
        both.seen = self.seen + other.seen
        return both

    def distinct(self) -> float:
        """How many distinct things came: exact while there are fewer than `size`, an estimate after that."""
        if len(self._kept) < self.size:
            return float(len(self._kept))
        return (self.size - 1) * HASHES / (self._largest + 1)

    def pack(self) -> bytes:
        """The sample for `unpack`; equal samples give equal bytes."""
        row = struct.Struct(f"<{2 + self.notes}I")
        rows = b"".join(row.pack(key, min(count, _MOST_COUNT), *notes) for key, count, notes in self)
        return _HEAD.pack(min(self.seen, _SEEN_MOST), self.size, self.notes) + rows

    @classmethod
    def unpack(cls, data: bytes, size: int, notes: int) -> DistinctSample:
        """The sample that `pack` wrote.

        Raises:
            StoreError: `data` is no sample of that size and those notes.
        """
        row = struct.Struct(f"<{2 + notes}I")
        head, rows = data[: _HEAD.size], data[_HEAD.size :]
        if len(head) < _HEAD.size or len(rows) % row.size or _HEAD.unpack(head)[1:] != (size, notes):
            raise StoreError(f"got {len(data)} bytes that are no sample of {size} things: replay the log again")
        sample = cls(size, notes)
        for key, count, *noted in row.iter_unpack(rows):
            sample.add(key, lambda noted=noted: tuple(noted), count)  # type: ignore[misc]
        sample.seen = _HEAD.unpack(head)[0]
        return sample


def smallest(hashes: Sequence[int], count: int) -> Notes:
    """The `count` smallest of `hashes`, each once, rising; filled up with zeros."""
    chosen = sorted(set(hashes))[:count]
    return (*chosen, *[0] * (count - len(chosen)))
