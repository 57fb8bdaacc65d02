"""Accounts that several machines see a part of each: their merge is what one machine would have seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random

import numpy as np
import pytest
from tests.guard.watch.worlds import packed, small_world, varied

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.watch.accounts import READERS, nothing
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.shared import Heard, Part, PartOf, Shared
from spiritsafe.guard.watch.sketches import SKETCH_VERSION


class Board:
    """What machines say of accounts, for all to read; each hears what is new since it last did."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, bytes]] = []


class Seat:
    """One machine's view of the board; it says everything `times` over."""

    def __init__(self, board: Board, machine: str, times: int = 1) -> None:
        self._board, self._machine, self._times, self._read = board, machine, times, 0

    def share(self, at: float, names: Iterable[str], part_of: PartOf) -> Sequence[Heard]:
        for name in sorted(names):
            self._board.said += [(self._machine, name, part_of(name).to_bytes())] * self._times
        new, self._read = self._board.said[self._read :], len(self._board.said)
        return [(machine, name, Part.from_bytes(data)) for machine, name, data in new if machine != self._machine]


def machines(count: int, times: int = 1) -> list[Shared]:
    board = Board()
    return [Shared(small_world().reference, Seat(board, f"m{number}", times)) for number in range(count)]


def shared_out(held: Sequence[Exchange], count: int, random: Random) -> Iterator[list[Exchange]]:
    """An epoch's exchanges, each for one of the machines; none is left without."""
    at = [place if place < count else random.randrange(count) for place in range(len(held))]
    for number in range(count):
        yield [one for one, own in zip(held, at, strict=True) if own == number]


@pytest.mark.parametrize(("count", "times"), [(2, 1), (3, 2)])
def test_the_merge_is_what_one_machine_would_have_seen(count: int, times: int) -> None:
    reference, random = small_world().reference, Random(3)
    alone, crowds, parts = reference.accounts(), machines(count, times), [reference.accounts() for _ in range(count)]
    for _, held in epochs(small_world().watched[:900]):
        alone.epoch(held)
        for crowd, part, own in zip(crowds, parts, shared_out(held, count, random), strict=True):
            crowd.epoch(own)
            part.take(own, nothing)
    last = crowds[-1]

    # The last machine to share in an epoch has heard of all that the others saw in it.
    assert packed(last.sketches) == packed(alone.sketches)
    for name, slot in alone.sketches.slot_of.items():
        own = last.sketches.slot_of[name]
        mine, expected = last.known[own], alone.known[slot]
        assert (mine.segment, mine.newest) == (expected.segment, expected.newest)
        scores = [part.maxima[part.sketches.slot_of[name]] for part in parts if name in part.sketches.slot_of]
        assert np.array_equal(last.maxima[own, : len(READERS)], np.max(scores, axis=0)[: len(READERS)])
    assert last.models_at == alone.models_at


def test_nobody_else_makes_no_difference() -> None:
    alone, (one,) = small_world().reference.accounts(), machines(1)
    for _, held in epochs(small_world().watched[:900]):
        expected, seen = alone.epoch(held), one.epoch(held)
        names = [one.sketches.names[slot] for slot in seen.due]
        assert sorted(names) == sorted(alone.sketches.names[slot] for slot in expected.due)
        assert [sign for _, _, sign in seen.signs] == [sign for _, _, sign in expected.signs]
    assert packed(one.sketches) == packed(alone.sketches)
    assert np.array_equal(one.maxima, alone.maxima)


def part() -> Part:
    accounts = small_world().reference.accounts()
    accounts.epoch([varied(number) for number in range(20)])
    return Part("batch", "id-9", (0.5,) * len(READERS), accounts.sketches.pack(0))


def test_a_part_comes_back_from_its_bytes() -> None:
    assert Part.from_bytes(part().to_bytes()) == part()


def test_what_is_damaged_is_refused_with_the_reason() -> None:
    whole = part().to_bytes()
    head, _, sketch = whole.partition(b"\n")
    flipped = bytearray(whole)
    flipped[-9] ^= 4
    newer = sketch.replace(SKETCH_VERSION.to_bytes(4, "little"), (SKETCH_VERSION + 1).to_bytes(4, "little"), 1)

    with pytest.raises(StoreError, match="damaged sketch"):
        Part.from_bytes(bytes(flipped))
    with pytest.raises(StoreError, match="damaged sketch"):
        Part.from_bytes(whole[:-1])
    with pytest.raises(StoreError, match=f"version {SKETCH_VERSION + 1}, wanted version {SKETCH_VERSION}"):
        Part.from_bytes(head + b"\n" + newer)
    with pytest.raises(StoreError, match="no sketch"):
        Part.from_bytes(b"hello")
    with pytest.raises(StoreError, match="say nothing of an account"):
        Part.from_bytes(b"{}\n" + sketch)
    with pytest.raises(StoreError, match="the scores of 1 request detectors"):
        Part.from_bytes(b'["batch","id",[1]]\n' + sketch)
