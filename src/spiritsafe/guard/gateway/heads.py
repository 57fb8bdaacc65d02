"""What a request's head must be. Pure.

llhttp, strict as it is, lets through what two programs can read in two ways, and that is how requests are smuggled past
a gateway. Here it is refused: a repeated Transfer-Encoding, Host, Content-Type or key, both keys at once, any
Transfer-Encoding on HTTP/1.0, a missing or odd Host, a target that is no plain path, very long or very many headers;
and what no client of these APIs sends: other methods than GET and POST, other versions than 1.0 and 1.1, an upgrade.

Source: RFC 9112, sections 3.2, 6.1 and 11.2; RFC 9110, section 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

MOST_HEAD_BYTES = 32 << 10
MOST_HEADERS = 100
MOST_TARGET_BYTES = 4 << 10

SINGLE = frozenset(
    b"host authorization x-api-key content-length transfer-encoding content-type content-encoding expect connection te "
    b"upgrade user-agent anthropic-version".split()
)
"""Headers that may come once."""

PREFIX = b"/v1"

_TARGET = re.compile(rb"(/[A-Za-z0-9._~:@!$&'()*+,;=%/-]*)(\?[A-Za-z0-9._~:@!$&'()*+,;=%/?\[\]-]*)?")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
OFFERED = b"h2c"
"""The one upgrade that may be offered, since Java's client always does; it is not taken up. RFC 9110, section 7.8."""

_LENGTH = re.compile(rb"[0-9]{1,15}")
_ODD = re.compile(
    rb"\.\.|//|/\.(?:/|\Z)|%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|2[35Ee]|3[Ff]|5[Cc]|7[Ff])"  # e.g. %2e is a dot
)
"""What a server behind may take for another path: dots and what ends or doubles a path, plain or written with %.

A slash may be written so: clients do, for a model's name that has one.
"""

METHODS = (b"GET", b"POST")
VERSIONS = ("1.1", "1.0")

_ALLOW = ((b"allow", b"GET, POST"),)

HEAD_END = b"\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


class BadRequest(Exception):
    """What came is no request that can be served; status, message, code and headers go to whoever sent it."""

    def __init__(
        self, status: int, message: str, code: str = "bad_request", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


NOT_HTTP = BadRequest(400, "got something that is not HTTP/1.1, wanted a request as the API's clients send it")
BEHIND_OFFER = BadRequest(400, "got an offer to upgrade beside another request; wait for the answer between them")
SURPLUS = BadRequest(400, "got a chunked body with extensions or something behind it; send plain chunks")


def too_long_head() -> BadRequest:
    """What is said of a head that has not ended where it must have."""
    return BadRequest(
        431, f"got a head of more than {MOST_HEAD_BYTES} bytes; send fewer and shorter headers", "too_large"
    )


def too_long_body(most_bytes: int) -> BadRequest:
    """What is said of a body of more than `most_bytes`."""
    return BadRequest(413, f"got a body of more than {most_bytes} bytes; send a smaller one", "too_large")


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, read once.

    Attributes:
        method: as it came.
        path: the part of the target after "/v1"; all of it where it does not start so.
        query: with its question mark; empty where there is none.
        key: the key that was brought, however it was brought; empty where none was.
        fields: the headers by lower-case name; of repeated ones (they decide nothing) the last.
        content_length: bytes of body announced; None for a chunked body, 0 where there is none.
        keep_alive: whether another request may follow on this connection.
        is_versioned: whether it is of HTTP/1.1; 1.0 knows no chunks.
        offers_upgrade: whether it says that it could go on in another protocol.
    """

    method: bytes
    path: bytes
    query: bytes
    key: bytes
    fields: dict[bytes, bytes]
    content_length: int | None
    keep_alive: bool
    is_versioned: bool
    offers_upgrade: bool = False


def checked_head(method: bytes, target: bytes, version: str, headers: Headers) -> Head:
    """The head of a request of HTTP `version` ("1.1"), its headers in the order they came.

    Control characters in them are llhttp's to refuse.

    Raises:
        BadRequest: it can be read in two ways, or is larger than what is allowed.
    """
    if method not in METHODS:
        raise BadRequest(405, "got another method than GET and POST; use one of them", "bad_method", _ALLOW)
    if version not in VERSIONS:
        raise BadRequest(505, "got another version of HTTP, wanted 1.1; send that", "bad_version")
    if len(target) > MOST_TARGET_BYTES:
        raise BadRequest(414, f"got a target of more than {MOST_TARGET_BYTES} bytes; send a shorter one", "too_large")
    fields = _fields(headers)
    path, query = _path(target)
    _check_host(fields, version)
    return Head(
        method,
        path,
        query,
        _key(fields),
        fields,
        _length(fields, version),
        _keeps_alive(fields, version),
        version == "1.1",
        b"upgrade" in fields.get(b"connection", b"").lower(),
    )


def head_length(raw: Iterable[bytes], beginning: bytes) -> int:
    """Bytes of a chunked request's head as it was sent; it must be at the start of a read, with nothing before it.

    Args:
        raw: what was sent, from the first byte of that read on.
        beginning: what the head begins with.

    Raises:
        BadRequest: it is not there.
    """
    sent = b"".join(raw)
    if not sent.startswith(beginning):
        raise BadRequest(400, "got a chunked request behind another, wanted it on its own; wait for the answer first")
    return sent.index(HEAD_END) + len(HEAD_END)


def _fields(headers: Headers) -> dict[bytes, bytes]:
    if len(headers) > MOST_HEADERS:
        raise BadRequest(431, f"got {len(headers)} headers, wanted at most {MOST_HEADERS}; send fewer")
    # llhttp leaves the white space behind a value in it, which is no part of it.
    fields = {name.lower(): value.rstrip(b" \t") for name, value in headers}
    if len(fields) < len(headers):
        _check_repeated([name.lower() for name, _ in headers])
    size = sum(map(len, fields)) + sum(map(len, fields.values()))
    if size > MOST_HEAD_BYTES:
        raise BadRequest(431, f"got headers of {size} bytes, wanted at most {MOST_HEAD_BYTES}; send less", "too_large")
    return fields


def _check_repeated(names: list[bytes]) -> None:
    for name in names:
        if name in SINGLE and names.count(name) > 1:
            raise BadRequest(400, f"got the header {name.decode('latin-1')} twice, wanted it once; send one")


@lru_cache(256)
def _path(target: bytes) -> tuple[bytes, bytes]:
    found = _TARGET.fullmatch(target)
    if found is None:
        raise BadRequest(400, "got a request target that is no plain path, wanted one like /v1/chat/completions")
    path, query = found.group(1), found.group(2) or b""
    if _ODD.search(path) is not None:
        raise BadRequest(400, "got a path that can be read in two ways, wanted a plain one; write it out")
    return (path[len(PREFIX) :] if path.startswith(b"/v1/") else path), query


def _check_host(fields: dict[bytes, bytes], version: str) -> None:
    host = fields.get(b"host")
    if host is None:
        if version == "1.1":
            raise BadRequest(400, "got no Host header, wanted one; HTTP/1.1 asks for it")
    elif not _is_host(host):
        raise BadRequest(400, "got a Host header that is no host, wanted a name and perhaps a port")


@lru_cache(256)
def _is_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None


def _key(fields: dict[bytes, bytes]) -> bytes:
    """The key in `Authorization: Bearer` or `x-api-key`: in one of them, as two could name two customers."""
    bearer = fields.get(b"authorization")
    key = fields.get(b"x-api-key")
    if bearer is None:
        return key or b""
    if key is not None:
        raise BadRequest(400, "got both Authorization and x-api-key, wanted one of them; send the key once")
    scheme, _, token = bearer.partition(b" ")
    return token.strip(b" ") if scheme.lower() == b"bearer" else b""


def _length(fields: dict[bytes, bytes], version: str) -> int | None:
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if b"content-encoding" in fields and fields[b"content-encoding"].lower() != b"identity":
        raise BadRequest(415, "got a compressed body, wanted a plain one; send it without Content-Encoding")
    if coding is None:
        if length is None:
            return 0
        if _LENGTH.fullmatch(length) is None:
            raise BadRequest(400, "got a Content-Length that is no number, wanted the bytes of the body")
        return int(length)
    if version != "1.1" or coding.lower() != b"chunked" or length is not None:
        raise BadRequest(400, "got a Transfer-Encoding that can be read in two ways, wanted chunked alone on HTTP/1.1")
    return None


def _keeps_alive(fields: dict[bytes, bytes], version: str) -> bool:
    said = fields.get(b"connection")
    if said is None:
        return version == "1.1"
    said = said.lower()
    if b"upgrade" in said and fields.get(b"upgrade", b"").lower() != OFFERED:
        raise BadRequest(400, "got an upgrade to another protocol, wanted plain HTTP/1.1; remove it")
    return b"close" not in said if version == "1.1" else b"keep-alive" in said
