"""Accounts: who may ask, with which keys, under which contract. In the guard's SQLite file; the pepper lies beside it.

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import orjson

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.guard.database import Database
from spiritsafe.guard.keys import PEPPER_BYTES, digest_of, hint_of, is_well_formed, new_key
from spiritsafe.guard.limits import SLOTS

SEGMENTS = ("ordinary", "batch", "evaluation", "licensed", "internal")
"""The contracts an account can have."""

FACTS = ("org", "payment", "email", "email_domain", "country")
"""What an operator may note of an account: its organisation, hashes of its means of payment and of its e-mail address,
the domain of that address, its country. Each exchange carries them, and accounts that share one may belong together."""

OVERLAP_S = 24 * 3600.0
"""How long the old keys of an account still work after a rotation, unless said otherwise."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")


@dataclass(frozen=True, slots=True)
class Account:
    """One customer.

    Attributes:
        name: what exchanges and decisions call it.
        segment: its contract, one of `SEGMENTS`.
        made_at, revoked_at: unix seconds; `revoked_at` is None while it may ask.
        hints: what may be shown of the keys that work.
        facts: what the operator has noted of it, see `FACTS`.
    """

    name: str
    segment: str
    made_at: float
    revoked_at: float | None
    hints: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkingKey:
    """What is kept of a key that works.

    Attributes:
        digest: by `keys.digest_of`.
        number: of its account, from 1 up, the same for good.
        account, segment: whose it is, and under which contract.
        ends_at: unix seconds; None for one that does not end.
        facts: what the operator has noted of the account.
    """

    digest: bytes
    number: int
    account: str
    segment: str
    ends_at: float | None
    facts: Mapping[str, str] = field(default_factory=dict)


class Accounts:
    """The open file; made by `Accounts.open`. Several processes may have it open.

    Attributes:
        pepper: the deployment's secret, under which keys are hashed; never to be shown.
    """

    def __init__(self, db: Database, pepper: bytes, now_s: Callable[[], float]) -> None:
        self._db = db
        self.pepper = pepper
        self._now_s = now_s

    @classmethod
    def open(cls, folder: Path, *, now_s: Callable[[], float] = time.time) -> Accounts:
        """Open the accounts in `folder`, made if it is missing, for the owner's eyes alone.

        Raises:
            StoreError: the disk did not take it, the file is damaged, or the pepper is gone while keys are there.
        """
        db = Database(folder)
        try:
            return cls(db, _pepper(db), now_s)
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
        with self._db.change() as db:
            if db.execute("select 1 from accounts where name = ?", (name,)).fetchone():
                raise InputError(f"account {shown(name)} is there already; rotate its key, or choose another name")
            db.execute("insert into accounts (name, segment, made_at) values (?, ?, ?)", (name, segment, self._now_s()))
            (number,) = db.execute("select rowid from accounts where name = ?", (name,)).fetchone()
            if number >= SLOTS:
                raise InputError(f"there is room for {SLOTS - 1:,} accounts, and no more; use a second gateway")
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
        with self._db.change() as db:
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
        with self._db.change() as db:
            db.execute("update accounts set revoked_at = coalesce(revoked_at, ?) where name = ?", (self._now_s(), name))

    def set_segment(self, name: str, segment: str) -> None:
        """Put the account under another contract.

        Raises:
            InputError: there is no such account or segment.
        """
        _known_segment(segment)
        self.get(name)
        with self._db.change() as db:
            db.execute("update accounts set segment = ? where name = ?", (segment, name))

    def note(self, name: str, facts: Mapping[str, str]) -> None:
        """Note what is known of the customer beside its requests; an empty value takes a fact away.

        Raises:
            InputError: there is no such account or fact.
        """
        for fact in facts:
            if fact not in FACTS:
                raise InputError(f"got fact {shown(fact)}, wanted one of {', '.join(FACTS)}; choose one of these")
        known = {**self.get(name).facts, **facts}
        kept = {fact: value for fact, value in known.items() if value}
        with self._db.change() as db:
            db.execute("update accounts set facts = ? where name = ?", (orjson.dumps(kept).decode(), name))

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
        found = self._db.read(
            "select account from keys where digest = ? and (ends_at is null or ends_at > ?)",
            digest_of(self.pepper, raw),
            self._now_s(),
        )
        account = self.get(found[0][0]) if found else None
        return account if account is not None and account.revoked_at is None else None

    def working_keys(self) -> list[WorkingKey]:
        """Every key that opens something now or will until it ends, for whoever keeps them in memory."""
        rows = self._db.read(
            "select digest, accounts.rowid, name, segment, ends_at, facts from keys join accounts on account = name "
            "where revoked_at is null and (ends_at is null or ends_at > ?)",
            self._now_s(),
        )
        return [
            WorkingKey(digest, number, name, segment, ends_at, orjson.loads(facts))
            for digest, number, name, segment, ends_at, facts in rows
        ]

    def changes(self) -> int:
        """A number that another one follows whenever anyone, here or in another process, has changed something."""
        return self._db.changes()

    def _new_key(self, db: sqlite3.Connection, name: str) -> str:
        key = new_key()
        row = (digest_of(self.pepper, key.encode()), name, hint_of(key), self._now_s())
        db.execute("insert into keys values (?, ?, ?, ?, null)", row)
        return key

    def _accounts(self, which: str, *values: str) -> Iterator[Account]:
        rows = self._db.read(f"select name, segment, made_at, revoked_at, facts from accounts {which}", *values)
        for name, segment, made_at, revoked_at, facts in rows:
            hints = self._db.read(
                "select hint from keys where account = ? and (ends_at is null or ends_at > ?) order by made_at, rowid",
                name,
                self._now_s(),
            )
            working = () if revoked_at is not None else tuple(hint for (hint,) in hints)
            yield Account(name, segment, made_at, revoked_at, working, orjson.loads(facts))

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


def _pepper(db: Database) -> bytes:
    """The deployment's secret, made with the first opening and readable by its owner alone."""
    path = db.folder / "pepper"
    with db.locked() as tables:  # of several processes one makes it
        if not path.exists():
            if tables.execute("select 1 from keys limit 1").fetchone():
                raise StoreError(
                    f"{shown(str(path))} is gone, and no key is known without it; restore it from a backup"
                )
            with replacing(path, mode=0o600) as file:
                file.write(os.urandom(PEPPER_BYTES))
        pepper = path.read_bytes()
    if len(pepper) != PEPPER_BYTES:
        raise StoreError(
            f"{shown(str(path))} holds {len(pepper)} bytes, wanted {PEPPER_BYTES}; restore it from a backup"
        )
    return pepper
