"""Tail: new exchanges from segments that are being written, the first and the last record of each joined.

    tail = Tail(folder)                  # or Tail(folder, state), going on where another one was
    for record in tail.read(): ...       # those that ended since
    for record in tail.unfinished(now_s, 3600): ...
    json.dumps(tail.state())

The state says how far each segment was read, and where the first records lie of exchanges that are not over: their
bytes stay in the segments, which must be kept for so long (see `complete`).

Limits: the first records of exchanges that are not over are held in memory. Within a segment exchanges come in the
order in which they ended, and lower segments come first. The end of an exchange that was given out as unfinished is
only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.frames import HEADER_BYTES, Frame, find_frame
from spiritsafe.exchanges.segments import Scan, has_writer, read_frame, segment_id, segment_numbers, segment_path
from spiritsafe.guard.log.records import Record, joined, split
from spiritsafe.wire.shapes import amount_of

MOST_BYTES = 16 << 20
"""Of records held at once; as rows of a compactor they take about seven times as much."""

FORGET_AFTER = 24
"""Given-up ids are remembered for so many times the patience with which they were given up."""


class Spot(NamedTuple):
    """Where a record lies: its segment's id in hex, the offset of its frame, and its place in it."""

    segment: str
    offset: int
    number: int


def identity_of(path: Path) -> str:
    """The id of a segment in hex; empty where its header is missing or damaged."""
    try:
        return (segment_id(path) or b"").hex()
    except StoreError:
        return ""


@dataclass(slots=True)
class Faults:
    """What was found that should not be there.

    Attributes:
        unreadable: records that are none of this log's.
        lost: exchanges that were not over, and whose first record is gone with its segment.
        late: ends of exchanges that had been given out as unfinished.
        damaged: what a message can say of each damaged segment, by its path.
        spoilt: ids of the segments with damage or unreadable records, which are better kept.
    """

    unreadable: int = 0
    lost: int = 0
    late: int = 0
    damaged: dict[Path, str] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)


class Tail:
    """Reads the segments in `folder` from `state` on: what an earlier one's `state()` was, or nothing.

    Attributes:
        faults: what went wrong so far.
        complete: the segments, id by path, that have been read to their end and have no writer any more.
        is_behind: the last `read` stopped before it came to the end of all.
    """

    def __init__(self, folder: Path, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self._folder = folder
        self._offsets: dict[str, int] = dict(state.get("offsets", {}))
        self._given_up: dict[str, float] = dict(state.get("given_up", {}))
        self._open: dict[str, tuple[Spot, Record]] = {}
        self.complete: dict[Path, str] = {}
        self.faults = Faults(spoilt=set(state.get("spoilt", ())))
        self.is_behind = False
        self._remember([Spot(*spot) for spot in state.get("open", ())])

    def state(self) -> dict[str, Any]:
        """Where this one is; a JSON object."""
        return {
            "offsets": self._offsets.copy(),
            "open": sorted(list(spot) for spot, _ in self._open.values()),
            "given_up": self._given_up.copy(),
            "spoilt": sorted(self.faults.spoilt),
        }

    @property
    def needed(self) -> set[str]:
        """Ids of the segments that hold records of exchanges that are not over."""
        return {spot.segment for spot, _ in self._open.values()}

    def forget(self, path: Path) -> None:
        """The segment at `path` has been removed."""
        self._offsets.pop(self.complete.pop(path, ""), None)

    def read(self, most_bytes: int = MOST_BYTES) -> list[Record]:
        """The exchanges that ended since; about `most_bytes` of records at once. `is_behind` says if there are more."""
        out: list[Record] = []
        seen: set[str] = set()
        left = most_bytes
        for path in self._paths():
            left -= self._read_segment(path, left, seen, out)
            if left <= 0:
                self.is_behind = True
                return out
        self.is_behind = False
        self._forget_all_but(seen)
        return out

    def unfinished(self, now_s: float, patience_s: float) -> list[Record]:
        """Exchanges of which one record is missing for good, as far as it is known; they are not waited for any more.

        That is, the other one is older than `patience_s`, or has no time, and nobody writes to its segment any more. A
        patience of more than the longest exchange makes sure that its last record is not still to come.
        """
        gone = set(self.complete.values())
        out = []
        for identity, (spot, record) in list(self._open.items()):
            if spot.segment in gone and now_s - _time_of(record) > patience_s:
                out.append(record)
                del self._open[identity]
                self._given_up[identity] = now_s
        horizon_s = now_s - FORGET_AFTER * patience_s
        self._given_up = {identity: at for identity, at in self._given_up.items() if at > horizon_s}
        return out

    def _paths(self) -> list[Path]:
        return [segment_path(self._folder, number) for number in segment_numbers(self._folder)]

    def _forget_all_but(self, seen: set[str]) -> None:
        """Forget segments that are gone. A number may have been given again: a segment is known by its id."""
        self._offsets = {identity: offset for identity, offset in self._offsets.items() if identity in seen}
        self.complete = {path: identity for path, identity in self.complete.items() if identity in seen}
        self.faults.spoilt &= seen

    def _read_segment(self, path: Path, most_bytes: int, seen: set[str], out: list[Record]) -> int:
        """Read on in one segment; returns how many bytes of records."""
        read = 0
        try:
            # In this order: a writer takes its lock before it writes the header.
            identity = (segment_id(path) or b"").hex()
            seen.add(identity)
            if self.complete.get(path) == identity:
                return 0
            may_grow = has_writer(path)
            for frame in self._frames(path, identity):
                read += self._take(identity, frame, out)
                self._offsets[identity] = frame.end
                if read >= most_bytes:
                    return read
        except (StoreError, OSError) as error:
            if path.exists():  # else another one has compacted it
                self.faults.damaged[path] = str(error)
            return read
        if not may_grow:
            self.complete[path] = identity
        return read

    def _frames(self, path: Path, identity: str) -> Iterator[Frame]:
        """The frames not read yet; damage is passed over and reported."""
        start = self._offsets.get(identity, HEADER_BYTES)
        while identity:
            scan = Scan(path, start)
            try:
                yield from scan
                return
            except StoreError as error:
                damage = str(error)
            with path.open("rb") as file:
                frame = find_frame(file, scan.end + 1, path.stat().st_size)
            self.faults.damaged[path] = damage
            self.faults.spoilt.add(identity)
            if frame is None:
                return
            yield frame
            start = frame.end

    def _take(self, identity: str, frame: Frame, out: list[Record]) -> int:
        for number, data in enumerate(frame.records):
            try:
                record = split(data)
            except InputError:
                self.faults.unreadable += 1
                self.faults.spoilt.add(identity)
            else:
                self._join(record, Spot(identity, frame.offset, number), out)
        return sum(map(len, frame.records))

    def _join(self, record: Record, spot: Spot, out: list[Record]) -> None:
        if record.kind == "whole":
            out.append(record)
            return
        identity = record.id
        if identity in self._given_up:
            self.faults.late += 1
            return
        _, other = self._open.get(identity, (None, None))
        if other is None or other.kind == record.kind:
            self._open[identity] = (spot, record)
            return
        del self._open[identity]
        out.append(joined(record, other) if record.kind == "received" else joined(other, record))

    def _remember(self, spots: list[Spot]) -> None:
        """Read the records of open exchanges again; sorted, so that each frame is read once."""
        paths = {identity_of(path): path for path in self._paths()} if spots else {}
        for (segment, offset), of_frame in groupby(spots, key=lambda spot: (spot.segment, spot.offset)):
            wanted = list(of_frame)
            try:
                records = read_frame(paths[segment], offset).records
            except (KeyError, StoreError):
                self.faults.lost += len(wanted)
                continue
            for spot in wanted:
                record = split(records[spot.number])
                self._open[record.id] = (spot, record)


def _time_of(record: Record) -> float:
    return amount_of(record.fields.get("at", record.fields.get("ended_at"))) or 0.0
