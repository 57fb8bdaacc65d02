"""An account as several machines know it, and how two versions of it become one. Pure.

Merging is the same in any order, and merging again changes nothing, but for the contract: of two, the caller says which
is the later one. A revocation and the end of a key are never taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SharedKey:
    """What is kept of a key; fields as in `guard.accounts.WorkingKey`, `hint` is what may be shown of it."""

    hint: str
    made_at: float
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class SharedAccount:
    """One account: its contract and its keys, by their digests in hex. Times are unix seconds.

    `segment`, and `facts` (what the operator has noted, as JSON), are the contract.
    """

    segment: str
    facts: str
    made_at: float
    revoked_at: float | None
    keys: dict[str, SharedKey]


def merged(came: SharedAccount, here: SharedAccount, *, keeps_contract: bool) -> SharedAccount:
    """Both in one; the contract is that which came, or with `keeps_contract` that which is here."""
    keys = dict(here.keys)
    for digest, key in came.keys.items():
        known = keys.get(digest)
        keys[digest] = key if known is None else _merged_key(key, known)
    contract = here if keeps_contract else came
    return SharedAccount(
        contract.segment,
        contract.facts,
        min(came.made_at, here.made_at),
        _earlier(came.revoked_at, here.revoked_at),
        keys,
    )


def _merged_key(one: SharedKey, other: SharedKey) -> SharedKey:
    return replace(one, made_at=min(one.made_at, other.made_at), ends_at=_earlier(one.ends_at, other.ends_at))


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
