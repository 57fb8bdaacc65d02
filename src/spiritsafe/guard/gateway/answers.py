"""The bytes of an answer's head, and of an answer that is the gateway's own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from spiritsafe.wire.refusals import refusal_body

Header = tuple[bytes, bytes]

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade content-length".split()
)
"""Headers that are for one connection only. Source: RFC 9110, section 7.6.1."""

OPERATORS_OWN = frozenset(
    b"set-cookie server alt-svc strict-transport-security via x-powered-by nel report-to cf-ray openai-organization "
    b"openai-project anthropic-organization-id".split()
)
"""Headers of an upstream that tell of the operator's own account there, or hold for its host only."""

OPERATORS_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-")
"""Beginnings of headers about the operator's own limits; a customer gets those of its own account."""


def passed_on(headers: Iterable[Header]) -> list[Header]:
    """The headers of an upstream's answer, names in lower case, that a customer gets."""
    return [header for header in headers if _is_passed_on(header[0])]


@lru_cache(1024)  # an upstream's answers have the same names; three look-ups for each would cost five times as much
def _is_passed_on(name: bytes) -> bool:
    return name not in HOP_BY_HOP and name not in OPERATORS_OWN and not name.startswith(OPERATORS_LIMITS)


@lru_cache(256)
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Status"))


def head_of(status: int, headers: Iterable[Header], lines: bytes = b"") -> bytes:
    """The status line, the headers, and `lines`, more of them as they go out; with the empty line after them."""
    return b"%b%b%b\r\n" % (_status_line(status), b"".join([b"%b: %b\r\n" % header for header in headers]), lines)


def refusal(
    api: str,
    status: int,
    message: str,
    code: str | None,
    headers: Iterable[Header] = (),
    lines: bytes = b"",
    *,
    keep_alive: bool,
) -> bytes:
    """A whole answer that says no, in the shape that the customer's client reads."""
    body = refusal_body(api, status, message, code)
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    if not keep_alive:
        own.append((b"connection", b"close"))
    return head_of(status, own, lines) + body
