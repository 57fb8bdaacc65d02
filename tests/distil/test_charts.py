import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.charts import (
    CHARACTER,
    WIDTH,
    Bar,
    Point,
    bars,
    curve,
    gauge,
    log_ticks,
    nice_ticks,
    without_collisions,
)
from spiritsafe.distil.pages.words import count

shares = st.floats(-3, 12)
intervals = st.tuples(shares, shares, shares).map(sorted)
budgets = st.lists(st.integers(1, 1_000_000), min_size=1, max_size=10, unique=True).map(sorted)


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def marks(text: str, classes: str) -> list[ElementTree.Element]:
    return [one for one in svg(text).iter() if one.get("class") == classes]


def point(x: float, interval: list[float] | None) -> Point:
    return Point(x, None) if interval is None else Point(x, interval[1], interval[0], interval[2])


def drawn(points: list[Point]) -> str:
    return curve(points, "exchanges", count, "title", "description")


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_nice_ticks_lie_inside_are_even_and_about_as_many_as_wanted(low: float, width: float, wanted: int) -> None:
    ticks = nice_ticks(low, low + width, wanted)

    assert all(low - width * 1e-6 <= tick <= low + width * (1 + 1e-6) for tick in ticks)
    steps = [second - first for first, second in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps)) if steps else True
    assert wanted / 2 - 1 <= len(ticks) <= wanted + 1


def test_nice_ticks_are_round() -> None:
    assert nice_ticks(0, 1, 4) == [0, 0.25, 0.5, 0.75, 1]
    assert nice_ticks(0, 275, 5) == [0, 100, 200]
    assert nice_ticks(7, 7) == [7]


@given(st.floats(1, 1e5), st.floats(15, 1e4))
def test_log_ticks_lie_inside_and_are_at_least_three(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)

    assert all(low <= tick <= low * ratio for tick in ticks)
    assert len(ticks) >= 3


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(1, 80)), max_size=12).map(sorted))
def test_labels_that_are_kept_never_overlap_and_the_last_is_always_kept(places: list[tuple[float, float]]) -> None:
    kept = without_collisions(places)

    assert kept == sorted(kept)
    assert not places or kept[-1] == len(places) - 1
    for one, other in combinations(kept, 2):
        assert places[other][0] - places[one][0] >= (places[one][1] + places[other][1]) / 2 - 1e-9


@given(budgets, st.data())
def test_a_curve_is_well_formed_and_stays_inside_its_box(xs: list[int], data: st.DataObject) -> None:
    points = [point(x, data.draw(st.none() | intervals)) for x in xs]
    text = drawn(points)
    _, _, width, height = map(float, (svg(text).get("viewBox") or "").split())

    for one in svg(text).iter():
        for name, limit in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y1", height), ("cy", height)):
            assert -0.1 <= float(one.get(name, 0)) <= limit + 0.1
    assert len(marks(text, "cross")) == sum(p.y is None for p in points)


@given(budgets, intervals)
def test_values_written_over_points_do_not_collide(xs: list[int], interval: list[float]) -> None:
    labels = marks(drawn([point(x, interval) for x in xs]), "middle strong halo")
    places = sorted((float(one.get("x", 0)), CHARACTER * len(one.text or "")) for one in labels)

    assert places
    assert all(b[0] - a[0] >= (a[1] + b[1]) / 2 - 0.1 for a, b in pairwise(places))


def test_higher_shares_are_drawn_higher_and_base_and_teacher_are_named() -> None:
    text = drawn([point(60, [0.2, 0.3, 0.4]), point(120, [0.7, 0.8, 0.9]), point(250, [0.9, 1.0, 1.1])])
    heights = [float(one.get("cy", 0)) for one in marks(text, "dot student")]
    teacher, base = marks(text, "reference teacher")[0], marks(text, "reference base")[0]

    assert heights[0] > heights[1] > heights[2]
    assert heights[2] == pytest.approx(float(teacher.get("y1", 0)), abs=0.1)
    assert float(base.get("y1", 0)) > heights[0]
    assert {one.text for one in svg(text).iter()} >= {"teacher", "base", "exchanges", "30\u202f%"}


def test_a_budget_that_is_not_estimable_is_a_cross_that_says_so() -> None:
    text = drawn([point(60, None), point(120, [0.5, 0.6, 0.7])])

    assert len(marks(text, "dot student")) == 1
    assert "60: not estimable" in text


def test_an_interval_beyond_what_is_shown_ends_in_an_arrow() -> None:
    plain, long = (drawn([point(60, interval)]) for interval in ([0.4, 0.6, 0.8], [0.4, 1.5, 9.0]))
    heads = [[one for one in marks(text, "whisker") if one.tag.endswith("path")] for text in (plain, long)]

    assert [len(one) for one in heads] == [0, 1]
    assert "interval 40\u202f% to 900\u202f%" in long


def test_budgets_of_very_different_size_are_on_a_logarithmic_axis() -> None:
    places = [
        [float(one.get("cx", 0)) for one in marks(drawn([point(x, [0.1, 0.2, 0.3]) for x in xs]), "dot student")]
        for xs in ((100, 1_000, 10_000), (100, 200, 300))
    ]

    for first, second, third in places:
        assert second - first == pytest.approx(third - second, rel=0.01)


@given(intervals)
def test_a_gauge_keeps_band_dot_and_words_inside(interval: list[float]) -> None:
    low, estimate, high = interval
    text = gauge(estimate, low, high, "label")

    for name in ("x", "cx", "x1", "x2"):
        assert all(-0.1 <= float(one.get(name, 0)) <= WIDTH + 0.1 for one in svg(text).iter())
    band = marks(text, "band")[0]
    assert float(band.get("x", 0)) + float(band.get("width", 0)) <= WIDTH + 0.1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted), min_size=1, max_size=12))
def test_bars_are_as_long_as_their_shares(rows: list[list[float]]) -> None:
    text = bars([Bar("name", mid, low, high, "student") for low, mid, high in rows], "title", "description")
    widths = [float(one.get("width", 0)) for one in marks(text, "bar student")]

    assert widths == pytest.approx([max(1.0, mid * (WIDTH - 10)) for _, mid, _ in rows], rel=1e-3)


def test_charts_escape_their_words() -> None:
    text = bars([Bar("<b>&\"'</b>", 0.5, 0.4, 0.6, "student")], "a < b", "c & d")

    assert "<b>" not in text
    assert marks(text, "start halo")[0].text == "<b>&\"'</b>"


def test_every_chart_has_a_title_and_a_description_for_those_who_cannot_see_it() -> None:
    for text in (drawn([point(1, [0, 0.5, 1])]), gauge(0.5, 0.4, 0.6, "half"), bars([], "no rows", "none")):
        assert re.match(r'<svg [^>]*role="img"[^>]*><title>[^<]+</title><desc>[^<]+</desc>', text)
