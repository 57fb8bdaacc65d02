"""A record of the log reads back as it was written, whatever is in it; anything else is an InputError."""

from __future__ import annotations

from typing import Any

import orjson

from fuzz import parts, seed
from spiritsafe.errors import InputError
from spiritsafe.guard.log.reading import exchange_from, exchange_of
from spiritsafe.guard.log.records import decode, encode_ended, encode_received, encode_whole, split

_RECEIVED = {"id": "a1", "at": 1.5, "account": "acme", "surface": "chat", "model": "m", "client": {"ip": "::1"}}
_ENDED = {"id": "a1", "status": 200, "outcome": "completed", "tokens": [1, 2], "last_byte_s": 0.5}
_ASKED = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
_ANSWERED = b'{"choices":[{"index":0,"message":{"content":"Blue"},"finish_reason":"stop"}]}'

SEEDS = (
    seed(0, [], encode_received(_RECEIVED, _ASKED)),
    seed(0, [], encode_ended(_ENDED, _ANSWERED)),
    seed(0, [], encode_whole(_RECEIVED, _ASKED, _ENDED, _ANSWERED)),
    seed(0, [], b'{"k":"whole","v":1,"id":"a","request":{"a":1},"response":null}'),
    seed(1, [5, 60], _ASKED + orjson.dumps(_RECEIVED) + _ANSWERED),
    seed(2, [57], _ASKED + orjson.dumps(_ENDED | {"x": 2**63, "y": {"request": "response"}})),
)
WORDS = (
    *(b'"raw":[', b'"k":"received"', b'"k":"ended"', b'"k":"whole"', b'"v":1', b',"request":'),
    *(b',"response":', b"null", b"}}", b'"id":"', b'"surface":"messages"', b'"surface":"responses"'),
    *(b'"tokens":[', b'"client":{', b'"status":200', b"\\ud800"),
)


def check(data: bytes) -> None:
    """Reading raises nothing else, and what was written comes back."""
    choice, cuts, rest = parts(data)
    if choice == 0:
        _check_read(rest)
    else:
        first, second = sorted((*cuts, 0, 0)[:2])
        _check_written(rest[:first], rest[first:second], rest[second:])


def _check_read(data: bytes) -> None:
    try:
        record = split(data)
        row = decode(data)
    except InputError:
        return
    assert exchange_from(record).id == record.id
    assert exchange_of(row).id == record.id


def _check_written(asked: bytes, answered: bytes, written: bytes) -> None:
    """Bodies of any bytes, and fields of any JSON, stay apart and come back."""
    fields = _fields(written)
    whole = split(encode_whole(fields, asked, {"id": "b", "outcome": "refused"}, answered))
    assert (whole.request, whole.response) == (_kept(asked), _kept(answered))
    assert whole.fields == {**fields, "id": "b", "outcome": "refused"}
    received = split(encode_received(fields, asked))
    assert (received.kind, received.fields, received.request) == ("received", fields, _kept(asked))
    ended = split(encode_ended(fields, answered))
    assert (ended.kind, ended.fields, ended.response) == ("ended", fields, _kept(answered))
    exchange_from(whole)


def _fields(written: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(written)
        orjson.dumps(fields)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return {"id": "a"}
    return {**fields, "id": "a"} if isinstance(fields, dict) else {"id": "a", "x": fields}


def _kept(body: bytes) -> bytes | None:
    return None if body in (b"", b"null") else body
