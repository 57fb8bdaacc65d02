"""New exchanges from segments that are being written."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.log.logged import AT, ended, received, whole, write

from spiritsafe.exchanges.segments import SegmentWriter, remove_segment, segment_path
from spiritsafe.guard.log.records import Record
from spiritsafe.guard.log.tail import Tail

HOUR_S = 3600.0


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    folder = tmp_path / "segments"
    folder.mkdir()
    return folder


@pytest.fixture
def writers(segments: Path) -> Iterator[list[SegmentWriter]]:
    """Three workers' writers, closed in the end."""
    with ExitStack() as stack:
        made = [SegmentWriter(segments) for _ in range(3)]
        for writer in made:
            stack.callback(writer.close)
        yield made


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def damage(path: Path, mark: bytes) -> None:
    """Change a byte after the first `mark` in the file at `path`."""
    data = bytearray(path.read_bytes())
    data[data.index(mark) + len(mark) + 30] ^= 1
    path.write_bytes(data)


def test_records_of_one_exchange_are_joined_over_frames_segments_and_workers(
    segments: Path, writers: list[SegmentWriter]
) -> None:
    tail = Tail(segments)
    writers[0].append([received("a"), received("b"), whole("c")])
    writers[1].append([ended("b")])
    first = tail.read()
    writers[0].append([ended("a")])

    second = tail.read()

    assert ids(first) == ["c", "b"]
    assert ids(second) == ["a"]
    for record in first + second:
        assert record.kind == "whole"
        assert record.fields["status"] == 200
        assert record.fields["account"] == "acme"
        assert record.request is not None
        assert record.response is not None


def test_an_end_that_is_read_before_its_request_waits_for_it(segments: Path, writers: list[SegmentWriter]) -> None:
    tail = Tail(segments)
    writers[0].append([ended("a")])
    assert tail.read() == []
    writers[1].append([received("a")])

    assert ids(tail.read()) == ["a"]


def test_nothing_comes_twice(segments: Path, writers: list[SegmentWriter]) -> None:
    tail = Tail(segments)
    writers[0].append([whole("a")])

    assert [ids(tail.read()) for _ in range(3)] == [["a"], [], []]


def test_a_frame_that_is_half_there_is_read_when_it_is_whole(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [whole("a")], [whole("b")])
    path = segment_path(segments, 1)
    data = path.read_bytes()
    tail = Tail(segments)
    came: list[str] = []
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for at in range(0, len(data), 7):
            file.write(data[at : at + 7])
            came += ids(tail.read())

    assert came == ["a", "b"]
    assert tail.complete == {}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 9), st.integers(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 9), st.integers(0, 2)),
        st.tuples(st.just("whole"), st.integers(0, 9), st.integers(0, 2)),
        st.tuples(
            st.sampled_from(["read", "read a little", "go on as another", "roll"]), st.just(0), st.integers(0, 2)
        ),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(ACTIONS)
def test_whatever_workers_and_readers_do_every_exchange_that_ended_comes_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    made = [SegmentWriter(folder) for _ in range(3)]
    tail = Tail(folder)
    came: list[str] = []
    wanted: list[str] = []
    begun: dict[int, str] = {}
    for number, (what, one, worker) in enumerate(actions):
        if what == "start" and one not in begun:
            begun[one] = f"{number}"
            made[worker].append([received(begun[one])])
        elif what == "end" and one in begun:
            wanted.append(begun.pop(one))
            made[worker].append([ended(wanted[-1])])
        elif what == "whole":
            wanted.append(f"{number}")
            made[worker].append([whole(wanted[-1])])
        elif what == "roll":
            made[worker].close()
        elif what == "go on as another":
            tail = Tail(folder, json.loads(json.dumps(tail.state())))
        elif what.startswith("read"):
            came += ids(tail.read(1 if what == "read a little" else 1 << 20))
    for writer in made:
        writer.close()
    came += ids(tail.read())
    came += ids(tail.read())

    assert sorted(came) == sorted(wanted)
    assert sorted(ids(tail.unfinished(AT + HOUR_S + 1, HOUR_S))) == sorted(begun.values())
    assert tail.faults.unreadable == tail.faults.lost == tail.faults.late == 0


def test_reading_stops_after_so_many_bytes_and_says_that_there_is_more(segments: Path, tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, [whole(f"{number}-a")], [whole(f"{number}-b")])
    tail = Tail(segments)
    came = [(ids(tail.read(1)), tail.is_behind) for _ in range(7)]

    assert came == [([f"{number}-{letter}"], True) for number in range(3) for letter in "ab"] + [([], False)]


def test_a_request_is_given_up_when_it_is_old_and_its_writer_is_gone(
    segments: Path, writers: list[SegmentWriter]
) -> None:
    tail = Tail(segments)
    writers[0].append([received("old"), received("young", at=AT + HOUR_S)])
    tail.read()
    assert tail.unfinished(AT + HOUR_S + 1, HOUR_S) == []  # its writer lives

    writers[0].close()
    tail.read()

    assert tail.unfinished(AT + HOUR_S - 1, HOUR_S) == []
    [record] = tail.unfinished(AT + HOUR_S + 1, HOUR_S)
    assert (record.kind, record.id) == ("received", "old")
    assert tail.unfinished(AT + HOUR_S + 1, HOUR_S) == []


def test_the_end_of_what_was_given_up_is_counted_and_comes_no_second_time(
    segments: Path, writers: list[SegmentWriter]
) -> None:
    tail = Tail(segments)
    writers[0].append([received("a")])
    writers[0].close()
    tail.read()
    assert ids(tail.unfinished(AT + 2 * HOUR_S, HOUR_S)) == ["a"]
    writers[1].append([ended("a")])
    tail = Tail(segments, tail.state())

    assert tail.read() == []
    assert tail.faults.late == 1
    assert tail.unfinished(AT + 30 * HOUR_S, HOUR_S) == []
    assert tail.state()["given_up"] == {}


def test_an_end_whose_request_never_comes_is_given_out_alone(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [ended("a")])
    tail = Tail(segments)
    assert tail.read() == []

    [record] = tail.unfinished(AT + 2 * HOUR_S, HOUR_S)

    assert (record.kind, record.id) == ("ended", "a")


def test_segments_that_are_read_to_their_end_and_those_still_needed_are_told(
    segments: Path, writers: list[SegmentWriter]
) -> None:
    writers[0].append([received("a")])
    writers[0].close()
    writers[1].append([whole("b")])
    tail = Tail(segments)

    tail.read()

    assert list(tail.complete) == [segment_path(segments, 1)]
    assert tail.needed == set(tail.complete.values())
    writers[1].append([ended("a")])
    tail.read()
    assert tail.needed == set()


def test_a_number_that_is_given_to_another_segment_is_read_again(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [whole("a")])
    tail = Tail(segments)
    assert ids(tail.read()) == ["a"]
    remove_segment(segment_path(segments, 1))
    write(tmp_path, [whole("b")])

    assert ids(tail.read()) == ["b"]
    assert len(tail.state()["offsets"]) == 1


def test_damage_is_passed_over_and_reported(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [whole("a")], [whole("b")], [whole("c")])
    path = segment_path(segments, 1)
    damage(path, path.read_bytes()[32 + path.read_bytes()[32:].index(b"FRME", 4) :][:20])
    tail = Tail(segments)

    assert ids(tail.read()) == ["a", "c"]
    assert "is damaged at offset" in tail.faults.damaged[path]
    assert tail.faults.spoilt == set(tail.complete.values())
    assert Tail(segments, tail.state()).faults.spoilt == tail.faults.spoilt


def test_a_segment_with_a_damaged_header_is_left_alone_and_reported(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [whole("a")])
    write(tmp_path, [received("b")])
    path = segment_path(segments, 1)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    tail = Tail(segments)

    assert tail.read() == []
    assert list(tail.faults.damaged) == [path]
    assert list(tail.complete) == [segment_path(segments, 2)]
    assert len(Tail(segments, tail.state()).needed) == 1


def test_records_of_others_are_counted(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [b"what?", whole("a"), b'{"k":"other","id":"x"}'])
    tail = Tail(segments)

    assert ids(tail.read()) == ["a"]
    assert tail.faults.unreadable == 2
    assert tail.faults.spoilt == set(tail.complete.values())


def test_requests_whose_segment_is_gone_are_counted(segments: Path, tmp_path: Path) -> None:
    write(tmp_path, [received("a"), received("b")])
    tail = Tail(segments)
    tail.read()
    segment_path(segments, 1).unlink()

    assert Tail(segments, tail.state()).faults.lost == 2


def test_a_segment_that_its_writer_never_began_is_complete(segments: Path) -> None:
    segment_path(segments, 1).touch()
    tail = Tail(segments)

    assert tail.read() == []
    assert tail.complete == {segment_path(segments, 1): ""}


def test_a_folder_without_segments_has_none(tmp_path: Path) -> None:
    assert Tail(tmp_path / "missing").read() == []
