"""Segments: whatever a crash or the disk does to the end of a file, what was acknowledged before is read back."""

import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.frames import HEADER_BYTES, encode_frame
from spiritsafe.exchanges.segments import (
    Place,
    Scan,
    SegmentWriter,
    read_frame,
    salvage,
    segment_numbers,
    segment_path,
)

BATCHES = [[b"first", b""], [b"second" * 50], [b"third", b"fourth", b"fifth" * 9]]
BATCH = list[bytes]


def write(folder: Path, batches: list[BATCH]) -> list[Place]:
    writer = SegmentWriter(folder)
    places = [writer.append(batch) for batch in batches]
    writer.close()
    return places


def read(path: Path) -> list[BATCH]:
    return [list(frame.records) for frame in Scan(path)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Place]]:
    """The bytes of a segment that holds BATCHES, and where they lie."""
    folder = tmp_path_factory.mktemp("sample")
    places = write(folder, BATCHES)
    return segment_path(folder, 1).read_bytes(), places


@settings(max_examples=30)
@given(st.lists(st.lists(st.binary(max_size=200), max_size=5), max_size=5))
def test_batches_come_back_in_order_and_by_place(
    tmp_path_factory: pytest.TempPathFactory, batches: list[BATCH]
) -> None:
    folder = tmp_path_factory.mktemp("log")

    places = write(folder, batches)

    assert [batch for number in segment_numbers(folder) for batch in read(segment_path(folder, number))] == batches
    for place, batch in zip(places, batches, strict=True):
        assert list(read_frame(segment_path(folder, place.segment), place.offset).records) == batch


def test_a_segment_cut_off_at_any_byte_keeps_every_frame_before(
    tmp_path: Path, sample: tuple[bytes, list[Place]]
) -> None:
    data, places = sample
    path = tmp_path / "00000001.seg"
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        scan = Scan(path)

        whole = [place for place in places if place.end <= length]
        end = whole[-1].end if whole else (HEADER_BYTES if length >= HEADER_BYTES else 0)
        assert [list(frame.records) for frame in scan] == BATCHES[: len(whole)]
        assert (scan.torn is None) == (length == end)
        if scan.torn:
            assert (scan.torn.offset, scan.torn.length) == (end, length - end)


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"FRME"])
def test_a_tail_of_anything_hides_nothing_and_is_reported(
    tmp_path: Path, sample: tuple[bytes, list[Place]], filler: bytes
) -> None:
    data, _ = sample
    path = tmp_path / "00000001.seg"
    path.write_bytes(data + filler * 300)
    scan = Scan(path)

    assert [list(frame.records) for frame in scan] == BATCHES
    assert scan.torn is not None
    assert scan.torn.offset == len(data)


@given(st.data())
def test_a_changed_byte_anywhere_is_noticed_and_what_is_before_it_is_kept(
    tmp_path_factory: pytest.TempPathFactory, sample: tuple[bytes, list[Place]], data: st.DataObject
) -> None:
    whole, places = sample
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("changed") / "00000001.seg"
    path.write_bytes(changed)
    came: list[BATCH] = []
    torn = error = None

    try:
        scan = Scan(path)
        for frame in scan:
            came.append(list(frame.records))
        torn = scan.torn
    except StoreError as raised:
        error = raised

    unharmed = [place for place in places if place.end <= at] if at >= HEADER_BYTES else []
    assert came == BATCHES[: len(unharmed)]
    if at >= places[-1].offset:
        assert torn is not None
    else:
        damaged_at = 0 if at < HEADER_BYTES else (unharmed[-1].end if unharmed else HEADER_BYTES)
        assert f"{path} is damaged at offset {damaged_at}" in str(error)


def test_scanning_starts_where_it_is_told(tmp_path: Path) -> None:
    places = write(tmp_path, BATCHES)

    scan = Scan(segment_path(tmp_path, 1), places[1].offset)

    assert [list(frame.records) for frame in scan] == BATCHES[1:]
    assert scan.end == places[-1].end


@pytest.mark.parametrize("move", [lambda place: place.offset + 1, lambda place: place.end, lambda place: 0])
def test_reading_where_no_frame_starts_is_a_store_error(tmp_path: Path, move: Callable[[Place], int]) -> None:
    places = write(tmp_path, BATCHES)

    with pytest.raises(StoreError, match="damaged at offset"):
        read_frame(segment_path(tmp_path, 1), move(places[-1]))


def test_every_writer_has_a_file_of_its_own_made_at_its_first_batch(tmp_path: Path) -> None:
    writers = [SegmentWriter(tmp_path) for _ in range(3)]
    assert segment_numbers(tmp_path) == []

    numbers = [writer.append([b"a"]).segment for _ in range(2) for writer in writers]

    assert numbers == [1, 2, 3, 1, 2, 3]
    assert all(read(segment_path(tmp_path, number)) == [[b"a"], [b"a"]] for number in (1, 2, 3))
    for writer in writers:
        writer.close()


def test_writers_that_start_at_once_do_not_share_a_file(tmp_path: Path) -> None:
    def start(number: int) -> int:
        barrier.wait()
        writer = SegmentWriter(tmp_path)
        place = writer.append([b"%d" % number])
        writer.close()
        return place.segment

    writers = 8
    barrier = threading.Barrier(writers)
    with ThreadPoolExecutor(writers) as pool:
        numbers = list(pool.map(start, range(writers)))

    assert sorted(numbers) == list(range(1, writers + 1))
    assert all(read(segment_path(tmp_path, number)) == [[b"%d" % at]] for at, number in enumerate(numbers))


def test_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, roll_bytes=200)

    numbers = [writer.append([os.urandom(60)]).segment for _ in range(5)]

    writer.close()
    assert numbers == [1, 1, 2, 2, 3]


def test_a_frame_in_another_place_is_not_taken_for_one(tmp_path: Path) -> None:
    write(tmp_path, BATCHES)
    path = segment_path(tmp_path, 1)
    size = path.stat().st_size
    forged = encode_frame(size, [b"forged"], zstandard.ZstdCompressor())
    path.write_bytes(path.read_bytes() + b"torn" + forged)
    scan = Scan(path)

    assert [list(frame.records) for frame in scan] == BATCHES
    assert scan.torn is not None


def test_salvage_keeps_all_frames_but_the_damaged(tmp_path: Path) -> None:
    places = write(tmp_path, BATCHES)
    path = segment_path(tmp_path, 1)
    data = bytearray(path.read_bytes())
    data[places[1].offset + 30] ^= 1
    path.write_bytes(data)

    assert salvage(path) == places[1].end - places[1].offset
    assert read(path) == [BATCHES[0], BATCHES[2]]
    assert path.with_suffix(".damaged").read_bytes() == data
    assert segment_numbers(tmp_path) == [1]


def test_salvage_does_not_need_the_header(tmp_path: Path) -> None:
    write(tmp_path, BATCHES)
    path = segment_path(tmp_path, 1)
    path.write_bytes(b"?" * HEADER_BYTES + path.read_bytes()[HEADER_BYTES:])
    with pytest.raises(StoreError, match="damaged at offset 0"):
        Scan(path)

    assert salvage(path) == 0
    assert read(path) == BATCHES


def test_a_segment_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path, BATCHES)
    path = segment_path(tmp_path, 1)
    header = bytearray(path.read_bytes()[: HEADER_BYTES - 4])
    header[8:12] = (2).to_bytes(4, "little")
    path.write_bytes(bytes(header) + zlib.crc32(header).to_bytes(4, "little"))

    with pytest.raises(StoreError, match="format version 2, wanted at most 1; upgrade"):
        Scan(path)


FULL_DISK = """
import os, resource, sys
from pathlib import Path
from spiritsafe.errors import StoreError
from spiritsafe.exchanges.segments import SegmentWriter

folder, most = Path(sys.argv[1]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]
writer = SegmentWriter(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most))
while True:
    try:
        writer.append([os.urandom(999)])
        print("stored", flush=True)
    except StoreError as error:
        print(error, flush=True)
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
writer.append([b"after room was made"])
"""


def test_a_full_disk_is_a_store_error_and_leaves_the_segment_whole(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    scan = Scan(segment_path(tmp_path, 1))
    frames = list(scan)

    assert "cannot append" in lines[-1]
    assert "make room" in lines[-1]
    assert len(frames) == lines.count("stored") + 1 > 5
    assert frames[-1].records == (b"after room was made",)
    assert scan.torn is None
    assert segment_numbers(tmp_path) == [1]


def test_a_folder_that_cannot_take_a_segment_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot append"):
        SegmentWriter(tmp_path / "missing").append([b"a"])
