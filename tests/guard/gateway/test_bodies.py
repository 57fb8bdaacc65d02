"""What must not pass as a request's body, since two programs could read it in two ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.guard.gateway.bodies import loaded_object
from spiritsafe.guard.gateway.heads import BadRequest

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_every_object_without_repeated_keys_is_read(value: dict[str, Any], escaped: bool, indent: int | None) -> None:
    assert loaded_object(json.dumps(value, ensure_ascii=escaped, indent=indent).encode()) == value


@given(OBJECTS, TEXT, VALUES, VALUES, st.booleans())
def test_a_key_that_comes_twice_is_refused_at_any_depth(
    value: dict[str, Any], key: str, first: Any, second: Any, is_deep: bool
) -> None:
    written = json.dumps(key)
    twice = f"{{{written}:{json.dumps(first)},{written}:{json.dumps(second)}}}"
    body = json.dumps(value | {"messages": "HERE"}).replace('"HERE"', f"[{twice}]") if is_deep else twice
    with pytest.raises(BadRequest, match="twice"):
        loaded_object(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff{}",
        b'{"a":NaN}',
        b'{"a":1}x',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\x00"}',
        b'{"a":"\\u0000"}',
        b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"a":' + b"[" * 500 + b"]" * 500 + b"}",
        b"[" * 100_000,
    ],
)
def test_what_is_no_plain_json_object_is_refused_with_400(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        loaded_object(body)
    assert refused.value.status == 400


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert loaded_object(b'{"a":"\\\\u0000"}') == {"a": "\\u0000"}
