"""The log's records, to bytes and back. Pure, and light: the gateway's workers write with it.

An exchange is two records, `received` and `ended`, or one, `whole`, where it was over before its first was written. A
record is one JSON object. The bodies of request and response stand last, byte for byte as they were sent, and `raw`
says how long they are: so a body that is no JSON spoils no record, and none can pass for fields of ours.

    {"k":"received","v":1,"raw":[27],"id":...,"at":...,"account":...,...,"request":{...}}
    {"k":"ended","v":1,"raw":[31],"id":...,"status":200,"outcome":"completed",...,"response":{...}}
    {"k":"whole","v":1,"raw":[27,31],...,"request":{...},"response":{...}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.rendering import trimmed

RECORDS_VERSION = 1

BODIES = {"received": ("request",), "ended": ("response",), "whole": ("request", "response")}
"""The kinds of record, and the bodies that each carries, in their order."""

UNFINISHED = "unfinished"
"""The outcome of an exchange whose last record was never written."""

_HEAD = re.compile(rb'\{"k":"(received|ended|whole)","v":(\d{1,9}),"raw":\[(\d{1,12})(?:,(\d{1,12}))?\],')
_NULL = b"null"


class Record(NamedTuple):
    """One record, its bodies apart.

    Attributes:
        kind: "received", "ended" or "whole".
        fields: all but the bodies and `k`, `v` and `raw`.
        request, response: the bodies, as they were sent; None where there is none.
    """

    kind: str
    fields: dict[str, Any]
    request: bytes | None = None
    response: bytes | None = None

    @property
    def id(self) -> str:
        """The exchange it belongs to."""
        return str(self.fields["id"])


def encode_received(received: Mapping[str, Any], request: bytes | None) -> bytes:
    """The record of a request that is handed to an upstream.

    Args:
        received: the record's fields, `id` among them, but for the body.
        request: the body as it was sent: one JSON value, or None.
    """
    body = request or _NULL
    return b'{"k":"received","v":1,"raw":[%d],%b,"request":%b}' % (len(body), _inner(received), body)


def encode_ended(ended: Mapping[str, Any], response: bytes | None) -> bytes:
    """The record of an exchange that is over.

    Args:
        ended: the record's fields, `id` among them, but for the body; `response_text` where the answer was no JSON.
        response: the answer's body, or a stream's put together: one JSON value, or None.
    """
    body = response or _NULL
    return b'{"k":"ended","v":1,"raw":[%d],%b,"response":%b}' % (len(body), _inner(ended), body)


def encode_whole(
    received: Mapping[str, Any], request: bytes | None, ended: Mapping[str, Any], response: bytes | None
) -> bytes:
    """Both records of an exchange in one; see `encode_received` and `encode_ended`."""
    asked, answered = request or _NULL, response or _NULL
    return b'{"k":"whole","v":1,"raw":[%d,%d],%b,"request":%b,"response":%b}' % (
        len(asked),
        len(answered),
        _inner({**received, **ended}),
        asked,
        answered,
    )


def _inner(fields: Mapping[str, Any]) -> bytes:
    """The members of a JSON object, without its braces."""
    try:
        return orjson.dumps(fields)[1:-1]
    except TypeError:
        return orjson.dumps(_cleaned(fields))[1:-1]


def _cleaned(fields: Mapping[str, Any]) -> Any:
    """`fields` without what orjson refuses: text that is not Unicode, and whole numbers beyond 64 bits."""
    text = json.dumps(fields, ensure_ascii=False, default=str)
    return json.loads(text.encode("utf-8", "replace"), parse_int=_number)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def split(data: bytes) -> Record:
    """The record in `data`, its bodies left as bytes.

    Raises:
        InputError: it is no record of this log, or a newer version wrote it.
    """
    head = _HEAD.match(data)
    if head is None:
        return _parsed(data)
    kind, version, first, second = head.groups()
    _check_version(int(version))
    end = len(data) - 1
    request = response = None
    if kind != b"received":
        response, end = _cut(data, end, int(second or first), b',"response":')
    if kind != b"ended":
        request, end = _cut(data, end, int(first), b',"request":')
    if end < head.end():
        raise _unlike(data)
    return Record(kind.decode(), _loaded(b"{" + data[head.end() : end] + b"}"), request, response)


def _cut(data: bytes, end: int, size: int, mark: bytes) -> tuple[bytes | None, int]:
    """The body of `size` bytes before `end`, and where the mark before it starts."""
    start = end - size
    if start < len(mark) or not data.endswith(mark, 0, start):
        raise _unlike(data)
    body = data[start:end]
    return (None if body == _NULL else body), start - len(mark)


def _unlike(data: bytes) -> InputError:
    return InputError(f"got a record {shown(data[:60])} whose bodies are not as long as it says; write it anew")


def _parsed(data: bytes) -> Record:
    """A record that does not say how long its bodies are."""
    fields = _loaded(data)
    kind = fields.pop("k", None)
    if not isinstance(kind, str) or kind not in BODIES:
        raise InputError(f"got a record of kind {shown(kind)}, wanted one of {', '.join(BODIES)}; write it anew")
    _check_version(fields.pop("v", None))
    fields.pop("raw", None)
    return Record(kind, fields, *(dumped(fields.pop(name, None)) for name in ("request", "response")))


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"got a record that is not JSON ({error}); write it anew") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("id"), str):
        raise InputError(f"got {shown(fields)}, wanted a JSON object with an id; write it anew")
    return fields


def _check_version(version: object) -> None:
    if type(version) is not int or not 1 <= version <= RECORDS_VERSION:
        raise InputError(f"got a record of version {shown(version)}, wanted 1..{RECORDS_VERSION}; upgrade spiritsafe")


def dumped(body: object) -> bytes | None:
    """The JSON of `body`, however deep; None for None."""
    if body is None:
        return None
    try:
        return trimmed(orjson.dumps(body))
    except TypeError:  # nested deeper than orjson writes
        return json.dumps(body).encode()


def decode(data: bytes) -> dict[str, Any]:
    """The record in `data` as a JSON object, bodies parsed; one that is no JSON is `request_text` or `response_text`.

    Raises:
        InputError: it is no record of this log, or a newer version wrote it.
    """
    record = split(data)
    own = {"k": record.kind, "v": RECORDS_VERSION}
    row = own | record.fields | own  # first, and what holds, even where a damaged record has them a second time
    for name in BODIES[record.kind]:
        _add_body(row, name, record.request if name == "request" else record.response)
    return row


def _add_body(row: dict[str, Any], name: str, body: bytes | None) -> None:
    try:
        row[name] = None if body is None else orjson.loads(body)
    except orjson.JSONDecodeError:
        row[name] = None
        row[f"{name}_text"] = (body or b"").decode("utf-8", "replace")


def record_of(row: Mapping[str, Any]) -> Record:
    """`decode` the other way round.

    Raises:
        InputError: it is no record.
    """
    kind = row.get("k")
    if not isinstance(kind, str) or kind not in BODIES or not isinstance(row.get("id"), str):
        raise InputError(f"got {shown(row)}, wanted a record with k and id; give what decode gave")
    fields = {name: value for name, value in row.items() if name not in ("k", "v", "request", "response")}
    return Record(kind, fields, dumped(row.get("request")), dumped(row.get("response")))


def joined(received: Record, ended: Record) -> Record:
    """Both records of an exchange in one."""
    return Record("whole", {**received.fields, **ended.fields}, received.request, ended.response)
