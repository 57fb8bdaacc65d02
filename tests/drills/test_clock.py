from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.drills.clock import DAY_S, HOUR_S, WEEKS, Rhythm, exact, rhythm, weekday

MONDAY = 1780272000.0
"""1 June 2026, 00:00 UTC."""

times = st.floats(1.7e9, 1.9e9)
rhythms = st.builds(rhythm, st.sampled_from(sorted(WEEKS)), st.sampled_from([-6.0, 0.0, 5.5, 9.0]))


@given(rhythms, times, st.floats(1e-4, 30))
def test_work_time_and_its_inverse_agree(hours: Rhythm, at: float, days: float) -> None:
    assert hours.work(hours.after(at, days)) == pytest.approx(hours.work(at) + days, abs=1e-6)


@given(rhythms, times, st.floats(0, 1), st.floats(0, 1))
def test_more_work_never_ends_earlier(hours: Rhythm, at: float, first: float, second: float) -> None:
    least, most = sorted((first, second))

    assert at - 1e-3 <= hours.after(at, least) <= hours.after(at, most)


@given(rhythms, times)
def test_a_week_has_seven_days_of_work(hours: Rhythm, at: float) -> None:
    assert hours.work(at + 7 * DAY_S) - hours.work(at) == pytest.approx(7.0, abs=1e-6)


def test_nothing_is_done_in_hours_of_rest() -> None:
    night = rhythm("night")
    hours = [((night.after(MONDAY, days / 50) - MONDAY) / HOUR_S) % 24 for days in range(1, 500)]

    assert not [hour for hour in hours if 7.0 < hour < 22.0]


def test_office_people_ask_at_noon_of_their_own_time_and_not_at_night() -> None:
    tokyo = rhythm("office", 9.0)
    done = [tokyo.work(MONDAY + hour * HOUR_S) for hour in range(25)]
    by_hour = [done[hour + 1] - done[hour] for hour in range(24)]

    assert fmean(by_hour[0:9]) > 5 * fmean(by_hour[15:22])


def test_weekdays_follow_local_time() -> None:
    assert weekday(MONDAY) == 0
    assert weekday(MONDAY, -1.0) == 6
    assert weekday(MONDAY + 4 * DAY_S + 23 * HOUR_S, 2.0) == 5


@given(times)
def test_exact_times_have_six_decimals_and_stay_as_they_are(at: float) -> None:
    assert exact(exact(at)) == exact(at)
    assert len(repr(exact(at)).partition(".")[2]) <= 6
