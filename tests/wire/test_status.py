import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UpstreamError
from spiritsafe.wire.chat import CHAT
from spiritsafe.wire.status import MESSAGE_LIMIT, one_line, seconds


def body(message: str = "no", **fields: object) -> bytes:
    return orjson.dumps({"error": {"message": message, **fields}})


@pytest.mark.parametrize(
    ("status", "sent", "kind", "retryable", "maybe_billed"),
    [
        (400, body("max_tokens is too large"), "refused", False, False),
        (400, body("The model `gpt-9` does not exist", code="model_not_found"), "unknown_model", False, False),
        (400, body("Your credit balance is too low to access the API"), "quota", False, False),
        (401, body(), "auth", False, False),
        (402, body("Insufficient Balance"), "quota", False, False),
        (403, body(), "auth", False, False),
        (403, body("Your input was flagged", code=403), "refused", False, False),
        (404, body(), "unknown_model", False, False),
        (408, body(), "timeout", True, True),
        (413, body(), "refused", False, False),
        (422, body(), "refused", False, False),
        (429, body("Rate limit reached", code="rate_limit_exceeded"), "rate_limited", True, False),
        (429, body("You exceeded your current quota", code="insufficient_quota"), "quota", False, False),
        (429, body("You exceeded your current quota", type="insufficient_quota"), "quota", False, False),
        # LiteLLM's way: the status as the code. Gemini says "quota" in a message where it means the pace.
        (429, body("You exceeded your current quota", code="429", type="insufficient_quota"), "quota", False, False),
        (429, body("You exceeded your current quota", code=429), "rate_limited", True, False),
        (500, body("upstream failed", code="insufficient_quota"), "quota", False, False),
        (302, b"", "refused", False, False),
        (500, body(), "server", True, False),
        (503, b"<html>", "server", True, False),
        (504, b"", "timeout", True, True),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "server", True, False),
    ],
)
def test_a_status_says_what_to_do(status: int, sent: bytes, kind: str, retryable: bool, maybe_billed: bool) -> None:
    error = CHAT.error(status, sent, None)

    assert (error.kind, error.retryable, error.maybe_billed, error.status) == (kind, retryable, maybe_billed, status)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b'{"error": {"message": "too long"}}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b'{"message": "too long", "error": {"code": 3}}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"detail": [{"loc": ["body"], "msg": "too long"}, {"msg": "too wide"}]}', "too long; too wide"),
        (b"too\n\x1b[31m  long", "too [31m long"),
        (b'"too long"', "too long"),
        (b"<!doctype html><title>x</title>", "an HTML page"),
    ],
)
def test_the_upstreams_own_words_are_found_wherever_they_stand(sent: bytes, said: str) -> None:
    assert str(CHAT.error(400, sent, None)) == f"HTTP 400: {said}; change the request; sending it again will not help"


@pytest.mark.parametrize("place", ["code", "type"])
def test_an_empty_account_behind_a_proxy_that_answers_200_is_no_passing_failure(place: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        CHAT.parse(body("no", **{place: "insufficient_quota"}))

    assert (raised.value.kind, raised.value.retryable) == ("quota", False)


def test_an_error_without_words_still_says_what_to_do() -> None:
    assert str(CHAT.error(500, b"{}", None)) == "HTTP 500; try again later"


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("3", 3.0), ("0.25", 0.25), (None, None), ("soon", None), ("-1", None), ("nan", None), ("inf", None), ("", None)],
)
def test_the_wait_is_a_number_of_seconds_or_nothing(header: str | None, wait_s: float | None) -> None:
    assert CHAT.error(429, b"", header).retry_after_s == wait_s


def test_what_is_final_has_no_wait() -> None:
    assert CHAT.error(401, b"", "3").retry_after_s is None


@given(st.text())
def test_a_shown_message_is_one_short_printable_line(text: str) -> None:
    line = one_line(text)

    assert len(line) <= MESSAGE_LIMIT
    assert line.isprintable()
    assert line == line.strip()


@given(st.floats(0, 1e9))
def test_every_number_of_seconds_is_read_back(wait_s: float) -> None:
    assert math.isclose(seconds(str(wait_s)) or 0.0, wait_s)
