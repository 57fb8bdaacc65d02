"""What the gateway takes for an upstream's answer, h11 reads as the same; its customer gets that one, or less of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.guard.gateway.wires import Wired, assert_answered_alike

from fuzz import parts, seed

_PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNKS = b"a\r\ndata: {}\n\n\r\nf\r\ndata: [DONE]\n\n \r\n0\r\n\r\n"

SEEDS = (
    seed(0, [], _PLAIN),
    seed(1, [20, 80], _PLAIN),
    seed(0, [90, 100], _STREAM + _CHUNKS),
    seed(0, [], b"HTTP/1.1 100 Continue\r\n\r\n" + _PLAIN),
    seed(0, [], _PLAIN + _PLAIN),
    seed(1, [], b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end"),
    seed(1, [], b"HTTP/1.0 200 OK\r\n\r\nuntil the end"),
    seed(0, [], b"HTTP/1.1 204 No Content\r\n\r\n"),
    seed(0, [], b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
    seed(0, [], b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"),
)
WORDS = (
    *(b"content-length: ", b"transfer-encoding: ", b"chunked", b"gzip", b"connection: ", b"close"),
    *(b"keep-alive", b"content-encoding: ", b"content-type: ", b"text/event-stream", b"upgrade: a"),
    *(b"\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK", b"HTTP/1.0", b"HTTP/1.1 103 Early\r\n\r\n"),
    *(b"HTTP/1.1 101 Switching", b"0\r\n\r\n", b";x=y", b"data: {}\n\n"),
)

_FOLDER = TemporaryDirectory(prefix="spiritsafe-fuzz-")
_WIRED = [Wired(Path(_FOLDER.name) / kind, durability=kind) for kind in ("interval", "strict")]


def check(data: bytes) -> None:
    """Both read alike."""
    choice, cuts, stream = parts(data)
    assert_answered_alike(_WIRED[choice >> 1 & 1], stream, cuts, ends=bool(choice & 1))
