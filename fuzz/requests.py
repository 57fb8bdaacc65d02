"""What the gateway takes for requests, h11 reads as the same requests, in the same order, with the same ends."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.guard.gateway.wires import Wired, assert_read_alike

from fuzz import parts, seed

_BODY = b'{"model":"m","messages":[]}'
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {key}\r\n"
_PLAIN = _HEAD + b"content-length: 27\r\n\r\n" + _BODY
_CHUNKED = _HEAD + b"transfer-encoding: chunked\r\n\r\n1b\r\n" + _BODY + b"\r\n0\r\n\r\n"
_MODELS = b"GET /v1/models/a%2Fb HTTP/1.1\r\nHost: g\r\nx-api-key: {key}\r\nanthropic-version: 1\r\n\r\n"

SEEDS = (
    seed(0, [], _PLAIN),
    seed(0, [174], _PLAIN + _PLAIN),
    seed(0, [10, 100], _PLAIN + _MODELS + _PLAIN),
    seed(0, [], _CHUNKED),
    seed(0, [250], _CHUNKED + _PLAIN),
    seed(0, [50], _PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"host", b"connection: keep-alive\r\nhost")),
    seed(0, [5], b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n" + _PLAIN),
    seed(0, [], _PLAIN.replace(b"host", b"expect: 100-continue\r\nconnection: close\r\nhost") + _MODELS),
)
WORDS = (
    *(b"content-length: ", b"transfer-encoding: ", b"chunked", b"identity", b"connection: ", b"close"),
    *(b"keep-alive", b"upgrade", b"expect: 100-continue", b"host: ", b"x-api-key: ", b"trailer: "),
    *(b"{key}", b"\r\n", b"\r\n\r\n", b"\n\n", b"HTTP/1.1", b"HTTP/1.0", b"RTSP/1.1", b"GET ", b"POST "),
    *(b"HEAD ", b"/v1/models", b"/v1/messages", b"/healthz", b"0\r\n\r\n", b";x=y"),
)

_FOLDER = TemporaryDirectory(prefix="spiritsafe-fuzz-")
_WIRED = Wired(Path(_FOLDER.name))


def check(data: bytes) -> None:
    """Both read alike."""
    _, cuts, stream = parts(data)
    assert_read_alike(_WIRED, stream, cuts)
