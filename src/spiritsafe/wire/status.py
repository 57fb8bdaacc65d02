"""What an unsuccessful HTTP answer means: its kind, whether to retry, how long to wait, whether it may be charged.

Shared by the dialects, since OpenAI, Anthropic and those who imitate them use the same numbers. Nothing here raises,
whatever the body holds. An upstream's words are shown as one line of at most 200 characters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import orjson

from spiritsafe.errors import UpstreamError
from spiritsafe.wire.shapes import dict_of, list_of, text_of

MESSAGE_LIMIT = 200
"""Characters of an upstream's own message that are shown."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an upstream said went wrong: its message as one line, and its own words for it ("" where it has none)."""

    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: str
    retryable: bool
    advice: str
    maybe_billed: bool = False


_AUTH = _Meaning("auth", False, "check the API key and what it may use")
_QUOTA = _Meaning("quota", False, "the account has no credit left; top it up")
_UNKNOWN = _Meaning("unknown_model", False, "check the model's name and the base URL")
_REFUSED = _Meaning("refused", False, "change the request; sending it again will not help")
_TOO_LARGE = _Meaning("refused", False, "the request is too large for this upstream; shorten it")
_MOVED = _Meaning("refused", False, "redirects are not followed; set base_url to the final address")
_TOO_FAST = _Meaning("rate_limited", True, "slow down")
_TOO_LATE = _Meaning("timeout", True, "try again later", maybe_billed=True)
_BROKEN = _Meaning("server", True, "try again later")
_BROKEN_LATE = _Meaning("server", True, "try again later", maybe_billed=True)

_BY_STATUS = {
    401: _AUTH,
    402: _QUOTA,
    403: _AUTH,
    404: _UNKNOWN,
    408: _TOO_LATE,
    409: _BROKEN,
    413: _TOO_LARGE,
    429: _TOO_FAST,
    501: _REFUSED,
    504: _TOO_LATE,
    524: _TOO_LATE,
}
_QUOTA_WORDS = ("insufficient_quota", "credit balance is too low", "insufficient balance", "billing_hard_limit")
_MODEL_WORDS = ("model_not_found", "model not found")
_MODERATION_WORDS = ("moderation", "flagged")


def upstream_error(
    status: int, complaint: Complaint, retry_after: str | None = None, *, answered: bool = False
) -> UpstreamError:
    """The error that `status` and what came with it stand for.

    Args:
        status: the HTTP status, or the one an error object inside a 200 names.
        complaint: what the upstream said.
        retry_after: seconds to wait, as text; anything else counts as not given.
        answered: the error came inside a successful answer, so work was done and may be charged.
    """
    meaning = _meaning(status, complaint)
    said = f": {complaint.message}" if complaint.message else ""
    return UpstreamError(
        f"HTTP {status}{said}; {meaning.advice}",
        kind=meaning.kind,
        retryable=meaning.retryable,
        retry_after_s=seconds(retry_after) if meaning.retryable else None,
        maybe_billed=meaning.maybe_billed or answered,
        status=status,
    )


def _meaning(status: int, complaint: Complaint) -> _Meaning:
    words = f"{complaint.code} {complaint.message}".lower()
    # As its code it is meant, whatever the status a proxy makes of it; in a message only where the status fits.
    said = words if status in (400, 403, 429) else complaint.code.lower()
    if any(word in said for word in _QUOTA_WORDS):
        return _QUOTA
    if status == 400 and any(word in words for word in _MODEL_WORDS):
        return _UNKNOWN
    # OpenRouter answers 403 to a prompt its moderation flags; the key is fine and the next prompt may pass.
    if status == 403 and any(word in words for word in _MODERATION_WORDS):
        return _REFUSED
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500:
        return _BROKEN
    if 300 <= status < 400:
        return _MOVED
    return _REFUSED if status >= 400 else _BROKEN_LATE


def complaint_of(body: bytes) -> Complaint:
    """What the body of an unsuccessful answer says, in whichever of the usual places it says it."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = bytes(body[: 4 * MESSAGE_LIMIT]).decode("utf-8", "replace")
        return Complaint("an HTML page") if text.lstrip().startswith("<") else Complaint(one_line(text))
    return complaint_in(value)


def complaint_in(value: object) -> Complaint:
    """The complaint in parsed JSON: `error` as object or text, or `message` or `detail` beside it."""
    top = dict_of(value)
    error = top.get("error")
    inner = dict_of(error)
    # Both are read: LiteLLM gives the status as the code and leaves "insufficient_quota" to the type.
    codes = (inner.get("code"), inner.get("type"), top.get("code"))
    candidates = (
        inner.get("message"),
        error,
        top.get("message"),
        top.get("detail"),
        _details(top.get("detail")),
        value,
    )
    message = next((text for text in map(text_of, candidates) if text), "")
    return Complaint(one_line(message), " ".join(str(code) for code in codes if isinstance(code, str | int)))


def _details(value: object) -> str | None:
    """The messages of a list of validation errors, as FastAPI servers send them."""
    found = [text_of(dict_of(item).get("msg")) for item in list_of(value)]
    return "; ".join(text for text in found if text) or None


def one_line(text: str) -> str:
    """`text` without control characters or line breaks, cut to `MESSAGE_LIMIT` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MESSAGE_LIMIT]).split())
    return line if len(line) <= MESSAGE_LIMIT else f"{line[: MESSAGE_LIMIT - 1]}…"


def seconds(text: str | None) -> float | None:
    """A number of seconds from 0 up, or None if `text` is not one."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
