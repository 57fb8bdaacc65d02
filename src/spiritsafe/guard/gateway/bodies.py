"""What a request's body must be: one JSON object that everybody reads in the same way. Pure.

orjson is strict (no NaN, no lone surrogates, at most 1,024 levels), but of a key given twice it takes the last and
another reader takes the first: what is decided and logged would not be what the upstream answers. Such a body is
refused. A key that was dropped shows in the number of quotation marks: written out again, the body has fewer of them.
"""

from __future__ import annotations

from typing import Any

import orjson

from spiritsafe.guard.gateway.heads import BadRequest


def loaded_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises:
        BadRequest: it is no JSON object, has a key twice, or holds a NUL.
    """
    try:
        data = orjson.loads(body)
        again = orjson.dumps(data)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise BadRequest(400, f"got a body that is not valid JSON ({error}); mend it", "invalid_json") from None
    if not isinstance(data, dict):
        raise BadRequest(400, "got a body that is no JSON object; send one like the API's documentation shows")
    if _marks(body) != _marks(again):
        raise BadRequest(400, "got a JSON object with the same key twice; send each key once", "duplicate_key")
    if b"\\u0000" in again:
        _refuse_nul(again)
    return data


def _marks(json: bytes) -> int:
    """Quotation marks that open or close a string, in valid JSON."""
    if b"\\" not in json:
        return json.count(b'"')
    # Pairs of backslashes go first; a backslash that is left escapes what follows it.
    unpaired = json.replace(b"\\\\", b"")
    return unpaired.count(b'"') - unpaired.count(b'\\"')


def _refuse_nul(json: bytes) -> None:
    if b"\\u0000" in json.replace(b"\\\\", b""):
        raise BadRequest(400, "got a NUL character in the body; remove it", "nul_character")
