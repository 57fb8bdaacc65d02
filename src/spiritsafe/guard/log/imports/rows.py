"""A log's file as rows: JSON lines, one JSON array, or one JSON object that may hold its rows under `data`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Exchange
from spiritsafe.wire.shapes import amount_of

MILLISECONDS_FROM = 1e11
"""A time that is a larger number is in milliseconds: in seconds it would be after the year 5000."""


_NAMES_OF_A_ROW = frozenset(("v", "id", "request_id"))


class Row(NamedTuple):
    """A JSON object, and the number of its line; of an array's items, its place among them, from 1."""

    number: int
    value: Mapping[str, Any]


class BadRow(NamedTuple):
    """What could not be read, and why."""

    number: int
    why: str


Found = Exchange | BadRow | None
"""What a format makes of a row; None for one that tells of no exchange."""

Rows = Callable[[], Iterator[Row | BadRow]]
"""Gives the rows of a file from the beginning, as often as it is called."""

Format = Callable[[Rows], Iterator[Found]]


def rows_of(path: Path) -> Iterator[Row | BadRow]:
    """The rows of the file at `path`; empty lines are passed over.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip()), b"").strip()
            file.seek(0)
            if first.startswith(b"[") or first == b"{":
                yield from _rows_in(1, _parsed(file.read()))
            else:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield from _rows_in(number, _parsed(line))
    except OSError as error:
        raise InputError(f"cannot read {shown(str(path))}: {error.strerror}; give the path of a log") from None


def _rows_in(number: int, value: Any) -> Iterator[Row | BadRow]:
    """The rows in the value of one line, or of a whole file."""
    if isinstance(value, dict) and isinstance(value.get("data"), list) and not value.keys() & _NAMES_OF_A_ROW:
        value = value["data"]
    if isinstance(value, list):
        for place, item in enumerate(value, number):
            yield _row(place, item)
    else:
        yield _row(number, value)


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return error


def _row(number: int, value: Any) -> Row | BadRow:
    if isinstance(value, dict):
        return Row(number, value)
    if isinstance(value, orjson.JSONDecodeError):
        return BadRow(number, f"is not JSON ({value}); mend or remove it")
    return BadRow(number, f"is {shown(value)}, wanted a JSON object; mend or remove it")


def object_in(value: Any) -> Mapping[str, Any]:
    """`value` if it is a JSON object, or the text of one; else an empty one."""
    value = value_in(value)
    return value if isinstance(value, dict) else {}


def value_in(value: Any) -> Any:
    """What `value` says, where it is the text of a JSON object or array; else `value` itself."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def seconds_of(value: Any) -> float | None:
    """A time as unix seconds: from seconds or milliseconds, or from ISO 8601, where UTC is taken for granted."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    number = amount_of(value)
    return number / 1000 if number is not None and number >= MILLISECONDS_FROM else number
