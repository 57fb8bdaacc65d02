"""Records of the ledger's log: what the index is told is the same from the record and from its bytes."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import attempts, counts, exchanges, maybe, short_text

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.entries import (
    ANSWERED,
    LEASED,
    Attempt,
    LeaseLevel,
    Record,
    attempt_of,
    decode,
    encode,
    nanodollars,
)
from spiritsafe.exchanges.line import from_json
from spiritsafe.exchanges.record import Exchange

levels = st.builds(LeaseLevel, short_text, maybe(st.floats(0, 1000)), counts)


@given(exchanges() | attempts() | levels)
def test_the_entry_is_the_same_from_the_record_and_from_its_bytes(record: Record) -> None:
    data, entry = encode(record)

    assert decode(data)[0] == entry


@given(exchanges() | attempts())
def test_records_come_back_from_their_bytes(record: Exchange | Attempt) -> None:
    row = decode(encode(record)[0])[1]

    assert (from_json(row) if isinstance(record, Exchange) else attempt_of(row)) == record


@given(exchanges(), st.sampled_from(["", "abc", "0" * 30, "g" * 32, "0" * 34]))
def test_an_exchange_without_a_request_key_cannot_be_stored(exchange: Exchange, identity: str) -> None:
    with pytest.raises(InputError, match="wanted a request key"):
        encode(replace(exchange, id=identity))


@pytest.mark.parametrize("kind", [ANSWERED, LEASED])
def test_an_attempt_may_not_pass_for_something_else(kind: str) -> None:
    with pytest.raises(InputError, match="another kind"):
        encode(Attempt(0.0, b"", "demo", kind))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"v":1}', b'{"v":1,"messages":[]}', b'{"v":1,"attempt":{}}', b"3"]
)
def test_what_is_no_record_is_a_store_error(data: bytes) -> None:
    with pytest.raises(StoreError, match="wanted an exchange, attempt or lease"):
        decode(data)


def test_a_record_of_a_newer_version_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="version 2; upgrade"):
        decode(b'{"v":2,"messages":[]}')


@given(st.floats(0, 1000))
def test_money_is_rounded_up_by_less_than_a_nanodollar(dollars: float) -> None:
    exact = Fraction(dollars) * 10**9

    assert exact - Fraction(1, 1000) <= nanodollars(dollars) < exact + 1 + Fraction(1, 1000)


@pytest.mark.parametrize(
    ("dollars", "nano"), [(0.0, 0), (1e-12, 1), (1.1e-9, 2), (0.000123456, 123_456), (0.3, 300_000_000)]
)
def test_money_as_it_is_written_is_exact(dollars: float, nano: int) -> None:
    assert nanodollars(dollars) == nano
