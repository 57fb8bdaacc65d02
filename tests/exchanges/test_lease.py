"""The lease: what is in flight is never more than what is on disk, which is written rarely."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.entries import LeaseLevel
from spiritsafe.exchanges.lease import Lease


def a_lease() -> tuple[Lease, list[LeaseLevel]]:
    written: list[LeaseLevel] = []
    return Lease("demo", written.append), written


amounts = st.tuples(st.floats(0, 1e6) | st.none(), st.integers(0, 10**9))


@given(st.lists(amounts, max_size=30))
def test_what_is_asked_for_is_always_on_disk(asked: list[tuple[float | None, int]]) -> None:
    lease, written = a_lease()
    for dollars, tokens in asked:
        lease.raise_to(dollars, tokens)

        on_disk = written[-1] if written else LeaseLevel("demo")
        assert on_disk == lease.level
        assert on_disk.tokens >= tokens
        assert on_disk.dollars is None or (dollars is not None and on_disk.dollars >= dollars)


def test_it_is_written_a_few_times_for_many_requests() -> None:
    lease, written = a_lease()
    for in_flight in [*range(1, 1000), *range(1000, 0, -1)]:
        lease.raise_to(in_flight * 0.01, in_flight * 700)

    assert len(written) <= 11


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_it_does_not_grow_past_what_is_left_of_the_budget(shares: list[float]) -> None:
    lease, _ = a_lease()
    for share in shares:
        lease.raise_to(share * 5, int(share * 900), most_dollars=5.0, most_tokens=900)

        assert lease.level.dollars is not None
        assert lease.level.dollars <= 5.0
        assert lease.level.tokens <= 900


def test_settled_it_holds_nothing_and_takes_nothing() -> None:
    lease, written = a_lease()
    lease.raise_to(1.0, 10)

    lease.settle()

    assert written[-1] == LeaseLevel("demo", 0.0, 0)
    with pytest.raises(StoreError, match="settled"):
        lease.raise_to(1.0, 10)


def test_settling_what_was_never_raised_writes_nothing() -> None:
    lease, written = a_lease()

    lease.settle()

    assert written == []


def test_a_level_that_could_not_be_written_does_not_count() -> None:
    def full(level: LeaseLevel) -> None:
        raise StoreError("full")

    lease = Lease("demo", full)
    for _ in range(2):
        with pytest.raises(StoreError):
            lease.raise_to(1.0, 1)
    assert lease.level == LeaseLevel("demo")
