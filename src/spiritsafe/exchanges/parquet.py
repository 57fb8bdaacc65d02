"""Export of exchanges to one Parquet file (extra `parquet`), streamed in row groups.

One row an exchange; text, numbers and log-probability bytes are columns; what has no fixed shape (message parts,
sampling, client, other) is a column of JSON text, null where empty. DuckDB, Polars and `datasets` read it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.errors import MissingExtra
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.exchanges.line import to_json
from spiritsafe.exchanges.record import Exchange

ROWS_PER_GROUP = 1024

TEXT = ("id", "account", "dialect", "model", "answer", "reasoning", "finish_reason")
USAGE = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_input_tokens")
TIMING = ("first_byte_s", "last_byte_s")
SOURCE = ("endpoint", "version", "fingerprint", "terms", "licence", "permission", "terms_as_of")
ACCOUNT = ("price_version", "charged_to", "segment")
JSON = ("sampling", "client", "other")


def to_parquet(path: Path, exchanges: Iterable[Exchange], rows_per_group: int = ROWS_PER_GROUP) -> int:
    """Write `exchanges` to `path`, whole or not at all, holding `rows_per_group` in memory; returns how many.

    Raises:
        MissingExtra: pyarrow is not installed.
        StoreError: the disk did not take it.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra.of("writing Parquet", "parquet") from None
    schema = _schema(pyarrow)
    count = 0
    with replacing(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _groups(exchanges, rows_per_group):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _schema(pyarrow: Any) -> Any:
    text, count, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    turn = pyarrow.struct([("role", text), ("content", text), ("parts", text)])
    logprobs = [("logprobs_tokens", count), ("logprobs_k", count), ("logprobs_packed", pyarrow.binary())]
    table = [("logprobs_has_ids", pyarrow.bool_()), ("logprobs_table", pyarrow.list_(pyarrow.binary()))]
    return pyarrow.schema(
        [
            *[(name, text) for name in TEXT],
            *[("at", number), ("sample", count), ("dollars", number), ("messages", pyarrow.list_(turn))],
            *[(name, count) for name in USAGE],
            *[(name, number) for name in TIMING],
            *[(name, text) for name in (*SOURCE, *ACCOUNT, *JSON)],
            *logprobs,
            *table,
        ]
    )


def _groups(exchanges: Iterable[Exchange], rows_per_group: int) -> Iterator[list[dict[str, Any]]]:
    left = iter(exchanges)
    while rows := [_row(exchange) for exchange in islice(left, rows_per_group)]:
        yield rows


def _row(exchange: Exchange) -> dict[str, Any]:
    row = {name: getattr(exchange, name) for name in (*TEXT, *ACCOUNT, "at", "sample", "dollars") if name != "model"}
    row |= {name: getattr(exchange.usage, name) for name in USAGE}
    row |= {name: getattr(exchange.timing, name) for name in TIMING}
    row |= {name: getattr(exchange.source, name) for name in (*SOURCE, "model")}
    row["messages"] = [{"role": m.role, "content": m.content, "parts": _json(list(m.parts))} for m in exchange.messages]
    sampling = to_json(exchange).get("sampling")
    row |= {"sampling": _json(sampling), "client": _json(exchange.client), "other": _json(exchange.other)}
    if exchange.logprobs is not None:
        row |= {f"logprobs_{name}": getattr(exchange.logprobs, name) for name in ("tokens", "k", "packed", "has_ids")}
        row["logprobs_table"] = list(exchange.logprobs.table) or None
    return row


def _json(value: Any) -> str | None:
    return orjson.dumps(value).decode() if value else None
