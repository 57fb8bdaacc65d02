"""Limits: what is let in in any window, by one worker or several, and under a clock that steps."""

from array import array
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.guard.limits import (
    DAY_S,
    FIELDS,
    MOST_AT_ONCE,
    SWING_S,
    Counts,
    Limits,
    Meter,
    Refused,
    Standing,
    lines_of,
)

NOON = 1_700_000_000 // DAY_S * DAY_S + 12 * 3600.0
NOTHING = Limits()


def cells(slots: int = 4) -> memoryview:
    return memoryview(array("Q", bytes(slots * FIELDS * 8)))


def meters(workers: int = 1) -> list[Meter]:
    shared = [cells() for _ in range(workers)]
    return [Meter(shared, own) for own in range(workers)]


def headers_of(standing: Standing, api: str) -> dict[bytes, bytes]:
    """The lines as a client reads them; they are in front of other lines, so the last ends too."""
    lines = lines_of(standing, api).split(b"\r\n")
    assert lines.pop() == b""
    return {name: value for name, _, value in (line.partition(b": ") for line in lines)}


def limit_of(refused: Refused | None) -> str | None:
    return None if refused is None else refused.limit


def test_as_many_requests_pass_as_the_limit_says_and_the_next_waits() -> None:
    meter, limits = meters()[0], Limits(requests_per_minute=3)

    assert [meter.admit(1, limits, NOON) for _ in range(3)] == [None] * 3
    refused = meter.admit(1, limits, NOON)
    assert refused is not None
    assert refused.limit == "requests_per_minute"
    assert "used 3 requests in the last minute, its limit is 3; wait 60.0 s" in refused.message
    assert meter.admit(2, limits, NOON) is None


def test_where_there_is_no_limit_everything_passes() -> None:
    meter = meters()[0]
    for _ in range(1000):
        assert meter.admit(0, NOTHING, NOON) is None
        meter.spend(0, NOON, 10**6, 10**9)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=80), st.integers(1, 8), st.integers(1, 3))
def test_in_no_minute_more_than_twice_the_limit_passes_and_over_minutes_no_more_than_the_limit(
    times: list[float], limit: int, workers: int
) -> None:
    all_meters, passed = meters(workers), []
    for count, time_s in enumerate(sorted(times)):
        if all_meters[count % workers].admit(0, Limits(requests_per_minute=limit), NOON + time_s) is None:
            passed.append(time_s)

    recent: deque[float] = deque()
    for time_s in passed:
        recent.append(time_s)
        while recent[0] <= time_s - 60:
            recent.popleft()
        assert len(recent) <= 2 * limit
    for minute in range(4):
        assert len([time_s for time_s in passed if time_s // 60 == minute]) <= limit


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(0, 300)), max_size=40), st.integers(1, 5), st.integers(1, 500))
def test_whoever_waits_as_long_as_told_gets_in(came: list[tuple[float, int]], requests: int, tokens: int) -> None:
    meter, limits, now_s = meters()[0], Limits(requests, tokens, 2, 2000, 1.5), NOON
    for after_s, used in came:
        now_s += after_s / 10
        refused = meter.admit(0, limits, now_s)
        if refused is not None:
            now_s += refused.retry_after_s
            assert meter.admit(0, limits, now_s) is None
        meter.spend(0, now_s, used, used * 1000)
        meter.leave(0)


def test_tokens_are_charged_when_known_and_the_next_request_waits_for_them_to_age() -> None:
    meter, limits = meters()[0], Limits(tokens_per_minute=100)
    assert meter.admit(0, limits, NOON) is None
    meter.spend(0, NOON, 400, 0)

    refused = meter.admit(0, limits, NOON + 1)
    assert refused is not None
    assert (refused.limit, round(refused.retry_after_s)) == ("tokens_per_minute", 59 + 45)
    assert limit_of(meter.admit(0, limits, NOON + 104)) == "tokens_per_minute"
    assert meter.admit(0, limits, NOON + 106) is None


def test_only_so_many_requests_are_open_at_once() -> None:
    meter, limits = meters()[0], Limits(concurrency=2)

    assert [limit_of(meter.admit(0, limits, NOON)) for _ in range(3)] == [None, None, "concurrency"]
    meter.leave(0)
    assert [limit_of(meter.admit(0, limits, NOON)) for _ in range(2)] == [None, "concurrency"]
    for _ in range(5):
        meter.leave(0)
    assert [limit_of(meter.admit(0, limits, NOON)) for _ in range(3)] == [None, None, "concurrency"]


@pytest.mark.parametrize(
    ("limits", "name"),
    [(Limits(tokens_per_day=1000), "tokens_per_day"), (Limits(dollars_per_day=0.5), "dollars_per_day")],
)
def test_a_day_ends_at_midnight_utc(limits: Limits, name: str) -> None:
    meter = meters()[0]
    meter.spend(0, NOON, 1000, 500_000)

    refused = meter.admit(0, limits, NOON)
    assert refused is not None
    assert (refused.limit, refused.retry_after_s) == (name, 12 * 3600)
    assert limit_of(meter.admit(0, limits, NOON + 12 * 3600 - 1)) == name
    assert meter.admit(0, limits, NOON + 12 * 3600) is None


def test_of_several_limits_the_longest_wait_is_told() -> None:
    meter, limits = meters()[0], Limits(1, None, 1, 10)
    meter.admit(0, limits, NOON)
    meter.spend(0, NOON, 10, 0)

    assert limit_of(meter.admit(0, limits, NOON)) == "tokens_per_day"


def test_a_factor_makes_the_limits_smaller_but_never_nothing() -> None:
    meter, limits = meters()[0], Limits(requests_per_minute=20)

    assert [limit_of(meter.admit(0, limits, NOON, 0.1)) for _ in range(3)] == [None, None, "requests_per_minute"]
    assert limit_of(meter.admit(1, limits, NOON, 0.0001)) is None
    assert limit_of(meter.admit(1, limits, NOON, 0.0001)) == "requests_per_minute"


def test_workers_share_their_limits() -> None:
    one, other = meters(2)
    limits = Limits(requests_per_minute=4, tokens_per_day=100)

    assert [meter.admit(0, limits, NOON) for meter in (one, other, one, other)] == [None] * 4
    assert limit_of(one.admit(0, limits, NOON)) == limit_of(other.admit(0, limits, NOON)) == "requests_per_minute"
    one.spend(0, NOON, 100, 0)
    assert limit_of(other.admit(0, limits, NOON + 3600)) == "tokens_per_day"


def test_other_machines_count_too_for_as_long_as_their_minute_does() -> None:
    meter, limits = meters()[0], Limits(requests_per_minute=10)
    other = meters()[0]
    for _ in range(10):
        other.admit(0, NOTHING, NOON)
    meter.others[0] = other.here(0, NOON)

    assert limit_of(meter.admit(0, limits, NOON)) == "requests_per_minute"
    assert meter.admit(0, limits, NOON + 75) is None
    meter.others[0] = Counts(day=int(NOON // DAY_S), day_tokens=7)
    assert limit_of(meter.admit(0, Limits(tokens_per_day=7), NOON)) == "tokens_per_day"


@given(st.lists(st.floats(-3 * DAY_S, 3 * DAY_S), max_size=30), st.integers(1, 4), st.integers(1, 2))
def test_however_the_clock_steps_nobody_is_locked_out_for_longer_than_a_window(
    steps: list[float], limit: int, workers: int
) -> None:
    all_meters, limits, now_s = meters(workers), Limits(limit, None, None, 50, None), NOON
    for count, step_s in enumerate(steps):
        now_s = max(0.0, now_s + step_s)
        meter = all_meters[count % workers]
        meter.admit(0, limits, now_s)
        meter.spend(0, now_s, 20, 0)

    # What the other worker counted before the clock was set back holds in its minute and day, should they come again.
    soon = [now_s + (61 + SWING_S) + 125 * window for window in range(workers)]
    refused = [limit_of(all_meters[0].admit(0, limits, at)) for at in soon]
    assert None in refused or "tokens_per_day" in refused
    refused = [limit_of(all_meters[0].admit(0, limits, at + days * DAY_S)) for days in (1, 2) for at in soon]
    assert None in refused


@given(st.integers(0, 59), st.integers(1, 10))
def test_a_clock_that_swings_over_the_turn_of_a_minute_gives_no_credit(swings: int, limit: int) -> None:
    meter, passed, limits = meters()[0], 0, Limits(requests_per_minute=limit)
    for count in range(swings * limit):
        passed += meter.admit(0, limits, NOON + (0.001 if count % 2 else -0.001)) is None

    assert passed <= 2 * limit


def test_a_clock_that_was_set_back_gives_no_credit() -> None:
    meter, limits = meters()[0], Limits(requests_per_minute=2, tokens_per_day=100)
    for _ in range(2):
        meter.admit(0, limits, NOON)
    assert limit_of(meter.admit(0, limits, NOON - 3600)) == "requests_per_minute"

    meter.spend(0, NOON - 3600, 100, 0)
    assert limit_of(meter.admit(0, limits, NOON - DAY_S)) == "tokens_per_day"


def test_what_another_worker_counted_long_ago_does_not_count() -> None:
    one, other = meters(2)
    limits = Limits(requests_per_minute=1)
    other.admit(0, limits, NOON)

    assert limit_of(one.admit(0, limits, NOON + 60)) == "requests_per_minute"
    assert one.admit(0, limits, NOON + 120) is None


@pytest.mark.parametrize("now_s", [-1.0, 0.0, 1e-9, 1e12, 1e15])
def test_no_reading_of_the_clock_is_an_error(now_s: float) -> None:
    meter, limits = meters()[0], Limits(1, 1, 5, 1, 1.0)
    meter.admit(0, NOTHING, NOON)
    meter.admit(0, limits, now_s)
    meter.spend(0, now_s, 5, 5)
    meter.admit(0, limits, now_s)
    meter.leave(0)
    meter.standing(0, limits, now_s)


def test_an_upstream_that_counts_wrongly_fills_no_cell() -> None:
    meter = meters()[0]
    for tokens in (-5, 2**200, 2**64 - 1):
        meter.spend(0, NOON, tokens, tokens)

    assert meter.here(0, NOON).day_tokens == 2 * MOST_AT_ONCE


def test_a_worker_in_the_place_of_a_dead_one_has_nothing_open_and_remembers_the_rest() -> None:
    shared = [cells(), cells()]
    dead, other = Meter(shared, 0), Meter(shared, 1)
    for meter in (dead, other):
        meter.admit(2, NOTHING, NOON)
        meter.spend(2, NOON, 5, 6)
    born = Meter(shared, 0)
    born.forget_open(range(3))

    counted = Counts(int(NOON // 60), 1, 0, 5, 0, int(NOON // DAY_S), 5, 6, 0)
    assert born.here(2, NOON) == counted
    assert other.here(2, NOON) == counted._replace(open_now=1)


def test_the_cells_of_a_worker_are_as_large_as_it_says() -> None:
    assert len(memoryview(bytearray(Meter.bytes_for(3))).cast("Q")) == 3 * FIELDS
    assert len(Counts._fields) == FIELDS


def test_headers_say_what_is_left_in_each_dialect() -> None:
    meter, limits = meters()[0], Limits(10, 1000)
    meter.admit(0, limits, NOON)
    meter.spend(0, NOON, 300, 0)
    standing = meter.standing(0, limits, NOON + 0.5)

    assert headers_of(standing, "openai") == {
        b"x-ratelimit-limit-requests": b"10",
        b"x-ratelimit-remaining-requests": b"9",
        b"x-ratelimit-reset-requests": b"119.5s",
        b"x-ratelimit-limit-tokens": b"1000",
        b"x-ratelimit-remaining-tokens": b"700",
        b"x-ratelimit-reset-tokens": b"119.5s",
    }
    assert headers_of(standing, "anthropic")[b"anthropic-ratelimit-requests-reset"] == b"2023-11-14T12:02:00Z"
    assert headers_of(standing, "anthropic")[b"anthropic-ratelimit-tokens-remaining"] == b"700"
    assert headers_of(meter.standing(0, NOTHING, NOON), "openai") == {}
    assert list(headers_of(Standing(NOON, 5, 5, 0.0, None, 0, 0.0), "openai")) == [
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    ]


@given(st.lists(st.floats(0, 30), max_size=20), st.integers(1, 6))
def test_what_headers_say_is_left_can_be_sent(gaps: list[float], limit: int) -> None:
    meter, limits, now_s = meters()[0], Limits(requests_per_minute=limit), NOON
    for gap_s in gaps:
        now_s += gap_s
        meter.admit(0, limits, now_s)

    left = meter.standing(0, limits, now_s).requests_left
    assert [meter.admit(0, limits, now_s) for _ in range(left)] == [None] * left
    assert meter.admit(0, limits, now_s) is not None
