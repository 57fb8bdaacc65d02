"""When people ask: a week's rhythm, and renewals in its time.

A `Rhythm` says how much of a week's work falls into each hour. Its *work time* runs faster in busy hours and stands
still in hours of rest; one unit is a day's worth. Arrivals are a renewal process in work time: gamma gaps of shape
1 / CV**2, as 70 to 84 % of the clients of a large serving cloud have them (ServeGen, arXiv 2505.09999).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
WEEK_HOURS = 168

MONDAY_S = 4 * DAY_S
"""Unix seconds of the first Monday after 1970 began, a Thursday."""


def exact(at: float) -> float:
    """`at` in whole microseconds: the precision that every record has, whoever asked."""
    # a tenth of the cost of round(at, 6), and as exact below the year 2255, where 2**53 microseconds end
    return int(at * 1e6 + 0.5) / 1e6


def weekday(at: float, offset_h: float = 0.0) -> int:
    """0 for Monday to 6 for Sunday, where local time is UTC plus `offset_h` hours."""
    return int((at - MONDAY_S + offset_h * HOUR_S) // DAY_S) % 7


class Rhythm:
    """The work of a week, hour by hour.

    Args:
        hours: 168 weights from Monday 00:00 local time on; scaled to a mean of one.
        offset_h: local time is UTC plus this many hours.

    Limits: no daylight saving, no holidays.
    """

    __slots__ = ("_done", "_hours", "_zero_s")

    def __init__(self, hours: Sequence[float], offset_h: float = 0.0) -> None:
        mean = sum(hours) / WEEK_HOURS
        self._hours = tuple(weight / mean for weight in hours)
        done = [0.0]
        for weight in self._hours:
            done.append(done[-1] + weight)
        self._done = tuple(done)
        self._zero_s = MONDAY_S - offset_h * HOUR_S

    def work(self, at: float) -> float:
        """Work time at `at` unix seconds, in days."""
        weeks, hours = divmod((at - self._zero_s) / HOUR_S, WEEK_HOURS)
        hour = min(int(hours), WEEK_HOURS - 1)
        return (weeks * self._done[-1] + self._done[hour] + (hours - hour) * self._hours[hour]) / 24.0

    def when(self, work: float) -> float:
        """Unix seconds at which work time is `work`: the inverse of `work`; never within an hour of rest."""
        weeks, left = divmod(work * 24.0, self._done[-1])
        hour = min(bisect_right(self._done, left) - 1, WEEK_HOURS - 1)
        part = (left - self._done[hour]) / self._hours[hour] if self._hours[hour] else 0.0
        return self._zero_s + (weeks * WEEK_HOURS + hour + min(part, 1.0)) * HOUR_S

    def after(self, at: float, days: float) -> float:
        """Unix seconds at which `days` of work have been done since `at`."""
        return self.when(self.work(at) + days)


def _days(weekday: Sequence[float], weekend: float) -> tuple[float, ...]:
    return (*weekday,) * 5 + tuple(weight * weekend for weight in weekday) * 2


_OFFICE = (1, 1, 1, 1, 1, 2, 6, 18, 45, 78, 90, 88, 62, 74, 92, 88, 74, 52, 28, 16, 11, 8, 5, 2)
_EVENING = (10, 5, 3, 2, 2, 3, 8, 16, 22, 26, 30, 34, 38, 36, 34, 36, 42, 52, 66, 82, 92, 88, 60, 28)
_SERVICE = (26, 20, 17, 16, 17, 21, 31, 46, 62, 74, 80, 82, 80, 80, 82, 80, 78, 76, 74, 72, 68, 58, 45, 34)
_NIGHT = (40, 95, 100, 95, 60, 20, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 10)

WEEKS = {
    "flat": (1.0,) * WEEK_HOURS,
    "office": _days(_OFFICE, 0.12),
    "evening": _days(_EVENING, 1.15),
    "service": _days(_SERVICE, 0.8),
    "night": _days(_NIGHT, 1.0),
}
"""Weeks by name: machines without a clock, working people, private people, a service's end users, nightly jobs."""


@lru_cache(256)
def rhythm(week: str, offset_h: float = 0.0) -> Rhythm:
    """The rhythm named `week`, shared by all who live by it in that time zone."""
    return Rhythm(WEEKS[week], offset_h)
