"""The log's records, to bytes and back."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.log.logged import ended, received, received_fields, whole
from tests.strategies import json_objects, json_values, words

from spiritsafe.errors import InputError
from spiritsafe.guard.log.records import (
    Record,
    decode,
    encode_ended,
    encode_received,
    encode_whole,
    joined,
    record_of,
    split,
)

RECEIVED = json_objects().map(lambda row: {"id": "a1", **row})
ENDED = json_objects().map(lambda row: {"id": "a1", **{f"end_{name}": value for name, value in row.items()}})
BODIES = st.none() | json_values().map(orjson.dumps).filter(lambda body: body != b"null")


@settings(max_examples=40)
@given(RECEIVED, BODIES, ENDED, BODIES)
def test_a_record_comes_back_with_its_bodies_byte_for_byte(
    asked: dict[str, Any], request: bytes | None, answered: dict[str, Any], response: bytes | None
) -> None:
    assert split(encode_received(asked, request)) == Record("received", asked, request)
    assert split(encode_ended(answered, response)) == Record("ended", answered, None, response)
    assert split(encode_whole(asked, request, answered, response)) == Record(
        "whole", asked | answered, request, response
    )


@settings(max_examples=40)
@given(RECEIVED, BODIES, ENDED, BODIES)
def test_two_records_joined_are_the_one_that_has_both(
    asked: dict[str, Any], request: bytes | None, answered: dict[str, Any], response: bytes | None
) -> None:
    first, last = split(encode_received(asked, request)), split(encode_ended(answered, response))

    assert joined(first, last) == split(encode_whole(asked, request, answered, response))


@settings(max_examples=40)
@given(RECEIVED, BODIES, ENDED, BODIES)
def test_a_record_is_one_json_object_that_any_reader_reads(
    asked: dict[str, Any], request: bytes | None, answered: dict[str, Any], response: bytes | None
) -> None:
    data = encode_whole(asked, request, answered, response)

    row = orjson.loads(data)
    assert row.pop("raw") == [len(request or b"null"), len(response or b"null")]
    assert row == decode(data)
    assert record_of(decode(data)).fields == split(data).fields


@pytest.mark.parametrize(
    "body", [b"<html>", b'null,"account":"other"', b'1},{"k":"whole"', b"\xff\xfe", b'","request":', b"{", b" "]
)
def test_a_body_that_is_no_json_spoils_no_record_and_is_no_field(body: bytes) -> None:
    record = split(encode_whole(received_fields("a1"), body, {"status": 200}, body))

    assert record == Record("whole", received_fields("a1") | {"status": 200}, body, body)
    row = decode(encode_ended({"id": "a1"}, body))
    assert row == {"k": "ended", "v": 1, "id": "a1", "response": None, "response_text": body.decode("utf-8", "replace")}


def test_fields_that_json_cannot_hold_are_written_as_well_as_can_be() -> None:
    fields = {"id": "a1", "model": "x\ud800y", "big": 2**70, "at": float("nan"), "odd": {1}, "small": 7}

    row = decode(encode_received(fields, None))

    assert row["model"] == "x?y"
    assert row["big"] == float(2**70)
    assert row["at"] is None
    assert (row["odd"], row["small"]) == ("{1}", 7)


def test_a_record_without_lengths_is_read_too() -> None:
    data = b'{"v": 1, "k": "whole", "id": "a1", "request": {"x": [1, 2]}, "response": null, "status": 200}'

    assert split(data) == Record("whole", {"id": "a1", "status": 200}, b'{"x":[1,2]}', None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "wanted a JSON object with an id"),
        (b'{"k":"whole","v":1,"id":7}', "with an id"),
        (b'{"k":"other","v":1,"id":"a"}', "kind 'other', wanted one of"),
        (b'{"k":["whole"],"v":1,"id":"a"}', "wanted one of"),
        (b'{"k":"whole","v":2,"id":"a"}', "version 2, wanted 1..1; upgrade"),
        (received("a1").replace(b'"v":1', b'"v":2'), "version 2"),
        (received("a1")[:-20], "not as long as it says"),
        (ended("a1").replace(b'"raw":[', b'"raw":[9'), "not as long as it says"),
        (whole("a1").replace(b',"request":', b',"re_uest":'), "not as long as it says"),
    ],
)
def test_what_is_no_record_is_an_input_error(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(data)


@given(st.binary(max_size=60) | st.builds(bytes.join, st.just(b""), st.lists(st.sampled_from(
    [b'{"k":"whole","v":1,"raw":[', b"2,2", b"],", b'"id":"a"', b',"request":', b"{}", b',"response":', b"}", b"9"]
), max_size=10)))  # fmt: skip
def test_reading_raises_nothing_else_whatever_comes(data: bytes) -> None:
    try:
        row = decode(data)
    except InputError:
        return
    assert isinstance(record_of(row).id, str)


def test_a_record_that_says_its_kind_twice_is_of_the_first() -> None:
    row = decode(b'{"k":"ended","v":1,"raw":[4],"id":"a","k":"other","v":7,"response":null}')
    assert (row["k"], row["v"], record_of(row).id) == ("ended", 1, "a")


@given(words, st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_an_input_error_or_another_record(identity: str, at: int, change: int) -> None:
    data = bytearray(whole(identity))
    data[at % len(data)] ^= change
    try:
        record = split(bytes(data))
    except InputError:
        return
    assert record.kind in ("received", "ended", "whole")


@pytest.mark.parametrize("row", [{}, {"k": "whole"}, {"k": "other", "id": "a"}, {"id": "a"}])
def test_a_row_that_is_no_record_is_an_input_error(row: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="wanted a record with k and id"):
        record_of(row)
