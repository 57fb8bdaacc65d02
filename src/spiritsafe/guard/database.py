"""The guard's SQLite file: accounts, keys, policies, evidence, rulings and decisions, for several processes at once.

One file, so that an account's segment and what is decided about it change together, and one number tells whoever keeps
a copy in memory that something did. What is said to be done is on the disk (write-ahead log, synced at every commit).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spiritsafe.errors import StoreError, shown

NAME = "guard.sqlite"

BUSY_S = 10.0
"""How long a change waits for another process's change."""

MIGRATIONS = (
    """
create table accounts (name text primary key, segment text not null, made_at real not null, revoked_at real,
  facts text not null default '{}') strict;
create table keys (digest blob primary key, account text not null references accounts(name),
  hint text not null, made_at real not null, ends_at real) strict;
create table policies (number integer primary key, at real not null, sha256 text not null,
  text text not null, json blob not null) strict;
create table evidence (account text not null, detector text not null, at real not null,
  level real not null, reasons text not null, campaign text, expires_at real) strict;
create index evidence_of on evidence (account, at);
create table rulings (account text not null, action text not null, reason text not null,
  by text not null, at real not null, expires_at real) strict;
create index rulings_of on rulings (account);
create table decisions (id text not null, account text not null, segment text not null,
  action text not null, reasons text not null, by text not null, at real not null, expires_at real,
  shadow integer not null, made_at real not null, ended_at real, change integer not null,
  primary key (id, account)) strict;
create index decisions_in_force on decisions (account) where ended_at is null;
create index decisions_by_change on decisions (change) where ended_at is null;
""",
)
"""Numbered from 1, never edited: what takes a file from the version before to this one."""


class Database:
    """The open file of the guard in `folder`, which is made, for its owner's eyes alone, where it is missing.

    Raises:
        StoreError: the disk did not take it or the file is damaged, here and wherever something is changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._errors():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(folder / NAME, isolation_level=None, timeout=BUSY_S)
            try:
                os.chmod(folder / NAME, 0o600)
                self._db.execute("pragma journal_mode=wal")
                self._db.execute("pragma synchronous=full")
                self._db.execute("pragma foreign_keys=on")
                self._migrate()
            except BaseException:
                self._db.close()
                raise

    def _migrate(self) -> None:
        """Bring the file to this version; of several processes one does it.

        Raises:
            StoreError: a newer version made the file.
        """
        if self._version() == len(MIGRATIONS):
            return
        with self.locked() as db:
            version = self._version()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"{shown(str(self.folder / NAME))} has version {version}, wanted at most {len(MIGRATIONS)}; "
                    f"upgrade spiritsafe"
                )
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    db.execute(statement)
            db.execute(f"pragma application_id = {len(MIGRATIONS)}")

    def _version(self) -> int:
        """How many migrations the file has seen; `user_version` is taken by `changes`."""
        row: tuple[int] = self._db.execute("pragma application_id").fetchone()
        return row[0]

    def read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that `query` finds."""
        with self._errors():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction that moves `changes` on; what goes wrong in it leaves nothing behind."""
        with self.locked() as db:
            yield db
            db.execute(f"pragma user_version = {(self.changes() + 1) % 2**31}")

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """One transaction, of which no other process runs another at the same time."""
        with self._errors():
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                self._db.execute("rollback")
                raise

    def changes(self) -> int:
        """A number that another one follows whenever anyone, here or in another process, has changed something."""
        row: tuple[int] = self._db.execute("pragma user_version").fetchone()
        return row[0]

    def close(self) -> None:
        """Close the file; calling anything afterwards is an error."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            where = shown(str(self.folder / NAME))
            raise StoreError(f"cannot use {where} ({error}); check the folder and its disk") from None
