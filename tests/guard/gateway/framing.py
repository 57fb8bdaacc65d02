"""What two programs may read differently: odd requests and answers, and ordinary ones, for tests of framing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st
from tests.guard.gateway.wires import ANSWER, cut

KEY = b"{key}"
"""Stands for the account's key in all that follows."""

LAST = b"0\r\n\r\n"
"""The end of a chunked body."""


def head_of(start: bytes, lines: Iterable[bytes], body: bytes) -> bytes:
    return b"\r\n".join([start, *lines, b"", b""]).replace(b"{length}", b"%d" % len(body))


def chunked(body: bytes, sizes: list[int], ends: bytes) -> bytes:
    pieces = cut(body, sizes) if body else []
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + ends


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
CODED = (LINES[0], LINES[3], LINES[12])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, ordinary more often than not."""
    body = draw(st.sampled_from(BODIES))
    lines = list(GOOD) if draw(st.integers(0, 3)) else []
    lines += draw(st.lists(st.sampled_from(LINES), max_size=2))
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    start = draw(st.sampled_from(STARTS)) if draw(st.booleans()) else STARTS[0]
    head = head_of(start, lines, body)
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


def ordinary_streams(key: bytes) -> Iterator[tuple[bytes, list[int], int]]:
    """Streams of which nothing is refused as no request, where their reads are cut, and how many requests there are."""
    plain, longer = (head_of(STARTS[0], GOOD, body).replace(KEY, key) + body for body in BODIES[2:])
    coded = head_of(STARTS[0], CODED, b"").replace(KEY, key) + chunked(BODIES[2], [5, 9], LAST)
    first, alone = len(plain), len(coded)
    for data, count in ((plain, 1), (plain + longer + plain, 3)):
        for places in ([], [1], [60, 61], [first], [first + 9], [len(data) - 9], list(range(len(data)))):
            yield data, places, count
    for at in range(1, first):
        yield plain + plain, [first, first + at], 2
    yield coded + plain + longer, [alone, alone + 200], 3
    other = plain.replace(b"\r\n\r\n", b"\r\nx: y\r\n\r\n")  # begins as the one before it, up to its length
    yield plain + other + plain, [first, first + len(other) - 22], 3
    yield plain + plain + plain, [first, first + first - 22], 3
    yield plain + plain + plain, [first, first + first - 22, first + first - 12], 3  # a read within the body
    yield plain + b"\r\n" + plain + plain, [first + 2, first + 2 + first], 3


def halved_heads(key: bytes) -> Iterator[tuple[bytes, list[int]]]:
    """Streams in which the last request begins in the middle of the head before it, where a read was cut."""
    head = head_of(STARTS[0], GOOD, BODIES[2]).replace(KEY, key)
    first = b"GET /v1/models HTTP/1.1\r\nhost: g\r\nauthorization: Bearer " + key + b"\r\n\r\n"
    for split in range(1, len(head)):
        data = first + head + BODIES[2] + head[split:] + BODIES[2]
        yield data, [len(first) + split, len(first) + len(head) + 27]


def odd_streams(key: bytes) -> Iterator[tuple[bytes, list[int]]]:
    """A request with one odd thing in its head and an ordinary one behind it, at once and one after the other."""
    plain = (head_of(STARTS[0], GOOD, BODIES[2]) + BODIES[2]).replace(KEY, key)
    heads = [(start, GOOD) for start in STARTS] + [(STARTS[0], (*GOOD, line)) for line in LINES]
    for start, lines in heads:
        odd = (head_of(start, lines, BODIES[2]) + BODIES[2]).replace(KEY, key)
        yield odd + plain, []
        yield odd + plain, [len(odd)]
    for line in LINES:
        odd = (head_of(STARTS[0], (*CODED, line), BODIES[2]) + chunked(BODIES[2], [9], LAST)).replace(KEY, key)
        yield odd + plain, [len(odd)]


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
    head = head_of(start, lines, body)
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


def ordinary_answers() -> Iterator[tuple[bytes, list[int]]]:
    """Answers that pass and keep their connection, and where their reads are cut."""
    coded = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(CONTENT[3], [7, 20], LAST)
    for data in (ANSWER, coded):
        for places in ([], list(range(len(data)))):
            yield data, places


def odd_answers() -> Iterator[bytes]:
    """Answers with one odd thing in the head, the body framed in each way that there is, or in an interim answer."""
    heads = [(start, ()) for start in STATUS] + [(STATUS[0], (line,)) for line in SAID]
    for start, lines in heads:
        yield head_of(start, lines, CONTENT[2]) + CONTENT[2]
        yield head_of(start, (SAID[0], *lines), CONTENT[2]) + CONTENT[2]
        yield head_of(start, (SAID[4], *lines), CONTENT[2]) + chunked(CONTENT[2], [9], LAST)
    for line in SAID:
        yield head_of(STATUS[6], (line,), b"") + ANSWER
