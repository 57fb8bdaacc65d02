import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.streams import cuts, lengths, pieces_of

from spiritsafe.wire.sse import Splitter, data_of, events_in

STREAM = (
    b": comment\n\n"
    b"data: one\n\n"
    b"data:two\n\n"
    b"event: named\ndata: three\nid: 7\nretry: 5\n\n"
    b"data: a\ndata:  b\ndata\ndata:\n\n"
    b"\n\n\n"
    b"event: nothing\n\n"
    b"data: \xc3\xa9 not: split\n\n"
    b"data: unfinished\n"
)
DATA = [b"one", b"two", b"three", b"a\n b\n\n", b"\xc3\xa9 not: split"]


def data_in(*pieces: bytes) -> list[bytes]:
    splitter = Splitter()
    return [data for piece in pieces for event in splitter.feed(piece) if (data := data_of(event)) is not None]


def test_events_are_split_at_blank_lines_and_their_data_lines_joined() -> None:
    assert data_in(STREAM) == DATA


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbfdata: one\n\n"])
def test_a_stream_cut_at_any_offset_has_the_same_events(line_end: bytes, start: bytes) -> None:
    stream = (start + STREAM).replace(b"\n", line_end)

    data = ([b"one"] if b"one" in start else []) + DATA

    assert all(data_in(*pieces) == data for pieces in cuts(stream))


lines = st.sampled_from(
    [b"data: x", b"data:y", b"data", b": c", b"event: e", b"", b"", b"", b"\xef\xbb\xbf", b"dat", b"a:b"]
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
streams = st.lists(st.tuples(lines, ends).map(b"".join), max_size=25).map(b"".join)


@given(streams, st.lists(st.integers(0, 5), max_size=30))
def test_whatever_the_lines_the_cuts_do_not_matter(stream: bytes, sizes: list[int]) -> None:
    assert data_in(*pieces_of(stream, sizes)) == data_in(stream)


@given(streams)
def test_lines_are_read_as_the_standard_says(stream: bytes) -> None:
    expected, data = [], list[bytes]()
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in text.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        if not line and data:
            expected.append(b"\n".join(data))
        if not line:
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))

    assert data_in(stream) == expected


@given(st.binary(max_size=60), lengths)
def test_what_is_no_stream_is_split_the_same_way_however_it_is_cut(stream: bytes, sizes: list[int]) -> None:
    assert data_in(*pieces_of(stream, sizes)) == data_in(stream)


def test_a_block_has_its_events_side_by_side_and_the_rest_waits() -> None:
    splitter = Splitter()
    block = splitter.block(b"data: 1\n\ndata: 2\n\ndata: 3\n")

    assert (block, events_in(block), splitter.rest()) == (b"data: 1\n\ndata: 2", [b"data: 1", b"data: 2"], b"data: 3\n")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_an_event_over_the_limit_is_dropped_and_counted_and_memory_is_bounded(size: int) -> None:
    splitter = Splitter(limit=20)
    stream = (
        b"data: short\n\ndata: " + b"x" * 500 + b"\n\ndata: after\n\ndata: " + b"y" * 14 + b"\n\ndata: " + b"z" * 15
    )
    events, most = [], 0
    for at in range(0, len(stream), size):
        events += splitter.feed(stream[at : at + size])
        most = max(most, len(splitter.rest()))
    events += splitter.feed(b"\n\n")

    assert events == [b"data: short", b"data: after", b"data: " + b"y" * 14]
    assert splitter.dropped == 2
    assert most <= 21


def test_line_ends_in_a_dropped_event_do_not_end_the_dropping() -> None:
    splitter = Splitter(limit=10)
    pieces = [b"data: 12345\n", b"data: 678\n", b"\n", b"data: ok\n", b"\n"]

    assert [splitter.feed(piece) for piece in pieces] == [[], [], [], [], [b"data: ok"]]
    assert splitter.dropped == 1
