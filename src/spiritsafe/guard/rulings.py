"""What has been found and decided, kept: policies with their history, evidence, rulings, and the decisions they led to.

    with Rulings.open(folder) as rulings:
        rulings.add_policy(text, policy)
        rulings.add_evidence([Evidence(...)])
        rulings.rule("acme", "block", "confirmed by mail", by="jo")
        rulings.standing(now_s)                    # {"acme": Decision(...)}: what workers go by
        rulings.decision("D-7K3F-92QX")            # what support looks up

Whatever changes what is decided about an account decides anew, in the same transaction. What changes by time alone, or
by another segment, is decided by `settle`, which one process calls every so often. Decisions stay when others have
taken their place; of policies, evidence and rulings nothing is ever removed either.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.guard.database import Database
from spiritsafe.guard.policy import (
    Action,
    Decision,
    Evidence,
    Policy,
    Ruling,
    decide,
    policy_from_json,
    policy_to_json,
)

UNKNOWN_SEGMENT = "ordinary"
"""What an account counts as that evidence names and nobody has made, such as one of an imported log."""

_DECISION = "id, account, action, reasons, by, at, expires_at, shadow"
_EVIDENCE = "detector, account, at, level, reasons, campaign, expires_at"
_RULING = "account, action, reason, by, at, expires_at"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One policy of the history.

    Attributes:
        number: 1 for the first.
        at: since when it was in force, unix seconds.
        sha256: of `text`, in hex.
        text: of the policy.toml.
    """

    number: int
    at: float
    sha256: str
    text: str


class Rulings:
    """The open store; made by `Rulings.open`. Several processes may have it open."""

    def __init__(self, db: Database, now_s: Callable[[], float]) -> None:
        self._db = db
        self._now_s = now_s
        self._policy: Policy | None = None

    @classmethod
    def open(cls, folder: Path, *, now_s: Callable[[], float] = time.time) -> Rulings:
        """Open the store in `folder`, beside the accounts.

        Raises:
            StoreError: the disk did not take it or the file is damaged, here and wherever something is changed.
        """
        return cls(Database(folder), now_s)

    # --- policies ----------------------------------------------------------------------------------------------------

    def add_policy(self, text: str, policy: Policy) -> int:
        """Put `policy`, written as `text`, in force; returns its number. The one in force again changes nothing."""
        digest, now_s = sha256(text.encode()).hexdigest(), self._now_s()
        with self._db.change() as db:
            last = db.execute("select number, sha256 from policies order by number desc limit 1").fetchone()
            if last is not None and last[1] == digest:
                return int(last[0])
            number = 1 if last is None else int(last[0]) + 1
            data = policy_to_json(replace(policy, version=number))
            db.execute("insert into policies values (?, ?, ?, ?, ?)", (number, now_s, digest, text, data))
            known = db.execute("select account from evidence union select account from rulings").fetchall()
            self._decide(db, (account for (account,) in known), now_s)
        return number

    def current_policy(self) -> bytes:
        """The policy in force, for `policy_from_json`.

        Raises:
            InputError: there is none yet.
        """
        found = self._db.read("select json from policies order by number desc limit 1")
        if not found:
            raise InputError("there is no policy yet; give the gateway a policy.toml, which  guard init  writes")
        data: bytes = found[0][0]
        return data

    def policy_number(self) -> int:
        """The number of the policy in force; 0 where there is none."""
        [(number,)] = self._db.read("select coalesce(max(number), 0) from policies")
        return int(number)

    def policies(self) -> list[PolicyVersion]:
        """The history, newest first."""
        rows = self._db.read("select number, at, sha256, text from policies order by number desc")
        return [PolicyVersion(*row) for row in rows]

    # --- evidence and rulings ----------------------------------------------------------------------------------------

    def add_evidence(self, evidence: Iterable[Evidence]) -> None:
        """Keep what detectors found, and decide."""
        rows = [
            (
                found.detector,
                found.account,
                found.at,
                found.level,
                _written(found.reasons),
                found.campaign,
                found.expires_at,
            )
            for found in evidence
        ]
        if not rows:
            return
        with self._db.change() as db:
            db.executemany(f"insert into evidence ({_EVIDENCE}) values (?, ?, ?, ?, ?, ?, ?)", rows)
            self._decide(db, dict.fromkeys(row[1] for row in rows), self._now_s())

    def evidence(self, account: str) -> list[Evidence]:
        """All that was ever found about an account, newest first."""
        rows = self._db.read(
            f"select {_EVIDENCE} from evidence where account = ? order by at desc, rowid desc", account
        )
        return [_evidence(row) for row in rows]

    def rule(
        self, account: str, action: Action, reason: str, by: str, expires_at: float | None = None
    ) -> Decision | None:
        """Keep what a person decided about an account, until `expires_at` or another ruling; returns the decision.

        None is returned while there is no policy: then the ruling waits for one.

        Raises:
            InputError: there is no such account or action, no reason, or nobody who says so.
        """
        now_s = self._now_s()
        if action not in get_args(Action):
            wanted = ", ".join(get_args(Action))
            raise InputError(f"got action {shown(action)}, wanted one of {wanted}; choose one of these")
        if not reason.strip() or not by.strip():
            raise InputError("a ruling came without a reason or without who rules, wanted both; give them")
        if not self._db.read("select 1 from accounts where name = ?", account):
            known = "list them with  guard accounts list"
            raise InputError(f"got account {shown(account)}, wanted one that exists; {known}")
        with self._db.change() as db:
            (last_s,) = db.execute("select coalesce(max(at), 0) from rulings where account = ?", (account,)).fetchone()
            # After what it replaces, also by a clock that was set back: other gateways go by this time.
            row = (account, action, reason, by, max(now_s, last_s + 0.001), expires_at)
            db.execute(f"insert into rulings ({_RULING}) values (?, ?, ?, ?, ?, ?)", row)
            self._decide(db, (account,), now_s)
        return self._in_force(account)

    def add_rulings(self, rulings: Iterable[Ruling]) -> None:
        """Keep what persons decided at another gateway, each in its place by time, and decide."""
        came = sorted(rulings, key=lambda ruling: ruling.at)
        if not came:
            return
        with self._db.change() as db:
            for ruling in came:
                _place(db, ruling)
            self._decide(db, dict.fromkeys(ruling.account for ruling in came), self._now_s())

    def rulings(self, account: str) -> list[Ruling]:
        """All that was ever ruled about an account, newest first; the first alone counts."""
        rows = self._db.read(f"select {_RULING} from rulings where account = ? order by rowid desc", account)
        return [Ruling(*row) for row in rows]

    # --- decisions ---------------------------------------------------------------------------------------------------

    def standing(self, now_s: float) -> dict[str, Decision]:
        """What is decided about each account of which more is decided than to let it go on."""
        rows = self._db.read(
            f"select {_DECISION} from decisions where ended_at is null and action != 'allow' "
            "and (expires_at is null or expires_at > ?)",
            now_s,
        )
        return {decision.account: decision for decision in map(_decision, rows)}

    def standing_since(self, change: int) -> dict[str, Decision | None]:
        """What is decided anew since `changes` gave that number; None for an account that may go on again.

        Of a campaign of thousands of accounts, reading all that stands takes tenths of a second: too long for a worker.
        """
        query = f"select {_DECISION} from decisions where ended_at is null and change > ?"
        decided = map(_decision, self._db.read(query, change))
        return {one.account: None if one.action == "allow" else one for one in decided}

    def decisions(self, account: str | None = None) -> list[Decision]:
        """All decisions there ever were, about one account or all, newest first."""
        where, values = ("", ()) if account is None else ("where account = ?", (account,))
        rows = self._db.read(f"select {_DECISION} from decisions {where} order by made_at desc, rowid desc", *values)
        return [_decision(row) for row in rows]

    def decision(self, name: str) -> Decision:
        """The decision with that id, in force or not; letters may be small.

        Raises:
            InputError: there is none.
        """
        query = f"select {_DECISION} from decisions where id = ? order by made_at desc limit 1"
        found = self._db.read(query, name.strip().upper())
        if not found:
            raise InputError(f"got decision {shown(name)}, wanted the id of one, like D-7K3F-92QX; check it")
        return _decision(found[0])

    def settle(self) -> int:
        """Decide anew where time or another segment may have changed it; how many decisions there were."""
        now_s = self._now_s()
        overdue = self._db.read(
            "select account from decisions left join accounts on account = name where ended_at is null "
            f"and (expires_at <= ? or coalesce(accounts.segment, '{UNKNOWN_SEGMENT}') != decisions.segment)",
            now_s,
        )
        if overdue:
            with self._db.change() as db:
                self._decide(db, (account for (account,) in overdue), now_s)
        return len(overdue)

    def changes(self) -> int:
        """A number that another one follows whenever anything of this, or an account, has changed."""
        return self._db.changes()

    def close(self) -> None:
        """Close the file; calling anything afterwards is an error."""
        self._db.close()

    def __enter__(self) -> Rulings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _in_force(self, account: str) -> Decision | None:
        query = f"select {_DECISION} from decisions where account = ? and ended_at is null"
        return next(map(_decision, self._db.read(query, account)), None)

    def _decide(self, db: sqlite3.Connection, accounts: Iterable[str], now_s: float) -> None:
        """Decide about `accounts` and keep what is decided; without a policy nothing is."""
        policy = self._latest_policy(db)
        if policy is None:
            return
        change = self.changes() + 1
        longest_s = max((rule.days for rule in policy.rules), default=0.0) * 86_400
        for account in accounts:
            [(segment,)] = db.execute(
                "select coalesce((select segment from accounts where name = ?), ?)", (account, UNKNOWN_SEGMENT)
            ).fetchall()
            found = db.execute(
                f"select {_EVIDENCE} from evidence where account = ? and at > ?", (account, now_s - longest_s)
            )
            ruled = db.execute(
                f"select {_RULING} from rulings where account = ? order by rowid desc limit 1", (account,)
            ).fetchone()
            ruling = None if ruled is None else Ruling(*ruled)
            decision = decide(policy, account, segment, map(_evidence, found), ruling, now_s)
            _keep(db, decision, segment, now_s, change)

    def _latest_policy(self, db: sqlite3.Connection) -> Policy | None:
        row = db.execute("select number, json from policies order by number desc limit 1").fetchone()
        if row is not None and (self._policy is None or self._policy.version != row[0]):
            self._policy = policy_from_json(row[1])
        return None if row is None else self._policy


def _place(db: sqlite3.Connection, ruling: Ruling) -> None:
    """Put the ruling before those that were made after it: the last one of an account counts."""
    row = (ruling.account, ruling.action, ruling.reason, ruling.by, ruling.at, ruling.expires_at)
    later = db.execute(
        "select rowid from rulings where account = ? and (at, by, action, reason) > (?, ?, ?, ?) order by rowid",
        (ruling.account, ruling.at, ruling.by, ruling.action, ruling.reason),
    ).fetchall()
    db.execute(f"insert into rulings ({_RULING}) values (?, ?, ?, ?, ?, ?)", row)
    for moved in later:
        db.execute("update rulings set rowid = (select max(rowid) + 1 from rulings) where rowid = ?", moved)


def _keep(db: sqlite3.Connection, decision: Decision, segment: str, now_s: float, change: int) -> None:
    """Put the decision in the place of the one in force."""
    db.execute(
        "update decisions set ended_at = ? where account = ? and ended_at is null and id != ?",
        (now_s, decision.account, decision.id),
    )
    db.execute(
        "insert into decisions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, ?) on conflict (id, account) do update set "
        "segment = excluded.segment, reasons = excluded.reasons, by = excluded.by, at = excluded.at, "
        "expires_at = excluded.expires_at, shadow = excluded.shadow, ended_at = null, "
        "change = excluded.change, made_at = iif(ended_at is null, made_at, excluded.made_at)",
        (
            decision.id,
            decision.account,
            segment,
            decision.action,
            _written(decision.reasons),
            decision.by,
            decision.at,
            decision.expires_at,
            decision.shadow,
            now_s,
            change,
        ),
    )


def _written(reasons: tuple[str, ...]) -> str:
    return orjson.dumps(reasons).decode()


def _evidence(row: tuple[Any, ...]) -> Evidence:
    detector, account, at, level, reasons, campaign, expires_at = row
    return Evidence(detector, account, at, level, tuple(orjson.loads(reasons)), campaign, expires_at)


def _decision(row: tuple[Any, ...]) -> Decision:
    name, account, action, reasons, by, at, expires_at, shadow = row
    return Decision(name, account, action, tuple(orjson.loads(reasons)), by, at, expires_at, bool(shadow))
