"""Reading JSON that came from outside: each function gives the part if it has the wanted shape, else a plain nothing.

Upstreams leave fields out, send null for them, or send another type; none of that may raise anywhere but in
`load_object`, and nothing here does I/O.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from spiritsafe.errors import UpstreamError, shown

_NOTHING: Mapping[str, Any] = {}


def load_object(body: bytes, wanted: str) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises:
        UpstreamError: the body is something else (kind "malformed", maybe billed); the message shows how it starts.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        return value
    raise malformed(wanted, bytes(body[:200]).decode("utf-8", "replace"))


def loaded(data: bytes) -> Any:
    """The JSON value in `data`, also where it is JSON only as most clients read it.

    Numbers that are none (NaN, -Infinity, 1e999) become null, and halves of a character or bytes that are no UTF-8 a
    question mark or the like: orjson refuses these, and servers send them.

    Raises:
        ValueError: it is no JSON to anybody.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _as_clients_read(data.decode("utf-8", "replace"))


def _as_clients_read(text: str) -> Any:
    try:
        value = json.loads(text, parse_float=_finite, parse_int=_number, parse_constant=_finite)
        written = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return orjson.loads(written.encode("utf-8", "replace"))


def _finite(written: str) -> float | None:
    value = float(written)
    return value if math.isfinite(value) else None


def _number(digits: str) -> float | None:
    return int(digits) if len(digits) < 19 else _finite(digits)


def malformed(wanted: str, came: object) -> UpstreamError:
    """The error for a successful answer that is not what the format promises; it may well have been charged for."""
    return UpstreamError(
        f"the upstream answered {shown(came)}, wanted {wanted}; check the base URL and the dialect",
        kind="malformed",
        retryable=True,
        maybe_billed=True,
    )


def dict_of(value: object) -> Mapping[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def list_of(value: object) -> list[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """`value` if it is a string with something in it, else None."""
    return value if isinstance(value, str) and value else None


def count_of(value: object) -> int | None:
    """`value` if it is a whole number from 0 up, else None."""
    return value if type(value) is int and value >= 0 else None


def whole_of(value: object) -> int | None:
    """`value` if it is a whole number, else None."""
    return value if type(value) is int else None


def amount_of(value: object) -> float | None:
    """`value` if it is a finite number from 0 up, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < math.inf else None
