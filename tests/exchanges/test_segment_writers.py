"""Whether a segment still has a writer, and that nobody removes one that has."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.segments import (
    Scan,
    SegmentWriter,
    has_writer,
    remove_segment,
    segment_numbers,
    segment_path,
)

WRITER = """
import sys, time
from pathlib import Path
from spiritsafe.exchanges.segments import SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]))
writer.append([b"a"])
print("written", flush=True)
time.sleep(60)
"""

ROBBED = """
import sys
from pathlib import Path
from spiritsafe.exchanges.segments import SegmentWriter, remove_segment, segment_path

folder, robbed = Path(sys.argv[1]), []

def rob(event, arguments):
    if event == "fcntl.flock" and not robbed:
        robbed.append(event)
        print("removed" if remove_segment(segment_path(folder, 1)) else "kept", flush=True)

sys.addaudithook(rob)
SegmentWriter(folder).append([b"a"])
"""


def test_a_segment_has_a_writer_until_it_is_closed(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append([b"a"])
    path = segment_path(tmp_path, 1)

    assert has_writer(path)
    writer.close()
    assert not has_writer(path)


def test_a_full_segment_has_no_writer_any_more(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, roll_bytes=1)
    writer.append([b"a"])
    writer.append([b"b"])

    assert [has_writer(segment_path(tmp_path, number)) for number in (1, 2)] == [False, True]
    writer.close()


def test_a_writer_in_another_process_is_seen_and_its_death_too(tmp_path: Path) -> None:
    path = segment_path(tmp_path, 1)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert has_writer(path)
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert not has_writer(path)
    assert [frame.records for frame in Scan(path)] == [(b"a",)]


def test_a_segment_that_has_a_writer_is_not_removed(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append([b"a"])
    path = segment_path(tmp_path, 1)

    assert not remove_segment(path)
    assert path.exists()
    writer.close()
    assert remove_segment(path)
    assert not path.exists()
    assert not remove_segment(path)


def test_a_segment_can_be_set_aside(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append([b"a"])
    writer.close()

    assert remove_segment(segment_path(tmp_path, 1), tmp_path / "00000001.damaged")

    assert [path.name for path in tmp_path.iterdir()] == ["00000001.damaged"]


def test_asking_whether_a_missing_segment_has_a_writer_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        has_writer(segment_path(tmp_path, 1))


def test_a_file_that_is_removed_before_its_writer_has_locked_it_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ROBBED, str(tmp_path)], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["removed"]
    [number] = segment_numbers(tmp_path)
    assert [frame.records for frame in Scan(segment_path(tmp_path, number))] == [(b"a",)]


def test_a_second_look_does_not_take_the_lock_away(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append([b"a"])
    path = segment_path(tmp_path, 1)

    os.close(os.open(path, os.O_RDONLY))

    assert has_writer(path)
    assert has_writer(path)
    writer.close()
