from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.wire.refusals import refusal_body

STATUSES = {
    400: ("invalid_request_error", "invalid_request_error"),
    401: ("authentication_error", "authentication_error"),
    403: ("permission_error", "permission_error"),
    404: ("not_found_error", "not_found_error"),
    405: ("invalid_request_error", "invalid_request_error"),
    408: ("invalid_request_error", "invalid_request_error"),
    411: ("invalid_request_error", "invalid_request_error"),
    413: ("invalid_request_error", "request_too_large"),
    415: ("invalid_request_error", "invalid_request_error"),
    421: ("invalid_request_error", "invalid_request_error"),
    429: ("rate_limit_error", "rate_limit_error"),
    431: ("invalid_request_error", "invalid_request_error"),
    500: ("server_error", "api_error"),
    502: ("server_error", "api_error"),
    503: ("server_error", "overloaded_error"),
    504: ("server_error", "timeout_error"),
    529: ("server_error", "overloaded_error"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_type_in_both_formats(status: int) -> None:
    openai, anthropic = STATUSES[status]

    assert orjson.loads(refusal_body("openai", status, "no", "some_code")) == {
        "error": {"message": "no", "type": openai, "param": None, "code": "some_code"}
    }
    assert orjson.loads(refusal_body("anthropic", status, "no", "some_code")) == {
        "type": "error",
        "error": {"type": anthropic, "message": "no"},
    }


anything = st.text(st.characters(), max_size=40)


@given(st.sampled_from(["openai", "anthropic"]), st.integers(0, 999), anything, st.none() | anything)
def test_whatever_the_message_it_arrives(api: str, status: int, message: str, code: str | None) -> None:
    error: dict[str, Any] = orjson.loads(refusal_body(api, status, message, code))["error"]

    assert error["message"] == message.encode("utf-8", "replace").decode()
    assert error["type"]


@pytest.mark.parametrize("text", ['say "no"', "a\nb\x00\x1b", "half of 🌲: \ud83c", "\udcff"])
def test_quotes_controls_and_surrogates_are_written(text: str) -> None:
    body = orjson.loads(refusal_body("openai", 400, text, text))

    assert body["error"]["message"] == body["error"]["code"] == text.encode("utf-8", "replace").decode()
