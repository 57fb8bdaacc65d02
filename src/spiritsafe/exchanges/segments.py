"""Segments: the append-only, crash-safe log that collector and gateway both write. Records are opaque bytes.

Every writer starts a file of its own, so writers need no lock between them; every batch is one frame (see
`exchanges.frames`), on disk before `append` returns. A writer holds an advisory lock on its file, which the kernel lets
go of when the process dies: `has_writer` tells a segment that may still grow from one that is complete.

What a crash leaves: a frame that was not synced may be torn, and it is the last of its file, since the next one is only
written after a sync. So bytes that are no frame and that no frame follows are a torn tail: passed over and reported.
Where a frame follows them they are damage, which is an error; `salvage` then keeps what can still be read.

Limits: on macOS `fsync` leaves the drive's own cache unflushed. Unix only; on network file systems as good as their
locks. A child that was forked without exec shares its parent's lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.atomic import replacing, sync_folder
from spiritsafe.exchanges.frames import (
    FORMAT_VERSION,
    HEADER_BYTES,
    LEVEL,
    Frame,
    NotAFrame,
    NotAHeader,
    encode_frame,
    find_frame,
    new_header,
    read_frame_at,
    read_header,
)

ROLL_BYTES = 128 << 20

_COPY_BYTES = 1 << 20

# macOS has no fdatasync
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch lies: the number and id of its segment, its offset there, and where the next one starts."""

    segment: int
    segment_id: bytes
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class TornTail:
    """Bytes at the end of a segment that are no frame: what a writer that was killed had not finished."""

    path: Path
    offset: int
    length: int


def segment_path(folder: Path, number: int) -> Path:
    """The file of segment `number` in `folder`."""
    return folder / f"{number:08d}.seg"


def segment_numbers(folder: Path) -> list[int]:
    """The numbers of the segments in `folder`, in the order of their making."""
    return sorted(int(path.stem) for path in folder.glob("*.seg") if path.stem.isdecimal())


def segment_id(path: Path) -> bytes | None:
    """The random id in the header of the segment at `path`; None where its writer was killed before it wrote one.

    Raises:
        StoreError: the file cannot be read, its header is damaged, or a newer version wrote it.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(header) < HEADER_BYTES or not any(header):
        return None
    try:
        version, identity = read_header(header)
    except NotAHeader:
        raise _damage(path, 0) from None
    if version > FORMAT_VERSION:
        raise StoreError(f"{path} has format version {version}, wanted at most {FORMAT_VERSION}; upgrade spiritsafe")
    return identity


def has_writer(path: Path) -> bool:
    """Whether the segment at `path` may still grow. Once False it stays False; so ask before reading it to its end.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        return not _locked(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(handle)


def remove_segment(path: Path, kept_as: Path | None = None) -> bool:
    """Remove the segment at `path`, or move it to `kept_as`; False where it has a writer or is gone already.

    Raises:
        StoreError: it cannot be removed.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        if not _locked(handle, fcntl.LOCK_EX | fcntl.LOCK_NB) or not _is_still_at(path, handle):
            return False
        if kept_as is None:
            path.unlink()
        else:
            path.replace(kept_as)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror}; make its folder writable") from None
    finally:
        os.close(handle)
    return True


def _is_still_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _locked(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    return True


def read_frame(path: Path, offset: int) -> Frame:
    """The frame at `offset` of the segment at `path`.

    Raises:
        StoreError: it cannot be read or is damaged.
    """
    try:
        with path.open("rb") as file:
            return read_frame_at(file, offset, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise _unreadable(path, error) from None
    except NotAFrame:
        raise _damage(path, offset) from None


class Scan:
    """Iterates over the frames of one segment; after the last, `torn` says what a killed writer left behind it.

    A segment that is being written may end in a frame that is half there; it is taken for a torn tail too.

    Args:
        path: the segment.
        start: the offset of the first frame wanted; 0 means the first there is.

    Attributes:
        segment_id: the id in the header; empty where the writer was killed before it wrote one.
        end: where the next frame would start, after what was given out so far.
        torn: the torn tail, once iterating has reached it.

    Raises:
        StoreError: on making one, as `segment_id`; in iterating, when bytes that are no frame are followed by a frame.
            All frames before them have been given out by then.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self.torn: TornTail | None = None
        self.segment_id = segment_id(path) or b""
        self.end = max(start, HEADER_BYTES) if self.segment_id else 0

    def __iter__(self) -> Iterator[Frame]:
        try:
            with self.path.open("rb") as file:
                yield from self._frames(file, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def _frames(self, file: IO[bytes], size: int) -> Iterator[Frame]:
        while self.end < size:
            try:
                frame = read_frame_at(file, self.end, size)
            except NotAFrame:
                if find_frame(file, self.end + 1, size) is not None:
                    raise _damage(self.path, self.end) from None
                self.torn = TornTail(self.path, self.end, size - self.end)
                return
            self.end = frame.end
            yield frame


def _damage(path: Path, offset: int) -> StoreError:
    return StoreError(
        f"{path} is damaged at offset {offset}, what is before it is unharmed; put the file back from a copy, or keep "
        f"what is after it too with spiritsafe.exchanges.segments.salvage"
    )


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot read {path}: {error.strerror}; put the file back or make it readable")


def salvage(path: Path) -> int:
    """Keep what can be read of the damaged segment at `path`: whole frames are kept, the rest is cut out.

    The damaged file stays beside it as NAME.damaged. Returns how many bytes were cut out.

    Raises:
        StoreError: the disk did not take it.
    """
    damaged = path.with_suffix(".damaged")
    with path.open("rb") as source, replacing(damaged) as copy:
        while block := source.read(_COPY_BYTES):
            copy.write(block)
    size = damaged.stat().st_size
    kept = offset = HEADER_BYTES
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    with damaged.open("rb") as source, replacing(path) as target:
        target.write(new_header())
        while (frame := find_frame(source, offset, size)) is not None:
            target.write(encode_frame(target.tell(), frame.records, compressor))
            offset = frame.end
            kept += frame.end - frame.offset
    return max(size - kept, 0)


class SegmentWriter:
    """Appends batches to a segment file of its own, made at the first batch; a full file is followed by a new one.

    Args:
        folder: where segments lie; it must exist.
        roll_bytes: a file of this size or more gets no further batch.

    Limits: one thread at a time.
    """

    def __init__(self, folder: Path, roll_bytes: int = ROLL_BYTES) -> None:
        self._folder = folder
        self._roll_bytes = roll_bytes
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._handle: int | None = None
        self._number = 0
        self._id = b""
        self._end = 0

    def append(self, records: Sequence[bytes]) -> Place:
        """Append `records` as one frame; when this returns, they are on disk.

        Raises:
            StoreError: the disk did not take it; nothing of the batch is in the log then, and the next may be tried.
            InputError: the batch is too large.
        """
        try:
            handle = self._opened()
            frame = encode_frame(self._end, records, self._compressor)
            try:
                _write_all(handle, frame)
                _sync(handle)
            except OSError:
                self._cut(handle)
                raise
        except OSError as error:
            raise StoreError(
                f"cannot append to {segment_path(self._folder, self._number)}: {error.strerror}; make room there and "
                f"run again: nothing stored before is lost"
            ) from None
        place = Place(self._number, self._id, self._end, self._end + len(frame))
        self._end = place.end
        return place

    def _opened(self) -> int:
        if self._handle is not None and self._end >= self._roll_bytes:
            self.close()
        if self._handle is None:
            self._handle = self._created()
        return self._handle

    def _created(self) -> int:
        """A new segment with its header, under a number that no other writer has taken."""
        self._number = max(segment_numbers(self._folder), default=0)
        handle = None
        while handle is None:
            self._number += 1
            with suppress(FileExistsError):
                handle = _made(segment_path(self._folder, self._number))
        header = new_header()
        try:
            _write_all(handle, header)
            sync_folder(self._folder)
        except OSError:
            os.close(handle)
            segment_path(self._folder, self._number).unlink()
            raise
        self._id = read_header(header)[1]
        self._end = len(header)
        return handle

    def _cut(self, handle: int) -> None:
        """Cut off a frame that did not get through; where that fails too, leave a torn tail and start another file."""
        try:
            os.ftruncate(handle, self._end)
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the file. All that was appended is on disk already."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _made(path: Path) -> int | None:
    """A new file, locked; None where somebody took it for an abandoned one before it was, and removed it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
    except OSError:
        os.close(handle)
        path.unlink()
        raise
    os.close(handle)
    return None


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
