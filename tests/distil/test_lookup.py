from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spiritsafe.distil.lookup import AT_ONCE, Lookup
from spiritsafe.errors import InputError
from spiritsafe.exchanges.ledger import Ledger, request_key
from spiritsafe.exchanges.record import Exchange, Message, Request


def _request(number: int) -> Request:
    return Request((Message("user", str(number)),))


def _key(request: Request) -> bytes:
    return request_key("e", "m", request, {})


def _asked(*numbers: int) -> Iterator[tuple[str, Request]]:
    return ((str(number), _request(number)) for number in numbers)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as opened:
        yield opened


def _store(ledger: Ledger, number: int) -> None:
    request = _request(number)
    ledger.append([Exchange(_key(request).hex(), 0.0, "scripted", request.messages)])


def test_what_is_stored_is_found_and_what_is_not_is_not(ledger: Ledger) -> None:
    _store(ledger, 2)
    lookup = Lookup(ledger, _key)
    assert [lookup.may_be_stored(job.key) for job in lookup.ahead(_asked(1, 2, 3))] == [False, True, False]


def test_what_is_stored_after_the_query_is_not_taken_for_missing(ledger: Ledger) -> None:
    lookup = Lookup(ledger, _key)
    jobs = lookup.ahead(_asked(1, 1))
    first = next(jobs)
    assert not lookup.may_be_stored(first.key)
    _store(ledger, 1)
    lookup.stored(first.key)
    assert lookup.may_be_stored(next(jobs).key)


def test_what_was_stored_in_an_earlier_chunk_is_found_by_the_next_query(ledger: Ledger) -> None:
    lookup = Lookup(ledger, _key)
    for position, job in enumerate(lookup.ahead(_asked(*range(AT_ONCE), 5))):
        if position == AT_ONCE:
            assert lookup.may_be_stored(job.key)
        else:
            _store(ledger, position)
            lookup.stored(job.key)


def test_jobs_before_an_error_are_given_out_first(ledger: Ledger) -> None:
    def asked() -> Iterator[tuple[str, Request]]:
        yield from _asked(1, 2)
        raise InputError("row 3 is not JSON")

    jobs = Lookup(ledger, _key).ahead(asked())
    assert [next(jobs).prompt_id, next(jobs).prompt_id] == ["1", "2"]
    with pytest.raises(InputError, match="row 3"):
        next(jobs)
