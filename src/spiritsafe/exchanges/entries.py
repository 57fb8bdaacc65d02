"""Entries: the records of the ledger's log, to bytes and back. Pure.

The log holds three kinds of record, each one JSON object: an exchange (its line), an attempt that failed and may have
been billed (`{"v", "attempt": {...}}`), and the level of a lease (`{"v", "lease": {...}}`). An `Entry` is what the
index keeps of a record; it is the same whether it is taken from the record itself or from its bytes.
"""

from __future__ import annotations

from binascii import Error as HexError
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, NamedTuple

import orjson

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.keys import KEY_BYTES
from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import RECORD_VERSION, Exchange

NANO = 1_000_000_000

ANSWERED = "answered"
LEASED = "leased"
CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that brought no answer and may have been billed: it counts as spent.

    Attributes:
        at: unix seconds.
        key: the request's key; empty where one attempt stands for many.
        charged_to: whose budget pays.
        kind: a short stable word, as `UpstreamError.kind`; "crashed" for the left-over lease of a killed process.
        dollars: the most it may have cost; None where the price is unknown.
        input_tokens, output_tokens: the most it may have taken; a crashed lease counts all its tokens as output.
    """

    at: float
    key: bytes
    charged_to: str
    kind: str
    dollars: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseLevel:
    """The most that requests in flight may cost together, as last written down.

    `dollars` is None where the price is unknown; 0 dollars and 0 tokens mean that nothing is in flight.
    """

    charged_to: str
    dollars: float | None = 0.0
    tokens: int = 0


Record = Exchange | Attempt | LeaseLevel


class Entry(NamedTuple):
    """What the index keeps of one record; `key` is empty for what is no answer, `nanodollars` None where unknown."""

    kind: str
    key: bytes
    charged_to: str
    nanodollars: int | None
    input_tokens: int | None
    output_tokens: int | None


def nanodollars(dollars: float) -> int:
    """`dollars` in whole nanodollars, rounded up (a billionth of one is taken for rounding noise)."""
    return ceil(dollars * NANO - 1e-9)


def encode(record: Record) -> tuple[bytes, Entry]:
    """The bytes of `record` and its entry.

    Raises:
        InputError: an exchange whose id is no request key, or something that JSON cannot hold.
    """
    if isinstance(record, Exchange):
        return dumps(record), _answered(record)
    if isinstance(record, Attempt):
        return _encode_attempt(record)
    line = {"v": RECORD_VERSION, "lease": asdict(record)}
    return orjson.dumps(line), _leased(record.charged_to, record.dollars, record.tokens)


def _encode_attempt(attempt: Attempt) -> tuple[bytes, Entry]:
    if attempt.kind in (ANSWERED, LEASED):
        raise InputError(f"got an attempt of kind '{attempt.kind}', wanted what went wrong; give another kind")
    row = asdict(attempt) | {"key": attempt.key.hex()}
    tokens = (attempt.input_tokens, attempt.output_tokens)
    entry = Entry(attempt.kind, b"", attempt.charged_to, _nanodollars(attempt.dollars), *tokens)
    return orjson.dumps({"v": RECORD_VERSION, "attempt": row}), entry


def _answered(exchange: Exchange) -> Entry:
    usage = exchange.usage
    return Entry(
        ANSWERED,
        _key(exchange.id),
        exchange.charged_to,
        _nanodollars(exchange.dollars),
        usage.input_tokens,
        usage.output_tokens,
    )


def _leased(charged_to: str, dollars: float | None, tokens: int) -> Entry:
    return Entry(LEASED, b"", charged_to, _nanodollars(dollars), 0, tokens)


def _key(identity: str) -> bytes:
    try:
        key = bytes.fromhex(identity)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError(
            f"got exchange id {shown(identity)}, wanted a request key in hex; set id = request_key(...).hex()"
        )
    return key


def _nanodollars(dollars: float | None) -> int | None:
    return None if dollars is None else nanodollars(dollars)


def decode(record: bytes) -> tuple[Entry, Mapping[str, Any]]:
    """The entry of a record of the log, and its JSON.

    Raises:
        StoreError: it is no record of a ledger, or a newer version wrote it.
    """
    try:
        row = orjson.loads(record)
        if row["v"] > RECORD_VERSION:
            raise StoreError(f"the ledger holds a record of version {row['v']}; upgrade spiritsafe to read it")
        return _entry(row), row
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, HexError):
        raise StoreError(f"the ledger holds {shown(record)}, wanted an exchange, attempt or lease") from None


def _entry(row: Mapping[str, Any]) -> Entry:
    if "messages" in row:
        usage = row.get("usage") or {}
        tokens = (usage.get("input_tokens"), usage.get("output_tokens"))
        return Entry(ANSWERED, _key(row["id"]), row.get("charged_to", ""), _nanodollars(row.get("dollars")), *tokens)
    if "attempt" in row:
        one = row["attempt"]
        tokens = (one["input_tokens"], one["output_tokens"])
        return Entry(one["kind"], b"", one["charged_to"], _nanodollars(one["dollars"]), *tokens)
    lease = row["lease"]
    return _leased(lease["charged_to"], lease["dollars"], lease["tokens"])


def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """The attempt in the JSON of a record that is one."""
    fields = dict(row["attempt"])
    return Attempt(**fields | {"key": bytes.fromhex(fields["key"])})
