"""Accounts: who may ask, with which keys, under which contract. One SQLite file; the pepper lies beside it.

    with Accounts.open(folder) as accounts:
        key = accounts.add("acme", segment="ordinary")     # shown once
        accounts.find(key)                                 # Account("acme", "ordinary", ...) or None

Rotating gives a second key and lets the old ones live on for a while; revoking ends all of an account at once.
`changes()` grows with every change, so that whoever keeps a copy in memory knows when to read again.

Limits: a key is looked up by what `keys.digest_of` makes of it, so without the pepper file no key is known any more.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.guard.keys import PEPPER_BYTES, digest_of, hint_of, is_well_formed, new_key

SEGMENTS = ("ordinary", "batch", "evaluation", "licensed", "internal")
"""The contracts an account can have."""

OVERLAP_S = 24 * 3600.0
"""How long the old keys of an account still work after a rotation, unless said otherwise."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")

_SCHEMA = """
create table if not exists accounts (name text primary key, segment text not null, made_at real not null,
  revoked_at real) strict;
create table if not exists keys (digest blob primary key, account text not null references accounts(name),
  hint text not null, made_at real not null, ends_at real) strict;
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One customer.

    Attributes:
        name: what exchanges and decisions call it.
        segment: its contract, one of `SEGMENTS`.
        made_at, revoked_at: unix seconds; `revoked_at` is None while it may ask.
        hints: what may be shown of the keys that work.
    """

    name: str
    segment: str
    made_at: float
    revoked_at: float | None
    hints: tuple[str, ...]


class Accounts:
    """The open file; made by `Accounts.open`. Several processes may have it open."""

    def __init__(self, folder: Path, db: sqlite3.Connection, pepper: bytes, now_s: Callable[[], float]) -> None:
        self._folder = folder
        self._db = db
        self._pepper = pepper
        self._now_s = now_s

    @classmethod
    def open(cls, folder: Path, *, now_s: Callable[[], float] = time.time) -> Accounts:
        """Open the accounts in `folder`, made if it is missing, for the owner's eyes alone.

        Raises:
            StoreError: the disk did not take it, the file is damaged, or the pepper is gone while keys are there.
        """
        with _store_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(folder / "accounts.sqlite", isolation_level=None, timeout=10.0)
            try:
                os.chmod(folder / "accounts.sqlite", 0o600)
                db.execute("pragma journal_mode=wal")
                db.execute("pragma synchronous=full")
                db.execute("pragma foreign_keys=on")
                db.executescript(_SCHEMA)
                return cls(folder, db, _pepper(folder, db), now_s)
            except BaseException:
                db.close()
                raise

    def add(self, name: str, *, segment: str = SEGMENTS[0]) -> str:
        """Make an account; returns its key, which is nowhere else.

        Raises:
            InputError: the name is no name or is taken, or there is no such segment.
            StoreError: the disk did not take it, here and wherever something is changed.
        """
        if _NAME.fullmatch(name) is None:
            raise InputError(
                f"got account name {shown(name)}, wanted up to 128 letters, digits and . _ @ - ; choose another"
            )
        _known_segment(segment)
        with self._change() as db:
            if db.execute("select 1 from accounts where name = ?", (name,)).fetchone():
                raise InputError(f"account {shown(name)} is there already; rotate its key, or choose another name")
            db.execute("insert into accounts values (?, ?, ?, null)", (name, segment, self._now_s()))
            return self._new_key(db, name)

    def rotate(self, name: str, *, overlap_s: float = OVERLAP_S) -> str:
        """Give the account another key; the old ones work for `overlap_s` seconds more. Returns the new one.

        Raises:
            InputError: there is no such account, or it is revoked.
        """
        account = self.get(name)
        if account.revoked_at is not None:
            raise InputError(f"account {shown(name)} is revoked; add another account")
        now_s = self._now_s()
        with self._change() as db:
            db.execute(
                "update keys set ends_at = ?1 where account = ?2 and (ends_at is null or ends_at > ?1)",
                (now_s + overlap_s, name),
            )
            return self._new_key(db, name)

    def revoke(self, name: str) -> None:
        """End the account and all its keys, now; doing it again changes nothing.

        Raises:
            InputError: there is no such account.
        """
        self.get(name)
        with self._change() as db:
            db.execute("update accounts set revoked_at = coalesce(revoked_at, ?) where name = ?", (self._now_s(), name))

    def set_segment(self, name: str, segment: str) -> None:
        """Put the account under another contract.

        Raises:
            InputError: there is no such account or segment.
        """
        _known_segment(segment)
        self.get(name)
        with self._change() as db:
            db.execute("update accounts set segment = ? where name = ?", (segment, name))

    def get(self, name: str) -> Account:
        """The account of that name.

        Raises:
            InputError: there is none.
        """
        found = next(iter(self._accounts("where name = ?", name)), None)
        if found is None:
            raise InputError(f"got account {shown(name)}, wanted one that exists; list them with  guard accounts list")
        return found

    def all(self) -> list[Account]:
        """Every account, revoked ones included, by name."""
        return list(self._accounts("order by name"))

    def find(self, key: str) -> Account | None:
        """Whose key this is; None for one that is malformed, unknown, ended or revoked."""
        raw = key.encode("utf-8", "replace")
        if not is_well_formed(raw):
            return None
        row = self._db.execute(
            "select account from keys where digest = ? and (ends_at is null or ends_at > ?)",
            (digest_of(self._pepper, raw), self._now_s()),
        ).fetchone()
        account = None if row is None else self.get(row[0])
        return account if account is not None and account.revoked_at is None else None

    def changes(self) -> int:
        """A number that another one follows whenever anyone, here or in another process, has changed something."""
        row: tuple[int] = self._db.execute("pragma user_version").fetchone()
        return row[0]

    def _new_key(self, db: sqlite3.Connection, name: str) -> str:
        key = new_key()
        row = (digest_of(self._pepper, key.encode()), name, hint_of(key), self._now_s())
        db.execute("insert into keys values (?, ?, ?, ?, null)", row)
        return key

    def _accounts(self, which: str, *values: str) -> Iterator[Account]:
        rows = self._db.execute(f"select name, segment, made_at, revoked_at from accounts {which}", values).fetchall()
        for name, segment, made_at, revoked_at in rows:
            hints = self._db.execute(
                "select hint from keys where account = ? and (ends_at is null or ends_at > ?) order by made_at, rowid",
                (name, self._now_s()),
            )
            working = () if revoked_at is not None else tuple(hint for (hint,) in hints)
            yield Account(name, segment, made_at, revoked_at, working)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction; what goes wrong in it leaves nothing behind."""
        with _store_errors(self._folder):
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute(f"pragma user_version = {(self.changes() + 1) % 2**31}")
                self._db.execute("commit")
            except BaseException:
                self._db.execute("rollback")
                raise

    def close(self) -> None:
        """Close the file; calling anything afterwards is an error."""
        self._db.close()

    def __enter__(self) -> Accounts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _known_segment(segment: str) -> None:
    if segment not in SEGMENTS:
        raise InputError(f"got segment {shown(segment)}, wanted one of {', '.join(SEGMENTS)}; choose one of these")


def _pepper(folder: Path, db: sqlite3.Connection) -> bytes:
    """The deployment's secret, made with the first opening and readable by its owner alone."""
    path = folder / "pepper"
    db.execute("begin immediate")  # of several processes one makes it
    try:
        if not path.exists():
            if db.execute("select 1 from keys limit 1").fetchone():
                raise StoreError(
                    f"{shown(str(path))} is gone, and no key is known without it; restore it from a backup"
                )
            with replacing(path, mode=0o600) as file:
                file.write(os.urandom(PEPPER_BYTES))
    finally:
        db.execute("commit")
    pepper = path.read_bytes()
    if len(pepper) != PEPPER_BYTES:
        raise StoreError(
            f"{shown(str(path))} holds {len(pepper)} bytes, wanted {PEPPER_BYTES}; restore it from a backup"
        )
    return pepper


@contextmanager
def _store_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"cannot keep accounts in {shown(str(folder))} ({error}); check the folder and its disk"
        ) from None
