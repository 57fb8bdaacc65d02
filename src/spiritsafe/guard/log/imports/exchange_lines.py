"""This project's own exchange lines (`exchanges.line`), read row by row so that a bad one stops nothing."""

from __future__ import annotations

from collections.abc import Iterator

from spiritsafe.errors import InputError
from spiritsafe.exchanges.line import from_json
from spiritsafe.guard.log.imports.rows import BadRow, Found, Rows


def read_exchange_lines(rows: Rows) -> Iterator[Found]:
    """The exchange of each row."""
    for row in rows():
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield from_json(row.value)
        except InputError as error:
            yield BadRow(row.number, str(error))
