from __future__ import annotations

from io import StringIO

import pytest

from spiritsafe.distil.progress import Meter, Progress, line_of, shown_on


def _tell(meter: Meter, now_s: float, done: int, asked: int, *, last: bool = False) -> None:
    meter.tell(now_s, done=done, asked=asked, in_flight=3, dollars=0.5, errors={"timeout": 1}, last=last)


def test_progress_is_told_at_most_four_times_a_second_and_at_the_end() -> None:
    told: list[Progress] = []
    meter = Meter(told.append, 100, now_s=0.0)
    for step in range(100):
        _tell(meter, step * 0.01, step, step)
    assert len(told) == 4
    _tell(meter, 0.991, 100, 100, last=True)
    assert told[-1].done == 100
    assert told[-1].eta_s == 0.0


def test_rate_and_time_left_follow_what_was_asked_lately() -> None:
    told: list[Progress] = []
    meter = Meter(told.append, 1000, now_s=0.0)
    for second in range(1, 41):
        asked = 10 * min(second, 20) + 2 * max(0, second - 20)  # ten a second, then two
        _tell(meter, float(second), 100 + asked, asked)
    assert told[-1].per_s == pytest.approx(2.0)
    assert told[-1].eta_s == pytest.approx((1000 - 340) / 2.0)


def test_answers_found_in_the_ledger_do_not_count_as_pace() -> None:
    told: list[Progress] = []
    meter = Meter(told.append, 1000, now_s=0.0)
    _tell(meter, 1.0, 500, 0)
    assert told[-1].per_s == 0.0
    assert told[-1].eta_s is None


def test_the_line_says_what_is_known_and_that_a_price_is_not() -> None:
    known = Progress(1250, 5000, 64, 12.34, 0.5, 304.0, {"timeout": 2, "rate_limited": 1})
    assert line_of(known) == (
        "1,250/5,000 (25%) answers · 12.3/s · 64 in flight · $0.5000 · 5:04 left · errors: rate_limited 1, timeout 2"
    )
    assert line_of(Progress(3, None, 1, 0.0, None, None)) == "3 answers · 0.0/s · 1 in flight · price unknown"


def test_without_a_terminal_there_is_a_plain_line_every_ten_seconds() -> None:
    now_s = [0.0]
    stream = StringIO()
    with shown_on(stream, lambda: now_s[0]) as show:
        for second in range(31):
            now_s[0] = float(second)
            show(Progress(second, None, 1, 1.0, 0.0, None))
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["0", "10", "20", "30"]
