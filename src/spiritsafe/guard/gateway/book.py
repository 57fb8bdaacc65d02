"""Whose key is it? The working keys in memory, read anew whenever an account has changed.

Keys are looked up by their digest: no comparison takes longer the more of a guess is right, and no SQL is on the way of
a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.keys import digest_of


@dataclass(frozen=True, slots=True)
class Known:
    """The account that a request comes from.

    Attributes:
        name, segment: as in `guard.accounts`.
        number: its row in the limits' cells.
        ends_at: unix seconds at which the key it came with ends; None for one that does not.
        facts: what the operator has noted of the account.
    """

    name: str
    segment: str
    number: int
    ends_at: float | None
    facts: Mapping[str, str] = field(default_factory=dict)


class Book:
    """The keys that work, of the accounts in `accounts`.

    Attributes:
        version: another one after every change.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._pepper = accounts.pepper
        self.version = -1
        self._by_digest: dict[bytes, Known] = {}
        self.refresh()

    def secret_for(self, purpose: bytes) -> bytes:
        """A secret of this deployment for one purpose, 32 bytes."""
        return digest_of(self._pepper, purpose)

    def numbers(self) -> set[int]:
        """The numbers of all accounts that have a key."""
        return {known.number for known in self._by_digest.values()}

    def refresh(self) -> bool:
        """Read the accounts again if something has changed; says whether it had."""
        changes = self._accounts.changes()
        if changes == self.version:
            return False
        self._by_digest = {
            key.digest: Known(key.account, key.segment, key.number, key.ends_at, key.facts)
            for key in self._accounts.working_keys()
        }
        self.version = changes
        return True

    def named(self, name: str) -> Known | None:
        """The account of that name, as of one of its keys; None where none works. Looks at all keys."""
        return next((known for known in self._by_digest.values() if known.name == name), None)

    def find(self, key: bytes, now_s: float) -> Known | None:
        """Whose `key` is; None for one that is unknown, revoked or ended."""
        known = self._by_digest.get(digest_of(self._pepper, key))
        return None if known is None or (known.ends_at is not None and known.ends_at <= now_s) else known
