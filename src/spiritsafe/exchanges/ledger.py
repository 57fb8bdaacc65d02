"""Ledger: every exchange that was paid for, durable before it counts, found again by the key of its request.

A folder with `segments/` (the log, which is the truth), `index.sqlite` (derived from it, see `exchanges.index`) and
`lock`. Opening takes in what the log holds past the index: a killed process loses nothing that `append` returned for.

    with Ledger.open(folder) as ledger:
        key = request_key(endpoint, model, request, extra_body)
        if not ledger.has(key):
            ledger.append([replace(answer, id=key.hex(), charged_to="demo")])
        ledger.spent("demo").dollars

Memory is flat in the number of exchanges: keys are looked up in SQLite, frames are read one at a time.
"""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.atomic import sync_folder
from spiritsafe.exchanges.entries import CRASHED, Attempt, Entry, LeaseLevel, Record, attempt_of, decode, encode
from spiritsafe.exchanges.index import Index, Spend, remove_index
from spiritsafe.exchanges.keys import request_key
from spiritsafe.exchanges.lease import Lease
from spiritsafe.exchanges.line import from_json, loads
from spiritsafe.exchanges.lock import FolderLock
from spiritsafe.exchanges.record import Exchange
from spiritsafe.exchanges.segments import (
    Place,
    Scan,
    SegmentWriter,
    TornTail,
    read_frame,
    segment_id,
    segment_numbers,
    segment_path,
)

__all__ = ["Attempt", "Lease", "Ledger", "Spend", "request_key"]

FRAME_BYTES = 4 << 20
"""A batch of more is split: reading one exchange back unpacks its whole frame."""

CACHED_FRAMES = 4


class Ledger:
    """An open ledger; made by `Ledger.open`.

    Attributes:
        folder: where it lies.
        torn: what killed writers left at the ends of segments, found while opening; none of it was acknowledged.

    Limits: one process writes. In that process any thread may call any method; a lease belongs to one thread.
    """

    def __init__(self, folder: Path, index: Index, lock: FolderLock | None) -> None:
        self.folder = folder
        self.torn: list[TornTail] = []
        self._segments = folder / "segments"
        self._index = index
        self._lock = lock
        self._writer = SegmentWriter(self._segments) if lock else None
        self._writing = Lock()
        self._reading = Lock()
        self._frames: OrderedDict[tuple[int, int], tuple[bytes, ...]] = OrderedDict()
        self._leases: dict[str, Lease] = {}

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False, now_s: Callable[[], float] = time.time) -> Ledger:
        """Open the ledger in `folder`, made if it is missing.

        The left-over lease of a killed process is charged in full, as an attempt of kind "crashed".

        Args:
            folder: where it lies.
            read_only: take no lock and write nothing; what is appended later is not seen.
            now_s: the clock, in unix seconds, for that attempt.

        Raises:
            StoreError: another process has it open, a segment is damaged, or the disk does not take it.
        """
        lock = None if read_only else _locked(folder)
        try:
            ledger = cls(folder, _open_index(folder, read_only), lock)
            ledger._catch_up()
            if not read_only:
                ledger._charge_left_leases(now_s())
        except BaseException:
            if lock:
                lock.close()
            raise
        return ledger

    def _catch_up(self) -> None:
        """Take into the index what the log holds past it."""
        with _index_errors(self.folder):
            scanned = self._index.scanned()
            for number in segment_numbers(self._segments):
                scan = Scan(segment_path(self._segments, number), scanned.get(number, (b"", 0))[1])
                for frame in scan:
                    entries = [decode(record)[0] for record in frame.records]
                    self._index.add(Place(number, scan.segment_id, frame.offset, frame.end), entries)
                if scan.torn:
                    self.torn.append(scan.torn)

    def _charge_left_leases(self, at: float) -> None:
        left = self._index.leases()
        attempts = [Attempt(at, b"", one.charged_to, CRASHED, one.dollars, 0, one.tokens) for one in left]
        # One frame, so that a crash here charges them once: the attempts and the empty leases are there, or neither.
        records: list[Record] = [*attempts, *[LeaseLevel(one.charged_to) for one in left]]
        self.append_encoded([encode(record) for record in records])

    def has(self, key: bytes) -> bool:
        """Whether the request with that key was answered.

        Raises:
            StoreError: the index cannot be read.
        """
        with self._reading, _index_errors(self.folder):
            return self._index.has(key)

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` (at most 999) whose requests were answered: many at once cost little more than one.

        Raises:
            StoreError: the index cannot be read.
        """
        with self._reading, _index_errors(self.folder):
            return self._index.known(keys)

    def get(self, key: bytes) -> Exchange | None:
        """The exchange of the request with that key, the last one if there are several; None if there is none.

        Raises:
            StoreError: it is damaged or cannot be read.
        """
        with self._reading, _index_errors(self.folder):
            place = self._index.place_of(key)
            return None if place is None else _stored(loads, self._frame(*place[:2])[place[2]])

    def _frame(self, number: int, offset: int) -> tuple[bytes, ...]:
        where = (number, offset)
        if where not in self._frames:
            self._frames[where] = read_frame(segment_path(self._segments, number), offset).records
            if len(self._frames) > CACHED_FRAMES:
                self._frames.popitem(last=False)
        self._frames.move_to_end(where)
        return self._frames[where]

    def append(self, batch: Sequence[Exchange | Attempt]) -> None:
        """Store `batch`; when this returns, all of it is on disk.

        Raises:
            InputError: an exchange whose id is no request key, or that JSON cannot hold; nothing is stored.
            StoreError: the disk did not take it, or the ledger is closed or read-only.
        """
        self.append_encoded([encode(record) for record in batch])

    def append_encoded(self, batch: Sequence[tuple[bytes, Entry]]) -> None:
        """Store records that `encode` made; when this returns, all of them are on disk.

        Raises:
            StoreError: as `append`.
        """
        with self._writing:
            for part in _parts(batch):
                self._append_frame([line for line, _ in part], [entry for _, entry in part])

    def _append_frame(self, lines: list[bytes], entries: list[Entry]) -> None:
        if self._writer is None:
            raise StoreError(f"ledger {shown(str(self.folder))} is closed or read-only; open it for writing")
        place = self._writer.append(lines)
        try:
            self._index.add(place, entries)
        except sqlite3.Error as error:
            # The next frame would move the index past this one, so there is none: opening again makes up for it.
            self._writer.close()
            self._writer = None
            raise StoreError(
                f"ledger {shown(str(self.folder))} stored the batch but not its index ({error}); make room there and "
                f"open it again"
            ) from None

    def lease(self, charged_to: str) -> Lease:
        """The lease for requests charged to `charged_to`; settle it when all of them are answered or given up.

        Raises:
            StoreError: there is one already that is not settled.
        """
        held = self._leases.get(charged_to)
        if held is not None and not held.is_settled:
            raise StoreError(f"a lease of {shown(charged_to)} is held already; share it, or settle it first")
        lease = self._leases[charged_to] = Lease(charged_to, self._write_level)
        return lease

    def _write_level(self, level: LeaseLevel) -> None:
        self.append_encoded([encode(level)])

    def spent(self, charged_to: str) -> Spend:
        """What was charged to `charged_to`, answers and attempts together.

        Raises:
            StoreError: the index cannot be read.
        """
        return sum(self.spent_by_kind(charged_to).values(), Spend())

    def spent_by_kind(self, charged_to: str) -> dict[str, Spend]:
        """The same by kind: "answered", and the kinds of attempts.

        Raises:
            StoreError: the index cannot be read.
        """
        with self._reading, _index_errors(self.folder):
            return self._index.spending(charged_to)

    def exchanges(self) -> Iterator[Exchange]:
        """All exchanges in the order they were stored; a request that was answered twice comes twice.

        Raises:
            StoreError: a segment is damaged; all that is before the damage has been given out by then.
        """
        for row in self._rows():
            if "messages" in row:
                yield _stored(from_json, row)

    def attempts(self) -> Iterator[Attempt]:
        """All attempts in the order they were stored.

        Raises:
            StoreError: as `exchanges`.
        """
        for row in self._rows():
            if "attempt" in row and "messages" not in row:
                yield attempt_of(row)

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        for number in segment_numbers(self._segments):
            for frame in Scan(segment_path(self._segments, number)):
                for record in frame.records:
                    yield decode(record)[1]

    def close(self) -> None:
        """Let go of the files and the lock. Leases that are not settled stay, and are charged at the next opening."""
        with self._writing, self._reading:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._index.close()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(folder: Path) -> FolderLock:
    try:
        (folder / "segments").mkdir(parents=True, exist_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise StoreError(f"cannot make ledger {shown(str(folder))}: {error.strerror}; give another folder") from None
    return FolderLock(folder)


def _open_index(folder: Path, read_only: bool) -> Index:
    """The index of the ledger in `folder` if it can be used, else an empty one."""
    if read_only and not (folder / "segments").is_dir():
        raise StoreError(f"there is no ledger in {shown(str(folder))}; give the folder of one")
    path = folder / "index.sqlite"
    try:
        index = _copied_index(path) if read_only else Index(path)
        if _agrees(index, folder / "segments"):
            return index
        index.close()
    except sqlite3.Error:
        pass  # damaged or of another version: as good as none
    with _index_errors(folder):
        if read_only:
            return Index(None)
        remove_index(path)
        return Index(path)


def _copied_index(path: Path) -> Index:
    index = Index(None)
    if path.exists():
        index.copy_from(path)
    return index


def _agrees(index: Index, segments: Path) -> bool:
    """Whether the segments that `index` has taken in are there, the same ones and at least as long."""
    for number, (identity, end) in index.scanned().items():
        path = segment_path(segments, number)
        if not path.exists() or path.stat().st_size < end or segment_id(path) != identity:
            return False
    return True


def _parts(encoded: Sequence[tuple[bytes, Entry]]) -> Iterator[list[tuple[bytes, Entry]]]:
    """`encoded` in parts of about FRAME_BYTES, none of them empty."""
    part: list[tuple[bytes, Entry]] = []
    size = 0
    for one in encoded:
        if part and size + len(one[0]) > FRAME_BYTES:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one[0])
    if part:
        yield part


def _stored(read: Callable[[Any], Exchange], record: Any) -> Exchange:
    """The exchange in `record`; what the ledger wrote and cannot read is damage and not bad input."""
    try:
        return read(record)
    except InputError as error:
        raise StoreError(f"the ledger holds an exchange that cannot be read: {error}") from None


@contextmanager
def _index_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"cannot use {shown(str(folder / 'index.sqlite'))}: {error}; make room there, or remove the file: it is "
            f"made again"
        ) from None
