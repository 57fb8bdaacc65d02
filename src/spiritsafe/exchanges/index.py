"""Index: what a ledger's log holds, in SQLite. All of it is derived: lost or behind, it is made again from the log.

Tables: `answers` (request key -> segment, offset, row), `spending` (sums by whom it is charged to and kind), `leases`
(the level last written by each), `scanned` (how far each segment has been taken in). One transaction a frame moves them
together, so a crash leaves the index behind the log and never half way.

Money is summed in whole nanodollars, so that no sum drifts and the order of adding does not matter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import astuple, dataclass
from operator import add
from pathlib import Path

from spiritsafe.exchanges.entries import ANSWERED, LEASED, NANO, Entry, LeaseLevel
from spiritsafe.exchanges.segments import Place

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE answers (key BLOB PRIMARY KEY, segment INTEGER, offset INTEGER, row INTEGER) WITHOUT ROWID;
CREATE TABLE spending (
    charged_to TEXT, kind TEXT, records INTEGER, nanodollars INTEGER, input_tokens INTEGER, output_tokens INTEGER,
    unknown_prices INTEGER, unknown_usage INTEGER, PRIMARY KEY (charged_to, kind)
) WITHOUT ROWID;
CREATE TABLE leases (charged_to TEXT PRIMARY KEY, nanodollars INTEGER, tokens INTEGER) WITHOUT ROWID;
CREATE TABLE scanned (segment INTEGER PRIMARY KEY, id BLOB, end INTEGER);
"""

_ADD_SPENDING = """
INSERT INTO spending VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    records = records + excluded.records, nanodollars = nanodollars + excluded.nanodollars,
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    unknown_prices = unknown_prices + excluded.unknown_prices, unknown_usage = unknown_usage + excluded.unknown_usage
"""


@dataclass(frozen=True, slots=True)
class Spend:
    """What was spent.

    Attributes:
        nanodollars: sum of what is known.
        input_tokens, output_tokens: sums of what is known.
        exchanges: answers paid for.
        attempts: requests without an answer that may have been billed.
        unknown_prices: how many of both have no known price: the sum is a lower bound where this is not 0.
        unknown_usage: how many of both have no known token counts.
    """

    nanodollars: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    exchanges: int = 0
    attempts: int = 0
    unknown_prices: int = 0
    unknown_usage: int = 0

    @property
    def dollars(self) -> float:
        """The sum of what is known, in dollars."""
        return self.nanodollars / NANO

    def __add__(self, other: Spend) -> Spend:
        return Spend(*map(add, astuple(self), astuple(other)))


class Index:
    """An open index.

    Args:
        path: the SQLite file, made if it is missing; None for a private one that goes with the object.

    Raises:
        sqlite3.Error: on any use, where the file is damaged, of another version or cannot be written.

    Limits: one thread writes; any thread reads, one at a time.
    """

    def __init__(self, path: Path | None) -> None:
        self._writer = _connected(path)
        self._reader = self._writer if path is None else _connected(path)

    def add(self, place: Place, entries: Sequence[Entry]) -> None:
        """Take in the frame at `place` with `entries`, in the order of its records."""
        answers = [
            (entry.key, place.segment, place.offset, row) for row, entry in enumerate(entries) if entry.kind == ANSWERED
        ]
        levels = {entry.charged_to: entry for entry in entries if entry.kind == LEASED}
        with self._writer as one:
            one.execute("BEGIN")
            one.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", answers)
            one.executemany(_ADD_SPENDING, _sums(entries))
            for level in levels.values():
                _set_level(one, level)
            scanned = (place.segment, place.segment_id, place.end)
            one.execute("INSERT OR REPLACE INTO scanned VALUES (?, ?, ?)", scanned)

    def has(self, key: bytes) -> bool:
        """Whether there is an answer to the request with that key."""
        return self._reader.execute("SELECT 1 FROM answers WHERE key = ?", (key,)).fetchone() is not None

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` (at most 999) whose requests were answered, in one query."""
        marks = ",".join("?" * len(keys))
        found = self._reader.execute(f"SELECT key FROM answers WHERE key IN ({marks})", keys)  # only marks are put in
        return {key for (key,) in found}

    def place_of(self, key: bytes) -> tuple[int, int, int] | None:
        """Segment, offset of the frame and row in it of the answer to the request with that key."""
        found: tuple[int, int, int] | None = self._reader.execute(
            "SELECT segment, offset, row FROM answers WHERE key = ?", (key,)
        ).fetchone()
        return found

    def spending(self, charged_to: str) -> dict[str, Spend]:
        """What was charged there, by kind: "answered", or the kind of the attempts."""
        rows = self._reader.execute(
            "SELECT kind, nanodollars, input_tokens, output_tokens, records, unknown_prices, unknown_usage "
            "FROM spending WHERE charged_to = ? ORDER BY kind",
            (charged_to,),
        ).fetchall()
        return {kind: _spend(kind, *sums) for kind, *sums in rows}

    def leases(self) -> list[LeaseLevel]:
        """Leases that are not settled."""
        rows = self._reader.execute("SELECT charged_to, nanodollars, tokens FROM leases ORDER BY charged_to").fetchall()
        return [LeaseLevel(name, None if nano is None else nano / NANO, tokens) for name, nano, tokens in rows]

    def scanned(self) -> dict[int, tuple[bytes, int]]:
        """The id of each segment taken in, and up to where it is."""
        rows = self._reader.execute("SELECT segment, id, end FROM scanned").fetchall()
        return {segment: (identity, end) for segment, identity, end in rows}

    def copy_from(self, path: Path) -> None:
        """Take over all that the index at `path` holds, without changing it."""
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
            source.backup(self._writer)
        _check_version(self._writer)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        self._writer.close()


def remove_index(path: Path) -> None:
    """Remove the index at `path`, to make it again."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _connected(path: Path | None) -> sqlite3.Connection:
    one = sqlite3.connect("" if path is None else path, isolation_level=None, check_same_thread=False)
    try:
        # NORMAL: after a power cut the index may be behind the log, which is made up for, but is never corrupt.
        one.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;")
        if one.execute("PRAGMA user_version").fetchone() == (0,):
            one.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        _check_version(one)
    except sqlite3.Error:
        one.close()
        raise
    return one


def _check_version(one: sqlite3.Connection) -> None:
    found = one.execute("PRAGMA user_version").fetchone()[0]
    if found != SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"index version {found}, wanted {SCHEMA_VERSION}")


def _set_level(one: sqlite3.Connection, level: Entry) -> None:
    if level.nanodollars == 0 and level.output_tokens == 0:
        one.execute("DELETE FROM leases WHERE charged_to = ?", (level.charged_to,))
    else:
        row = (level.charged_to, level.nanodollars, level.output_tokens)
        one.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", row)


def _sums(entries: Sequence[Entry]) -> Iterator[tuple[str | int, ...]]:
    """One row to add to `spending` for each of who is charged and the kind."""
    sums: dict[tuple[str, str], list[int]] = {}
    for entry in entries:
        if entry.kind == LEASED:
            continue
        row = sums.setdefault((entry.charged_to, entry.kind), [0] * 6)
        row[0] += 1
        row[1] += entry.nanodollars or 0
        row[2] += entry.input_tokens or 0
        row[3] += entry.output_tokens or 0
        row[4] += entry.nanodollars is None
        row[5] += entry.input_tokens is None or entry.output_tokens is None
    return ((*of, *row) for of, row in sums.items())


def _spend(
    kind: str, nano: int, input_tokens: int, output_tokens: int, records: int, unknown_prices: int, unknown_usage: int
) -> Spend:
    answers, attempts = (records, 0) if kind == ANSWERED else (0, records)
    return Spend(nano, input_tokens, output_tokens, answers, attempts, unknown_prices, unknown_usage)
