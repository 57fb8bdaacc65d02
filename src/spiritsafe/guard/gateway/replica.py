"""Accounts, evidence and rulings of other machines brought into this one's file, and its own changes made ready to go.

Triggers of SQLite note in an outbox what changes, whoever changes it. What comes is merged: what was revoked or will
end stays so, evidence and rulings are only ever added, and of two contracts the one that was given later holds. So it
does not matter in which order changes come, or how often. What follows from evidence and rulings each machine decides
by itself: the same, with the same ids.

Rows are signed with a secret of the deployment: whoever can write to Redis, and no more, makes no account and no
ruling. For one thread.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from spiritsafe.errors import StoreError
from spiritsafe.guard.accounts import SEGMENTS
from spiritsafe.guard.database import Database
from spiritsafe.guard.gateway.shared_account import SharedAccount, SharedKey, merged
from spiritsafe.guard.limits import SLOTS
from spiritsafe.guard.policy import Evidence, Ruling
from spiritsafe.guard.rulings import Rulings

KINDS = {"accounts": SLOTS, "evidence": 100_000, "rulings": 100_000}
"""What is shared, in the order in which it is brought in, and how many of each are kept for who was away."""

SIGNATURE_BYTES = 16

Read = Callable[..., list[tuple[Any, ...]]]

_OUTBOX = """create table if not exists outbox (seq integer primary key autoincrement, kind text not null,
  id text not null, own integer not null, unique (kind, id)) strict"""

_NOTED = (
    ("insert on accounts", "accounts", "name", True),
    ("update of segment, facts on accounts", "accounts", "name", True),
    ("update of revoked_at on accounts", "accounts", "name", False),
    ("insert on keys", "accounts", "account", False),
    ("update on keys", "accounts", "account", False),
    ("insert on evidence", "evidence", "rowid", False),
    ("insert on rulings", "rulings", "rowid", False),
    ("update on rulings", "rulings", "rowid", False),
)
"""What is noted, of which of `KINDS` it is, the column that says of which row, and whether it changes a contract."""

_COLUMNS = {
    "evidence": ("detector", "account", "at", "level", "reasons", "campaign", "expires_at"),
    "rulings": ("account", "action", "reason", "by", "at", "expires_at"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """A row that is to go: its place in the outbox, its name and its signed value."""

    seq: int
    name: str
    value: bytes


class Replica:
    """The file in `folder`, with its outbox; `secret` signs what goes.

    Raises:
        StoreError: the disk did not take it or the file is damaged, here and in every method.
    """

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._secret = secret
        self._db = Database(folder)
        self._rulings = Rulings.open(folder)
        with self._db.locked() as db:
            db.execute(_OUTBOX)
            db.execute("create index if not exists keys_of on keys (account)")
            for event, kind, which, is_contract in _NOTED:
                _note(db, event, kind, which, is_contract)

    def close(self) -> None:
        """Close the file."""
        self._rulings.close()
        self._db.close()

    # --- what goes ---------------------------------------------------------------------------------------------------

    def send_all(self) -> None:
        """It is not known what others have: all that is here is to go."""
        with self._db.locked() as db:
            for kind, most in KINDS.items():
                which = "name" if kind == "accounts" else "rowid"
                rows = f"select '{kind}', {which}, 0 from {kind} order by rowid desc limit {most}"
                db.execute(f"insert or ignore into outbox (kind, id, own) select * from ({rows})")

    def changes(self, kind: str, most: int) -> list[Change]:
        """What is to go of one of `KINDS`, at most so much, the oldest first."""
        if kind == "accounts":
            noted = self._db.read("select seq, id from outbox where kind = ? order by seq limit ?", kind, most)
            return [self._change(kind, seq, name, _said(self._db.read, name)) for seq, name in noted]
        columns = ", ".join(_COLUMNS[kind])
        rows = self._db.read(
            f"select seq, {columns} from outbox join {kind} on {kind}.rowid = cast(id as integer) "
            "where kind = ? order by seq limit ?",
            kind,
            most,
        )
        return [self._change(kind, seq, _name_of(row), row) for seq, *row in rows]

    def sent(self, changes: Iterable[Change]) -> None:
        """These have gone."""
        with self._db.locked() as db:
            db.executemany("delete from outbox where seq = ?", [(change.seq,) for change in changes])

    def _change(self, kind: str, seq: int, name: str, said: Any) -> Change:
        data = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        return Change(seq, name, self._signature(kind, name, data) + data)

    # --- what comes --------------------------------------------------------------------------------------------------

    def take(self, kind: str, rows: Iterable[tuple[str, bytes]]) -> None:
        """Bring in rows of one of `KINDS`; what is not signed right is passed over."""
        read = [
            (name, json.loads(value[SIGNATURE_BYTES:])) for name, value in rows if self._is_right(kind, name, value)
        ]
        if kind == "accounts":
            self._take_accounts([(name, _shared(said)) for name, said in read if said["segment"] in SEGMENTS])
        elif kind == "evidence":
            new = [said for _, said in read if not self._is_known(kind, said)]
            self._rulings.add_evidence([_evidence(*said) for said in new])
        else:
            new = [said for _, said in read if not self._is_known(kind, said)]
            self._rulings.add_rulings([Ruling(*said) for said in new])

    def _take_accounts(self, came: Sequence[tuple[str, SharedAccount]]) -> None:
        news = [(name, account) for name, account in came if _account(self._db.read, name) != account]
        if news:
            with self._db.change() as db:
                for name, account in news:
                    _bring_in(db, name, account)

    def _is_known(self, kind: str, row: Sequence[object]) -> bool:
        same = " and ".join(f"{column} is ?" for column in _COLUMNS[kind])
        return bool(self._db.read(f"select 1 from {kind} where {same} limit 1", *row))

    def _is_right(self, kind: str, name: str, value: bytes) -> bool:
        data = value[SIGNATURE_BYTES:]
        return hmac.compare_digest(self._signature(kind, name, data), value[:SIGNATURE_BYTES])

    def _signature(self, kind: str, name: str, data: bytes) -> bytes:
        return hmac.digest(self._secret, b"\0".join((kind.encode(), name.encode(), data)), "sha256")[:SIGNATURE_BYTES]


def _note(db: sqlite3.Connection, event: str, kind: str, which: str, is_contract: bool) -> None:
    """Have the file note in the outbox what changes; a change of a contract is still one when a key follows it."""
    name = f"outbox_{event.replace(' ', '_').replace(',', '')}"
    note = (
        f"insert into outbox (kind, id, own) values ('{kind}', new.{which}, {int(is_contract)}) on conflict (kind, id) "
        "do update set own = max(own, excluded.own), seq = (select max(seq) + 1 from outbox);"
    )
    moved = f"delete from outbox where kind = '{kind}' and id = old.{which} and id != new.{which};"
    db.execute(f"drop trigger if exists {name}")
    db.execute(f"create trigger {name} after {event} begin {'' if event.startswith('insert') else moved} {note} end")


def _bring_in(db: sqlite3.Connection, name: str, came: SharedAccount) -> None:
    """Merge what came into what is here; what others do not have yet stays in the outbox."""
    noted = db.execute("select own from outbox where kind = 'accounts' and id = ?", (name,)).fetchone()
    own = noted is not None and noted[0] == 1
    here = _account(lambda query, *values: db.execute(query, values).fetchall(), name)
    account = came if here is None else merged(came, here, keeps_contract=own)
    _write(db, name, account)
    db.execute("delete from outbox where kind = 'accounts' and id = ?", (name,))
    if account != came:
        db.execute("insert into outbox (kind, id, own) values ('accounts', ?, ?)", (name, own))


def _write(db: sqlite3.Connection, name: str, account: SharedAccount) -> None:
    db.execute(
        "insert into accounts (name, segment, facts, made_at, revoked_at) values (?1, ?2, ?3, ?4, ?5) "
        "on conflict (name) do update set segment = ?2, facts = ?3, made_at = ?4, revoked_at = ?5",
        (name, account.segment, account.facts, account.made_at, account.revoked_at),
    )
    (number,) = db.execute("select rowid from accounts where name = ?", (name,)).fetchone()
    if number >= SLOTS:
        raise StoreError(f"there is room for {SLOTS - 1:,} accounts, and others have more; share with fewer")
    db.executemany(
        "insert into keys values (?1, ?2, ?3, ?4, ?5) on conflict (digest) do update set made_at = ?4, ends_at = ?5",
        [(bytes.fromhex(digest), name, key.hint, key.made_at, key.ends_at) for digest, key in account.keys.items()],
    )


def _account(read: Read, name: str) -> SharedAccount | None:
    """The account as it is here."""
    found = read("select segment, facts, made_at, revoked_at from accounts where name = ?", name)
    if not found:
        return None
    keys = read("select digest, hint, made_at, ends_at from keys where account = ?", name)
    segment, facts, made_at, revoked_at = found[0]
    shared = {digest.hex(): SharedKey(hint, made, ends) for digest, hint, made, ends in keys}
    return SharedAccount(segment, facts, made_at, revoked_at, shared)


def _said(read: Read, name: str) -> dict[str, Any]:
    account = _account(read, name)
    assert account is not None  # nothing is ever removed
    return asdict(account)


def _shared(said: dict[str, Any]) -> SharedAccount:
    keys = {digest: SharedKey(**key) for digest, key in said["keys"].items()}
    return SharedAccount(**{**said, "keys": keys})


def _evidence(detector: str, account: str, at: float, level: float, reasons: str, *rest: Any) -> Evidence:
    return Evidence(detector, account, at, level, tuple(json.loads(reasons)), *rest)


def _name_of(row: Sequence[object]) -> str:
    """The name in Redis of what is never changed: a digest of it."""
    return sha256(json.dumps(row).encode()).hexdigest()[:32]
