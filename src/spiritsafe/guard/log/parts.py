"""Parts: rows of the log as Parquet files (extra `parquet`), and several of them merged into one.

A partition is a folder `segment=S/day=YYYY-MM-DD/hour=HH/bucket=NN` below `features/` or `bodies/`; hours are UTC. What
the folders say is not repeated in the files. A row of `bodies` holds the bodies as they were sent and, in `record`, all
else that the log said of the exchange, so that it can be read back (`stored`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote

from spiritsafe.errors import MissingExtra, StoreError
from spiritsafe.guard.log.features import COLUMNS, COUNT, NUMBER, TEXT, TEXTS, TRUTH
from spiritsafe.guard.log.records import Record, dumped
from spiritsafe.guard.log.retention import HOUR_S, NO_SEGMENT

BODY_COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", TEXT),
    ("at", NUMBER),
    ("account", TEXT),
    ("request", TEXT),
    ("response", TEXT),
    ("record", TEXT),
)

KIND_COLUMNS = {"features": COLUMNS, "bodies": BODY_COLUMNS}

ROWS_PER_GROUP = 16384
BYTES_PER_GROUP = 64 << 20

_REPEATED = [name for name, kind in COLUMNS if kind == TEXT and not name.endswith("_hash") and name != "id"]


class Partition(NamedTuple):
    """Where a row belongs: the account's segment, hours since 1970, and the account's bucket."""

    segment: str
    hour: int
    bucket: int

    @property
    def folder(self) -> str:
        """Its folder, relative to that of the kind."""
        segment = quote(self.segment, safe="") or NO_SEGMENT
        stamp = time.strftime("day=%Y-%m-%d/hour=%H", time.gmtime(self.hour * HOUR_S))
        return f"segment={segment}/{stamp}/bucket={self.bucket:02d}"


def partition_of(segment: str, at: float, account: str, buckets: int) -> Partition:
    """The partition of an exchange that came `at` unix seconds."""
    return Partition(segment, int(at // HOUR_S), bucket_of(account, buckets))


@lru_cache(1 << 16)
def bucket_of(account: str, buckets: int) -> int:
    """The same bucket for the same account, always and everywhere: 8 bytes of BLAKE2b, modulo `buckets`."""
    return int.from_bytes(blake2b(account.encode("utf-8", "replace"), digest_size=8).digest()) % buckets


def body_row(record: Record, at: float, account: str) -> tuple[Any, ...]:
    """The row of `bodies` for `record`."""
    fields = dumped({"k": record.kind, **record.fields})
    return (record.id, at, account, _text(record.request), _text(record.response), _text(fields))


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")


def write_part(file: IO[bytes], kind: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write `rows` of `kind` ("features" or "bodies") to `file`.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    pyarrow, _ = _pyarrow()
    schema = _schema(kind)
    columns = zip(schema, zip(*rows, strict=True), strict=True)
    table = pyarrow.table([pyarrow.array(values, field.type) for field, values in columns], schema)
    with _writer(file, kind) as writer:
        writer.write_table(table, ROWS_PER_GROUP)


def merge_parts(file: IO[bytes], kind: str, paths: Sequence[Path]) -> int:
    """Write the rows of all `paths`, in their order, to `file`, a group in memory at a time; returns how many.

    Columns that a file does not have, because an earlier version wrote it, are empty.

    Raises:
        MissingExtra: pyarrow is not installed.
        StoreError: one of them is damaged.
    """
    count = 0
    with _writer(file, kind) as writer:
        for table in _collected(paths, kind):
            writer.write_table(table, ROWS_PER_GROUP)
            count += table.num_rows
    return count


def read_parts(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The rows of all `paths`, in their order, as dicts.

    Raises:
        MissingExtra: pyarrow is not installed.
        StoreError: one of them is damaged.
    """
    for path in paths:
        for table in _groups(path):
            yield from table.to_pylist()


def _groups(path: Path) -> Iterator[Any]:
    pyarrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, use_threads=False)
    except pyarrow.ArrowException as error:
        raise StoreError(f"{path} is damaged ({str(error).splitlines()[0]}); restore it, or move it away") from None


def _collected(paths: Sequence[Path], kind: str) -> Iterator[Any]:
    """All rows, as tables of about the size of a group: many small files become few groups."""
    pyarrow, _ = _pyarrow()
    tables: list[Any] = []
    for path in paths:
        for table in _groups(path):
            tables.append(_fitted(table, kind))
            if sum(map(len, tables)) >= ROWS_PER_GROUP or sum(one.nbytes for one in tables) >= BYTES_PER_GROUP:
                yield pyarrow.concat_tables(tables)
                tables.clear()
    if tables:
        yield pyarrow.concat_tables(tables)


def _fitted(table: Any, kind: str) -> Any:
    pyarrow, _ = _pyarrow()
    schema = _schema(kind)
    names = set(table.column_names)
    columns = [
        table.column(field.name) if field.name in names else pyarrow.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pyarrow.table(columns, schema)


@contextmanager
def _writer(file: IO[bytes], kind: str) -> Iterator[Any]:
    _, parquet = _pyarrow()
    repeated = _REPEATED if kind == "features" else ["account"]
    with parquet.ParquetWriter(file, _schema(kind), compression="zstd", use_dictionary=repeated) as writer:
        yield writer


@cache
def _schema(kind: str) -> Any:
    pyarrow, _ = _pyarrow()
    types = {
        TEXT: pyarrow.string(),
        COUNT: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        TRUTH: pyarrow.bool_(),
        TEXTS: pyarrow.list_(pyarrow.string()),
    }
    return pyarrow.schema([(name, types[of]) for name, of in KIND_COLUMNS[kind]])


@cache
def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra.of("compacting the log", "parquet") from None
    return pyarrow, parquet
