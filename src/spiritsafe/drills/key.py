"""The answer key: which account was what. It lies in a folder of its own, and nothing of it is in any exchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.atomic import replacing

KEY_VERSION = 1

ATTACKER = "attacker"
"""The class of a campaign's accounts."""


@dataclass(slots=True)
class Truth:
    """What one account was.

    Attributes:
        kind: its class: one of `people`, or `ATTACKER`.
        campaign: its campaign; "" for honest ones.
        group: the group of honest accounts that it belongs to, numbered within its class.
        exchanges, own: how many it had as played, and how many of these were the campaign's own queries.
    """

    kind: str
    campaign: str = ""
    group: int = 0
    exchanges: int = 0
    own: int = 0


@dataclass(slots=True)
class AnswerKey:
    """What every account of a play was.

    Attributes:
        accounts: by account name.
    """

    accounts: dict[str, Truth] = field(default_factory=dict)

    def count(self, account: str, *, is_own: bool) -> None:
        """One more exchange of `account`."""
        truth = self.accounts[account]
        truth.exchanges += 1
        truth.own += is_own

    def campaigns(self) -> dict[str, list[str]]:
        """The accounts of each campaign that asked at least once."""
        found: dict[str, list[str]] = {}
        for account, truth in self.accounts.items():
            if truth.campaign and truth.exchanges:
                found.setdefault(truth.campaign, []).append(account)
        return found

    def update(self, other: AnswerKey) -> None:
        """Add the accounts of another part of the same play."""
        self.accounts.update(other.accounts)

    def write(self, path: Path) -> None:
        """Write it to `path`, one account a line, in the order of their names.

        Raises:
            StoreError: the disk did not take it.
        """
        with replacing(path) as file:
            for account, truth in sorted(self.accounts.items()):
                row = {"v": KEY_VERSION, "account": account, "class": truth.kind, "campaign": truth.campaign or None}
                counts = {"group": truth.group, "exchanges": truth.exchanges, "own": truth.own}
                file.write(orjson.dumps(row | counts) + b"\n")


def read_key(path: Path) -> AnswerKey:
    """The answer key at `path`.

    Raises:
        InputError: it cannot be read, or is no answer key of this version.
    """
    key = AnswerKey()
    wanted = f"version {KEY_VERSION} of an answer key"
    for where, row in json_rows(path, wanted):
        if row.get("v") != KEY_VERSION:
            raise InputError(f"{where}: wanted {wanted}; play the scenario again")
        try:
            account, truth = row["account"], Truth(row["class"], row["campaign"] or "", row["group"])
            truth.exchanges, truth.own = row["exchanges"], row["own"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{where}: no line of an answer key ({error}); play the scenario again") from None
        key.accounts[account] = truth
    return key


def json_rows(path: Path, wanted: str = "a JSON object") -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, row) of each line of a file that a play has written.

    Raises:
        InputError: it cannot be read, or a line is no JSON object; the message names the line.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield f"{path}:{number}", _row(f"{path}:{number}", line, wanted)
    except OSError as error:
        raise InputError(f"cannot read {shown(str(path))}: {error.strerror}; play the scenario again") from None


def _row(where: str, line: bytes, wanted: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}); play the scenario again") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: got {shown(row)}, wanted {wanted}; play the scenario again")
    return row
