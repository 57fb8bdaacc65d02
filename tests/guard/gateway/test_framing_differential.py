"""Whatever the gateway takes for a request or an answer, h11 reads as the same one with the same end.

Two programs that find different ends in the same bytes are what request smuggling lives on. h11 and llhttp, which the
gateway parses with, have no line in common. Where the gateway refuses, h11 may think what it likes.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.gateway.wires import ANSWER, Wired, assert_answered_alike, assert_read_alike, cut, interpreted

pytestmark = interpreted

KEY = b"{key}"


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Wired:
    return Wired(tmp_path_factory.mktemp("wired"))


# --- requests --------------------------------------------------------------------------------------------------------

BODIES = (b"", b"{}", b'{"model":"m","messages":[]}', b'{"model":"m"}\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n')
LINES = (
    b"host: g",
    b"Host:g",
    b"host:  g \t",
    b"authorization: Bearer {key}",
    b"Authorization: bearer {key}",
    b"x-api-key: {key}",
    b"content-length: {length}",
    b"Content-Length:{length}",
    b"content-length: 0{length}",
    b"content-length: {length} ",
    b"content-length: 5",
    b"Content-Length: {length}, {length}",
    b"transfer-encoding: chunked",
    b"Transfer-Encoding: Chunked ",
    b"transfer-encoding: identity",
    b"transfer-encoding: chunked, chunked",
    b"connection: close",
    b"connection: keep-alive",
    b"Connection: x, Close",
    b"connection: upgrade",
    b"upgrade: h2c",
    b"expect: 100-continue",
    b"content-type: application/json",
    b"anthropic-version: 1",
    b"content-length",
    b"x: content-length: 5",
    b"x: {key}\xff",
    b"x:",
    b" folded",
    b"x : y",
    b"x\x00: y",
    b"trailer: x",
)
STARTS = (
    b"POST /v1/chat/completions HTTP/1.1",
    b"POST /v1/messages?beta=true HTTP/1.1",
    b"GET /v1/models HTTP/1.1",
    b"GET /v1/models/a%2Fb HTTP/1.1",
    b"GET /healthz HTTP/1.1",
    b"POST /v1/chat/completions HTTP/1.0",
    b"POST  /v1/chat/completions HTTP/1.1",
    b"HEAD /v1/models HTTP/1.1",
    b"POST http://g/v1/chat/completions HTTP/1.1",
    b"POST /v1/chat/completions HTTP/1.1 ",
    b"POST /v1/chat/completions",
    b"\r\nGET /v1/models HTTP/1.1",
)
GOOD = (LINES[0], LINES[3], LINES[6])


def chunked(body: bytes, sizes: list[int], ends: bytes) -> bytes:
    pieces = cut(body, sizes) if body else []
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + ends


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, ordinary more often than not."""
    body = draw(st.sampled_from(BODIES))
    lines = list(GOOD) if draw(st.integers(0, 3)) else []
    lines += draw(st.lists(st.sampled_from(LINES), max_size=2))
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    start = draw(st.sampled_from(STARTS)) if draw(st.booleans()) else STARTS[0]
    head = b"\r\n".join([start, *lines, b"", b""]).replace(b"{length}", b"%d" % len(body))
    if b"chunked" in head.lower():
        ends = draw(st.sampled_from((b"0\r\n\r\n", b"00\r\n\r\n", b"0;x\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"0\r\n", b"")))
        return head + chunked(body, draw(st.lists(st.integers(1, 60), max_size=3)), ends)
    return head + body


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """`data`, a few bytes put in, taken out or said twice."""
    for _ in range(draw(st.integers(0, 2))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        new = draw(
            st.sampled_from((b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\x00", b":", b"0", b"1", b";"))
        )
        data = data[:at] + draw(st.sampled_from((new, data[at : at + length] * 2, new + data[at + length :])))
    return data


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """What one connection sends, often the same head again, and where its reads are cut."""
    kinds = draw(st.lists(requests(), min_size=1, max_size=3))
    order = draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=5))
    data = b"".join(kinds[at] for at in order)
    if draw(st.booleans()):
        data = draw(changed(data))
    edges = [len(b"".join(kinds[at] for at in order[:end])) for end in range(1, len(order))]
    places = draw(st.lists(st.integers(0, 4000), max_size=4))
    return data, places + (edges if draw(st.booleans()) else [])


@given(streams())
@settings(max_examples=150)
def test_what_the_gateway_takes_for_requests_h11_reads_as_the_same_requests(
    wired: Wired, stream: tuple[bytes, list[int]]
) -> None:
    assert_read_alike(wired, *stream)


def test_ordinary_requests_are_taken_up_by_both(wired: Wired) -> None:
    """The property above says nothing about what is refused: this says that not all is."""
    head = b"\r\n".join([STARTS[0], *GOOD, b"", b""])
    plain = head.replace(b"{length}", b"27") + BODIES[2]
    longer = head.replace(b"{length}", b"%d" % len(BODIES[3])) + BODIES[3]
    coded = head.replace(LINES[6], LINES[12]) + chunked(BODIES[2], [5, 9], b"0\r\n\r\n")
    for data in (plain, plain + longer + plain):
        whole = data.replace(KEY, wired.key)
        first = len(plain.replace(KEY, wired.key))
        for places in ([], [1], [60, 61], [first], [first + 9], [len(whole) - 9], list(range(len(whole)))):
            assert len(assert_read_alike(wired, data, places)) == data.count(b"POST")
    alone = [len(coded.replace(KEY, wired.key))]
    assert len(assert_read_alike(wired, coded + plain + longer, [*alone, alone[0] + 200])) == 3


def test_a_head_whose_end_came_in_a_later_read_is_not_known_by_its_end_alone(wired: Wired) -> None:
    """What follows repeats only the part of a head that one read held: it is no request."""
    head = b"\r\n".join([STARTS[0], *GOOD, b"", b""]).replace(b"{length}", b"27").replace(KEY, wired.key)
    first = b"GET /v1/models HTTP/1.1\r\nhost: g\r\nauthorization: Bearer " + wired.key + b"\r\n\r\n"
    for split in range(1, len(head)):
        data = first + head + BODIES[2] + head[split:] + BODIES[2]
        assert_read_alike(wired, data, [len(first) + split, len(first) + len(head) + 27])


# --- answers ---------------------------------------------------------------------------------------------------------

STATUS = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 429 Too Many Requests",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 103 Early Hints",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 099 Low",
    b"HTTP/2.0 200 OK",
    b"ICY 200 OK",
)
SAID = (
    b"content-length: {length}",
    b"Content-Length:{length} ",
    b"content-length: 3",
    b"content-length: +2",
    b"transfer-encoding: chunked",
    b"Transfer-Encoding: CHUNKED",
    b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: identity",
    b"connection: close",
    b"connection: keep-alive",
    b"connection: upgrade",
    b"upgrade: websocket",
    b"content-type: text/event-stream",
    b"content-type: application/json",
    b"x-request-id: r\xff",
    b"set-cookie: a=b",
    b"x: a\r\n folded",
    b"x : y",
    b"keep-alive: timeout=5",
    b"trailer: x",
)
CONTENT = (
    b"",
    b"{}",
    b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    b"data: {}\n\ndata: [DONE]\n\n",
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer, ordinary more often than not."""
    body = draw(st.sampled_from(CONTENT))
    lines = [draw(st.sampled_from((SAID[0], SAID[4])))] if draw(st.integers(0, 3)) else []
    lines += draw(st.lists(st.sampled_from(SAID), max_size=3))
    start = draw(st.sampled_from(STATUS)) if draw(st.booleans()) else STATUS[0]
    head = b"\r\n".join([start, *lines, b"", b""]).replace(b"{length}", b"%d" % len(body))
    if b"chunked" in head.lower():
        ends = draw(
            st.sampled_from((b"0\r\n\r\n", b"000\r\n\r\n", b"0;x=y\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"0\r\n", b""))
        )
        return head + chunked(body, draw(st.lists(st.integers(1, 60), max_size=3)), ends)
    return head + body


@st.composite
def upstreams(draw: st.DrawFn) -> tuple[bytes, list[int], bool]:
    """What one upstream sends for one request, where its reads are cut, and whether it closes then."""
    data = b"".join(draw(st.lists(answers(), min_size=1, max_size=2)))
    if draw(st.booleans()):
        data = draw(changed(data))
    return data, draw(st.lists(st.integers(0, 1000), max_size=4)), draw(st.booleans())


@given(upstreams())
@settings(max_examples=150)
def test_what_the_gateway_takes_for_an_answer_h11_reads_as_the_same_answer(
    wired: Wired, upstream: tuple[bytes, list[int], bool]
) -> None:
    data, places, ends = upstream
    assert_answered_alike(wired, data, places, ends=ends)


def test_ordinary_answers_pass_and_keep_their_connection(wired: Wired) -> None:
    coded = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(CONTENT[3], [7, 20], b"0\r\n\r\n")
    for data in (ANSWER, coded):
        for places in ([], list(range(len(data)))):
            assert assert_answered_alike(wired, data, places, ends=False) == 200
            assert wired.answered(cut(data, places), ends=False)[2]
