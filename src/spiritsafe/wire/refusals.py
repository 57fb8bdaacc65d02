"""Errors of a gateway in the shape that the customer's client reads. Pure.

Source: OpenAI API reference, "Error codes"; Anthropic API reference, "Errors", and `types.shared.error_object` of
anthropic-python 2.13.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

_OPENAI: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC: Final = _OPENAI | {
    413: "request_too_large",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def refusal_body(api: str, status: int, message: str, code: str | None = None) -> bytes:
    """The JSON body that says `message` to a client of `api` ("openai" or "anthropic") with HTTP `status`.

    `code` is the word for programs; Anthropic's format has no place for one. Halves of surrogate pairs become "?".
    """
    if api == "anthropic":
        kind = _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
        body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": _whole(message)}}
    else:
        kind = _OPENAI.get(status, "invalid_request_error" if status < 500 else "server_error")
        said = None if code is None else _whole(code)
        body = {"error": {"message": _whole(message), "type": kind, "param": None, "code": said}}
    return orjson.dumps(body)


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
