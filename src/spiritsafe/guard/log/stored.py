"""Exchanges read back from a compacted log, for export and for whoever wants the whole of them.

to_parquet(path, stored_exchanges(folder))      # or write_exchanges, for exchange lines
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.log.parts import read_parts
from spiritsafe.guard.log.reading import exchange_from
from spiritsafe.guard.log.records import Record


def stored_exchanges(folder: Path, segment: str | None = None, account: str | None = None) -> Iterator[Exchange]:
    """The exchanges of the log in `folder` whose bodies were kept; of one segment or account only, where one is named.

    They come segment by segment, and within it hour by hour.

    Raises:
        MissingExtra: pyarrow is not installed.
        StoreError: a file is damaged.

    Limits: what is in the segments and not compacted yet does not come. A redacted body is read as it was kept.
    """
    for row in read_parts(sorted((folder / "bodies").rglob("*.parquet"))):
        if account is None or row["account"] == account:
            exchange = exchange_from(_record(row["record"], row["request"], row["response"]))
            if segment is None or exchange.segment == segment:
                yield exchange


def _record(fields: str, request: str | None, response: str | None) -> Record:
    row = orjson.loads(fields)
    kind = row.pop("k")
    return Record(kind, row, _bytes(request), _bytes(response))


def _bytes(body: str | None) -> bytes | None:
    return None if body is None else body.encode()
