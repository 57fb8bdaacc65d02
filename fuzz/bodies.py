"""What the gateway accepts as a JSON object, Python's json reads as the same one; and none is refused wrongly."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from spiritsafe.guard.gateway.bodies import loaded_object
from spiritsafe.guard.gateway.heads import BadRequest

SEEDS = (
    b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"n":1}',
    b'{"a":1,"a":2}',
    b'{"a":[{"b":1,"\\u0062":2}]}',
    b'{"a":"\\\\","b":"\\"","c\\\\":"\\u0022"}',
    b'{"a":"\\u0000"}',
    b'{"a":"\\\\u0000"}',
    b'{"\xc3\xa9":"\\ud83d\\ude00","x":1e300,"y":-0.0,"z":12345678901234567890123}',
    b'{"a":' + b"[" * 260 + b"]" * 260 + b"}",
)
WORDS = (
    b'"a":',
    b"\\u0000",
    b"\\u0022",
    b"\\\\",
    b'\\"',
    b"\\ud83d",
    b"\\ude00",
    b"null",
    b"1e999",
    b"NaN",
    b"{}",
    b"[]",
    b'""',
)


class _Twice(Exception):
    """A key came twice."""


def check(data: bytes) -> None:
    """Both read alike, and find the same faults."""
    try:
        ours = loaded_object(data)
    except BadRequest as refused:
        _check_refused(data, refused.code)
        return
    assert _same(ours, _read(data.decode())), "read differently"
    assert not any("\0" in text for text in _texts(ours)), "a NUL got in"


def _check_refused(data: bytes, code: str) -> None:
    if code == "duplicate_key":
        try:
            _read(data.decode())
        except _Twice:
            return
        raise AssertionError("no key is there twice")
    if code == "nul_character":
        assert any("\0" in text for text in _texts(_read(data.decode()))), "no NUL is there"


def _read(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once, parse_constant=_refused)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise _Twice
    return dict(pairs)


def _refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def _same(ours: Any, theirs: Any) -> bool:
    """Equal in type and value; whole numbers beyond 64 bits are floats to us."""
    if isinstance(theirs, dict):
        return (
            isinstance(ours, dict)
            and list(ours) == list(theirs)
            and all(_same(ours[key], theirs[key]) for key in theirs)
        )
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if type(theirs) is int and type(ours) is float:
        return abs(theirs) >= 1 << 63 and float(theirs) == ours
    return type(ours) is type(theirs) and bool(ours == theirs)


def _texts(value: Any) -> list[str]:
    """Every string in `value`, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *_texts(inner))]
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list) else []
