"""Frames: what is read is what was written there, or not a frame."""

import io
import struct
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.exchanges.frames import MARK, MOST_RAW_BYTES, NotAFrame, encode_frame, find_frame, read_frame_at

COMPRESSOR = zstandard.ZstdCompressor(level=1)


def crafted(raw: bytes, count: int, raw_length: int | None = None) -> bytes:
    """A frame at offset 0 with a right checksum around whatever content."""
    payload = COMPRESSOR.compress(raw)
    sizes = (len(payload), len(raw) if raw_length is None else raw_length, count)
    crc = zlib.crc32(payload, zlib.crc32(struct.pack("<QIII", 0, *sizes)))
    return MARK + struct.pack("<IIII", *sizes, crc) + payload


def read(data: bytes) -> tuple[bytes, ...]:
    return read_frame_at(io.BytesIO(data), 0, len(data)).records


@given(st.lists(st.binary(max_size=50)), st.integers(0, 1000))
def test_a_frame_is_read_where_it_was_written(records: list[bytes], offset: int) -> None:
    data = b"." * offset + encode_frame(offset, records, COMPRESSOR)
    frame = find_frame(io.BytesIO(data), 0, len(data))

    assert frame is not None
    assert (frame.offset, frame.end, list(frame.records)) == (offset, len(data), records)


def test_a_crafted_frame_is_read_as_it_says() -> None:
    assert read(crafted(struct.pack("<II", 1, 2) + b"abb", 2)) == (b"a", b"bb")


@pytest.mark.parametrize(
    "data",
    [
        crafted(struct.pack("<II", 1, 2) + b"abbccc", 2),
        crafted(struct.pack("<II", 1, 9) + b"abb", 2),
        crafted(struct.pack("<I", 1), 2),
        crafted(b"", 2**32 - 1),
        crafted(struct.pack("<I", 1) + b"a", 1, raw_length=4),
        crafted(b"", 0, raw_length=MOST_RAW_BYTES + 1),
        MARK + struct.pack("<IIII", 3, 3, 0, zlib.crc32(b"abc", zlib.crc32(struct.pack("<QIII", 0, 3, 3, 0)))) + b"abc",
    ],
)
def test_a_right_checksum_is_not_believed_alone(data: bytes) -> None:
    with pytest.raises(NotAFrame):
        read(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_no_frame(data: bytes) -> None:
    with pytest.raises(NotAFrame):
        read(MARK + data)


def test_more_than_a_frame_can_hold_is_an_input_error() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return MOST_RAW_BYTES

    with pytest.raises(InputError, match="append fewer at once"):
        encode_frame(0, [Huge()], COMPRESSOR)
