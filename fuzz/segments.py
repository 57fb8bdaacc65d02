"""A damaged segment of the log gives its frames as they were, in their order, up to where it says it is damaged."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.frames import HEADER_BYTES
from spiritsafe.exchanges.segments import Scan, SegmentWriter, salvage, segment_path

_BATCHES: tuple[tuple[bytes, ...], ...] = (
    (b'{"k":"received","v":1}', b"FRME" + bytes(range(64))),
    (b"",),
    (b"x" * 300, b"SPRTSAFE", b"y"),
    (b"FRME" * 20,),
)


def _written() -> bytes:
    with TemporaryDirectory(prefix="spiritsafe-fuzz-") as folder:
        writer = SegmentWriter(Path(folder))
        for batch in _BATCHES:
            writer.append(batch)
        writer.close()
        return segment_path(Path(folder), 1).read_bytes()


_WHOLE = _written()
_MEMORY = Path("/dev/shm")
"""Where it is there, no disk is waited for."""

_FOLDER = TemporaryDirectory(prefix="spiritsafe-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)
_PLACE = Path(_FOLDER.name) / "00000001.seg"

SEEDS = (
    b"\x00",
    b"\x01" + _WHOLE,
    b"\x01" + _WHOLE[:-5],
    b"\x01" + _WHOLE[:HEADER_BYTES],
    b"\x02" + (40).to_bytes(2, "little") + b"\x01\x00" + b"\x07",
    b"\x02" + (80).to_bytes(2, "little") + b"\x10\x00" + b"FRME",
)
WORDS = (b"FRME", b"SPRTSAFE", b"\x28\xb5\x2f\xfd", b"\x01\x00\x00\x00", b"\xff\xff\xff\xff")


def check(data: bytes) -> None:
    """What is read is what was written, or an error that says so."""
    damaged = _damaged(data)
    _PLACE.write_bytes(damaged)
    frames: list[tuple[bytes, ...]] = []
    try:
        scan = Scan(_PLACE)
        frames.extend(frame.records for frame in scan)
    except StoreError:
        pass
    else:
        end = scan.torn.offset + scan.torn.length if scan.torn is not None else scan.end
        assert end == len(damaged) or (end == 0 and not scan.segment_id), "bytes were passed over"
    assert tuple(frames) == _BATCHES[: len(frames)], "other records were read"
    if damaged == _WHOLE:
        assert len(frames) == len(_BATCHES)
    if len(damaged) > HEADER_BYTES:
        _check_salvaged(len(frames))


def _check_salvaged(read: int) -> None:
    """Salvage keeps at least what could be read before, and only what was written."""
    salvage(_PLACE)
    kept = [frame.records for frame in Scan(_PLACE)]
    left = iter(_BATCHES)
    assert all(batch in left for batch in kept), "other records were kept"
    assert tuple(kept[:read]) == _BATCHES[:read]


def _damaged(data: bytes) -> bytes:
    """Bytes as they come, or the whole segment with pieces put in the place of others."""
    if data[:1] != b"\x02":
        return data[1:] if data[:1] == b"\x01" else _WHOLE
    damaged, data = bytearray(_WHOLE), data[1:]
    while len(data) >= 4:
        at, size = int.from_bytes(data[:2], "little") % len(_WHOLE), data[2] % 32
        new, data = data[4 : 4 + data[3] % 32], data[4 + data[3] % 32 :]
        damaged[at : at + size] = new
    return bytes(damaged)
