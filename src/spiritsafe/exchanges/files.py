"""Exchange files: reading and writing exchange lines (`exchanges.line`) as JSONL, one exchange in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.exchanges.line import dumps, from_json, loads, to_json
from spiritsafe.exchanges.parquet import to_parquet
from spiritsafe.exchanges.record import Exchange

__all__ = ["dumps", "from_json", "loads", "read_exchanges", "to_json", "to_parquet", "write_exchanges"]


def read_exchanges(path: Path) -> Iterator[Exchange]:
    """The exchanges of the file at `path`; empty lines are passed over.

    Raises:
        InputError: the file cannot be read, or a line is not an exchange; the message gives its number.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _loaded(line, path, number)
    except OSError as error:
        raise InputError(
            f"cannot read {shown(str(path))}: {error.strerror}; give the path of a file of exchanges"
        ) from None


def _loaded(line: bytes, path: Path, number: int) -> Exchange:
    try:
        return loads(line)
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from None


def write_exchanges(path: Path, exchanges: Iterable[Exchange]) -> int:
    """Write `exchanges` to `path`, whole or not at all; returns how many.

    Raises:
        StoreError: the disk did not take it.
        InputError: one of them holds something that JSON cannot.
    """
    count = 0
    with replacing(path) as file:
        for exchange in exchanges:
            file.write(dumps(exchange) + b"\n")
            count += 1
    return count
