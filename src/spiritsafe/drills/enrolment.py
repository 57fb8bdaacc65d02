"""Enrolment: what an operator knows of the accounts of a scenario before they ask, and the keys that it gave them.

A file of keys has one JSON object a line, `{"account": NAME, "key": KEY}`; whoever reads it can ask as these accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from spiritsafe.drills.cast import cast
from spiritsafe.drills.scenario import Scenario
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.atomic import replacing

FACTS = ("org", "payment", "email_domain", "country")
"""What a customer tells when it opens its account; all else is seen only when it asks."""


class Member(NamedTuple):
    """One account: its name, the contract that it has, and what it told."""

    account: str
    segment: str
    facts: dict[str, str]


def members(scenario: Scenario) -> Iterator[Member]:
    """Everybody in `scenario`, by name: the order says nothing of who belongs to whom.

    Raises:
        InputError: prompt sets or questions cannot be read.
    """
    for account, who in sorted(cast(scenario).personas.items()):
        client = who.clients[0]
        yield Member(account, who.segment, {fact: client[fact] for fact in FACTS if fact in client})


def write_keys(path: Path, keys: Iterable[tuple[str, str]]) -> int:
    """Write (account, key) pairs to `path`, for the owner's eyes alone; returns how many.

    Raises:
        StoreError: the disk did not take it.
    """
    count = 0
    with replacing(path, mode=0o600) as file:
        for account, key in keys:
            file.write(orjson.dumps({"account": account, "key": key}) + b"\n")
            count += 1
    return count


def read_keys(path: Path) -> dict[str, str]:
    """The keys in the file at `path`, by account.

    Raises:
        InputError: it cannot be read, or a line has no account and key.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {shown(str(path))}: {error.strerror}; give a file of keys") from None
    return dict(_pair(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _pair(path: Path, number: int, line: bytes) -> tuple[str, str]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    account, key = (row.get("account"), row.get("key")) if isinstance(row, dict) else (None, None)
    if not isinstance(account, str) or not isinstance(key, str):
        # the line may hold a key, so it is not shown
        raise InputError(f'{path}:{number}: wanted {{"account": "...", "key": "..."}}; mend that line')
    return account, key
