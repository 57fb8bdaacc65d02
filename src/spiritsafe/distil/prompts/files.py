"""Prompts from files: JSONL, CSV (also gzipped) and Parquet, a row at a time.

Memory: one row, and for Parquet one batch of rows. CSV has a header line, commas and UTF-8.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.prompts.rows import prompt_of
from spiritsafe.distil.recipe import FilePrompts
from spiritsafe.errors import InputError, MissingExtra, shown

Row: TypeAlias = tuple[str, Mapping[str, Any]]
"""Where a row stands ("prompts.jsonl:3"), and the row."""

_BATCH_ROWS = 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load(source: FilePrompts, ask: object = None) -> Iterator[Prompt]:
    """The prompts of a file, in its order.

    Raises:
        InputError: the file cannot be read, or a row is not what is wanted; the message names file and line.
        MissingExtra: Parquet without the extra.
    """
    for where, row in read_rows(source.kind, source.path):
        yield prompt_of(row, where, source.prompt_field, source.answer_field)


def read_rows(kind: str, path: Path) -> Iterator[Row]:
    """The rows of a file of one of the kinds in `READERS`.

    Raises:
        InputError: as `load`.
    """
    try:
        yield from dict(READERS)[kind](path)
    except OSError as error:
        raise InputError(
            f"cannot read {shown(str(path))}: {error.strerror or error}; give the path of a {kind} file"
        ) from None
    except (EOFError, zlib.error):
        raise InputError(f"{path}: the compressed file is damaged or cut off; compress it again") from None


def kind_of(path: Path) -> str:
    """The kind of file by its suffix, a final ".gz" aside.

    Raises:
        InputError: the suffix is none of the kinds.
    """
    kind = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lstrip(".")
    if kind not in dict(READERS):
        known = ", ".join(f".{name}" for name, _ in READERS)
        raise InputError(f"got file {shown(str(path))}, wanted one ending in {known}; rename it")
    return kind


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _jsonl(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            yield f"{path}:{number}", _json_object(line.removeprefix(_BYTE_ORDER_MARK), f"{path}:{number}")


def _json_object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: got a line that is not JSON ({error}), wanted a JSON object; mend it") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: got {shown(row)}, wanted a JSON object a line; mend it")
    return row


def _csv(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        lines = _decoded(file, path)
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    wanted = len(reader.fieldnames or ())
                    raise InputError(f"{where}: got a row of another length, wanted {wanted} fields; mend its quoting")
                yield where, row
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not CSV ({error}); mend the line, or use JSONL") from None


def _decoded(file: BufferedIOBase, path: Path) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}:{number}: not UTF-8; save the file as UTF-8") from None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra.of("reading prompts from Parquet", "parquet") from None
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: not Parquet ({error}); write the file again") from None


READERS: tuple[tuple[str, Callable[[Path], Iterator[Row]]], ...] = (
    ("jsonl", _jsonl),
    ("csv", _csv),
    ("parquet", _parquet),
)
"""Kinds of files, each with what reads its rows."""
