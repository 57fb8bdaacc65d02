"""Personal data and keys taken out of what is kept."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import json_values

from spiritsafe.guard.log.records import Record
from spiritsafe.guard.log.redact import redact, redact_json, redact_record


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mail jo@example.org now", "mail [email] now"),
        ("<jo.do+tag@mail.example.co.uk>", "<[email]>"),
        ("müller@bücher.example", "[email]"),
        ("+49 151 1234567", "[phone]"),
        ("+1 (555) 123-4567, thanks", "[phone], thanks"),
        ("call (555) 123-4567 or 030 1234567.", "call [phone] or [phone]."),
        ("555-123-4567 / 1-800-555-1234", "[phone] / [phone]"),
        ("4111 1111 1111 1111", "[card]"),
        ("card 5500-0055-5555-5559.", "card [card]."),
        ("378282246310005", "[card]"),
        ("DE89 3704 0044 0532 0130 00", "[iban]"),
        ("to GB82WEST12345698765432!", "to [iban]!"),
        ("from 192.0.2.1.", "from [ip]."),
        ("2001:db8::8a2e:370:7334 and ::1", "[ip] and [ip]"),
        ("::ffff:192.0.2.128", "[ip]"),
        ("078-05-1120 or 123456789", "[phone] or [number]"),
        ("sk-proj-abcdefghijklmnop1234", "[key]"),
        ("ss-" + "A" * 43 + "0123ab", "[key]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-d", "[key]"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [key]"),
        ("OPENAI_API_KEY=abcdef", "OPENAI_API_KEY=[key]"),
        ("password: 'hunter2hunter2'", "password: '[key]'"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII-EA\n-----END RSA PRIVATE KEY-----!", "[key]!"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "[key]"),
    ],
)
def test_what_is_personal_or_secret_is_taken_out(text: str, wanted: str) -> None:
    assert redact(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "GB83 WEST 1234 5698 7654 32",
        "at 12:30:45 on 2024-11-24, v1.2.3, 08/06/2024",
        "gpt-4o-2024-08-06 and claude-sonnet-20250514",
        "std::string, a::b, x[1:2], ::",
        "192.168.1.300 and 1.2.3.4.5",
        "3.14159265358979 and $ 1,000,000.00",
        "max_tokens: 1000000",
        "the token is lost, and the basic idea too",
        "a @ b, @decorator, user@host",
        "",
    ],
)
def test_what_is_neither_stays(text: str) -> None:
    assert redact(text) == text


FINDS = ["jo@example.org", "+49 151 1234567", "4111 1111 1111 1111", "DE89370400440532013000", "10.0.0.1", "::1"]
FINDS += ["sk-abcdefghijklmnop1234", "Bearer abcdefghijkl", "123456789", "password=abcdefgh"]
BITS = [
    "[key]",
    "password=",
    "token: ",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    " ",
    ".",
    "-",
    "@",
    ":",
    "0",
    "(",
    "a",
    "\n",
]
PIECES = st.sampled_from([*FINDS, *BITS])
TEXTS = st.text(max_size=30) | st.lists(PIECES, max_size=8).map("".join)


@given(st.lists(st.sampled_from(FINDS) | st.text('abc {}[]"\n', max_size=4), max_size=9))
def test_no_find_is_left_however_many_there_are(pieces: list[str]) -> None:
    redacted = redact(", ".join(pieces))

    assert not [find for find in FINDS if find in redacted]


@given(TEXTS)
def test_any_text_can_be_redacted(text: str) -> None:
    assert isinstance(redact(text), str)


@given(st.text("abc xyz,\n", max_size=20), st.sampled_from(FINDS), st.text("abc xyz,\n", max_size=20))
def test_what_surrounds_a_find_stays(before: str, piece: str, after: str) -> None:
    redacted = redact(f"{before} {piece} {after}")

    assert redacted.startswith(before)
    assert redacted.endswith(after)


SIZE = 300_000
UNKIND = ["a", "1", "1 ", "1-", "a.", "a@", "a@a.", "1.1.1.1.", ":", "a:", "0", "(0", "03/", "+1 ", " ", "_", "\n"]
UNKIND += [
    "-----BEGIN PRIVATE KEY-----",
    "eyJ",
    "eyJaaaaaaaa.",
    "sk-",
    "sk-a-",
    "AB12 ",
    "AA00 AAAA ",
    "token=",
    "bearer ",
]


@pytest.mark.parametrize("unit", UNKIND)
def test_no_text_takes_more_than_its_length_asks_for(unit: str) -> None:
    # Quadratic time would be minutes here, and the test would be stopped.
    redact(unit * (SIZE // len(unit)))
    redact("-----BEGIN PRIVATE KEY-----" + unit * (SIZE // len(unit)))


def test_bodies_are_redacted_wherever_text_is_and_stay_json() -> None:
    request = {
        "model": "gpt-4o-2024-08-06",
        "messages": [
            {"role": "user", "content": "I am jo@example.org"},
            {"role": "user", "content": [{"type": "text", "text": "10.0.0.1"}, {"type": "image_url", "n": 123456789}]},
            {"role": "assistant", "tool_calls": [{"function": {"arguments": '{"card": 4111111111111111}'}}]},
        ],
        "max_tokens": 100,
        "phone": 4915112345678,
    }

    record = redact_record(Record("whole", {"id": "123456789012"}, orjson.dumps(request), b'{"created":1764000000}'))

    assert orjson.loads(record.request or b"") == {
        "model": "gpt-4o-2024-08-06",
        "messages": [
            {"role": "user", "content": "I am [email]"},
            {"role": "user", "content": [{"type": "text", "text": "[ip]"}, {"type": "image_url", "n": 123456789}]},
            {"role": "assistant", "tool_calls": [{"function": {"arguments": '{"card":"[number]"}'}}]},
        ],
        "max_tokens": 100,
        "phone": "[number]",
    }
    assert orjson.loads(record.response or b"") == {"created": 1764000000}
    assert record.fields == {"id": "123456789012"}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"url": "data:image/png;base64,aGVsbG8="}, {"url": "[data]"}),
        ({"data": "QUJD" * 100}, {"data": "[data]"}),
        ({"text": "QUJD" * 10}, {"text": "QUJD" * 10}),
        ({"logprobs": {"content": [{"token": "jo@"}]}}, {"logprobs": None}),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": True, "top_logprobs": 5}),
        ({"embedding": [0.1, 0.2]}, {"embedding": "[numbers]"}),
        ({"input": [[1, 2], [3]]}, {"input": "[numbers]"}),
        ({"prompt": [1, 2, 3]}, {"prompt": "[numbers]"}),
        ({"input": ["10.0.0.1"]}, {"input": ["[ip]"]}),
        ({"prompt": []}, {"prompt": []}),
        ("{not json jo@example.org", "{not json [email]"),
    ],
)
def test_what_cannot_be_looked_into_is_taken_out_whole(value: Any, wanted: Any) -> None:
    assert redact_json(value) == wanted


def test_bodies_and_answers_that_are_no_json_are_redacted_as_text() -> None:
    record = redact_record(
        Record("whole", {"id": "a", "response_text": "jo@example.org"}, b"<p>jo@example.org</p>", None)
    )

    assert record == Record("whole", {"id": "a", "response_text": "[email]"}, b'"<p>[email]</p>"', None)


def test_a_body_that_is_nested_very_deeply_is_redacted_too() -> None:
    deep = b"[" * 1000 + b'"jo@example.org"' + b"]" * 1000

    record = redact_record(Record("whole", {"id": "a"}, deep, None))

    assert b"jo@" not in (record.request or b"")


@given(json_values(10))
def test_every_body_stays_the_same_but_for_its_texts(value: Any) -> None:
    redacted = redact_json(value)

    assert type(redacted) is type(value) or redacted == "[number]"
    assert redact_json(redacted) == redacted
