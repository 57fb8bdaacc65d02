from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UpstreamError
from spiritsafe.models.retries import STOP_AT_ONCE, Backoff, Circuit
from spiritsafe.wire.status import Complaint, upstream_error


def _error(kind: str) -> UpstreamError:
    return UpstreamError("no", kind=kind, retryable=True)


@given(retry=st.integers(0, 10_000), draw=st.floats(0, 1, exclude_max=True), after=st.none() | st.floats(0, 1000))
def test_a_delay_is_at_least_what_was_asked_for_and_at_most_the_cap_more(
    retry: int, draw: float, after: float | None
) -> None:
    delay_s = Backoff(base_s=0.5, cap_s=20.0).delay_s(retry, draw, after)
    assert (after or 0.0) <= delay_s <= (after or 0.0) + min(20.0, 0.5 * 2.0 ** min(retry, 100))


def test_the_jitter_doubles_with_every_retry_up_to_the_cap() -> None:
    backoff = Backoff(base_s=1.0, cap_s=10.0)
    assert [backoff.delay_s(retry, 0.5) for retry in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_teacher_that_never_answered_is_given_up_after_failures_in_a_row() -> None:
    circuit = Circuit(max_failures=3)
    for _ in range(2):
        circuit.failure(_error("unreachable"))
    assert not circuit.is_open(0.0)
    circuit.failure(_error("server"))
    assert circuit.is_open(0.0)


def test_a_teacher_that_answered_before_is_given_time_to_come_back() -> None:
    circuit = Circuit(max_failures=3, patience_s=120.0)
    circuit.success(10.0)
    for _ in range(100):
        circuit.failure(_error("unreachable"))
    assert not circuit.is_open(129.0)
    assert circuit.is_open(131.0)


@pytest.mark.parametrize("kind", ["rate_limited", "refused"])
def test_being_told_to_wait_or_refused_is_no_sign_of_a_dead_teacher(kind: str) -> None:
    circuit = Circuit(max_failures=3)
    for _ in range(50):
        circuit.failure(_error(kind))
    assert not circuit.is_open(0.0)


def test_an_account_without_credit_stops_everything_and_a_limit_on_the_pace_does_not() -> None:
    out_of_credit = upstream_error(429, Complaint("You exceeded your current quota", "insufficient_quota"))
    too_fast = upstream_error(429, Complaint("Rate limit reached", "rate_limit_exceeded"))

    assert out_of_credit.kind in STOP_AT_ONCE
    assert not Backoff().may_retry(out_of_credit, 0, 0)
    assert too_fast.kind not in STOP_AT_ONCE
    assert Backoff().may_retry(too_fast, 0, 0)


def test_requests_given_up_in_a_row_open_the_circuit_and_an_answer_closes_it() -> None:
    circuit = Circuit(max_given_up=2)
    circuit.gave_up()
    circuit.success(0.0)
    circuit.gave_up()
    assert not circuit.is_open(0.0)
    circuit.gave_up()
    assert circuit.is_open(0.0)


def test_an_address_where_nobody_ever_answered_is_given_up_after_a_few_attempts() -> None:
    circuit, nobody = Circuit(max_unreached=3), UpstreamError("nobody", kind="unreachable", retryable=True)

    for _ in range(2):
        circuit.failure(nobody)
    assert not circuit.is_open(1.0)
    circuit.failure(nobody)
    assert circuit.is_open(1.0)


def test_one_that_has_answered_is_not() -> None:
    circuit, nobody = Circuit(max_unreached=3), UpstreamError("nobody", kind="unreachable", retryable=True)

    circuit.success(0.0)
    for _ in range(10):
        circuit.failure(nobody)

    assert not circuit.is_open(1000.0)
