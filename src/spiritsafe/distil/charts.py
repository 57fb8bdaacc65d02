"""Charts: numbers in, SVG out. Pure; the style sheet gives colours by class, so one chart serves light and dark.

- `gauge`: the headline, where the student stands between its base and its teacher.
- `curve`: recovered capability against what it took (exchanges or dollars), one point a budget.
- `bars`: accuracies with their intervals.

Every chart has a title and a description for readers who cannot see it, and each mark a title with its numbers. Widths
are in units of the view box; text is sized so that it can be read where a phone shows the chart at 340 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spiritsafe.distil.pages.markup import Markup, joined, tag
from spiritsafe.distil.pages.words import percent

WIDTH = 440.0
CHARACTER = 7.2  # generous width of one character at the charts' 13-unit text
SHOWN = (-0.5, 2.0)  # recovered shares beyond these are drawn as arrows: a ratio's interval can be very long
LOG_FROM = 15.0  # largest over smallest from which budgets are drawn on a logarithmic axis


@dataclass(frozen=True, slots=True)
class Point:
    """One budget: what it took, and the recovered share with its interval (None: not estimable)."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One accuracy; `kind` is the CSS class of its colour: "base", "student" or "teacher"."""

    label: str
    estimate: float
    low: float
    high: float
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `first`..`last` to pixels `start`..`end`, linearly or by logarithm."""

    first: float
    last: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of `value`."""
        low, high, here = (math.log(v) if self.log else v for v in (self.first, self.last, value))
        share = (here - low) / (high - low)
        return self.start + share * (self.end - self.start)


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them, at steps of 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`, with 3, or 2 and 5, times them where there would be fewer than three."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    choices = [
        [tick for decade in decades for factor in factors if low <= (tick := factor * 10.0**decade) <= high]
        for factors in ((1,), (1, 3), (1, 2, 5))
    ]
    return next((ticks for ticks in choices if len(ticks) >= 3), choices[-1])


def without_collisions(places: Sequence[tuple[float, float]]) -> list[int]:
    """Which labels to keep so that none overlaps another: the last first, then from the left.

    Args:
        places: (centre, width) of each label, by growing centre.
    """
    kept: list[int] = []
    for index in [len(places) - 1, *range(len(places) - 1)] if places else []:
        centre, width = places[index]
        if all(abs(centre - places[other][0]) >= (width + places[other][1]) / 2 for other in kept):
            kept.append(index)
    return sorted(kept)


def gauge(estimate: float, low: float, high: float, label: str) -> Markup:
    """Where a student stands on the way from its base (0) to its teacher (1), with its interval as a band."""
    least, most = min(0.0, max(low, SHOWN[0])), max(1.0, min(high, SHOWN[1]))
    pad = 0.06 * (most - least)
    scale = Scale(least - pad, most + pad, 8, WIDTH - 8)
    y = 46.0
    ends = [max(scale.first, min(scale.last, v)) for v in (low, high)]
    band = tag("rect", class_="band", x=scale.at(ends[0]), y=y - 11, height=22.0, rx=4, width=_span(scale, *ends))
    marks = joined(_gauge_mark(scale.at(v), y, name) for v, name in ((0.0, "base"), (1.0, "teacher")))
    here = scale.at(max(scale.first, min(scale.last, estimate)))
    dot = tag("circle", tag("title", label), class_="dot student", cx=here, cy=y, r=8)
    text = _text(percent(estimate), _inside(here, percent(estimate)), y - 20, "middle strong")
    axis = tag("line", class_="axis", x1=8, x2=WIDTH - 8, y1=y, y2=y)
    return _svg(88, "Recovered capability between base and teacher", label, axis, band, marks, dot, text)


def _span(scale: Scale, low: float, high: float) -> float:
    return max(1.0, scale.at(high) - scale.at(low))


def _gauge_mark(x: float, y: float, name: str) -> Markup:
    line = tag("line", class_=f"mark {name}", x1=x, x2=x, y1=y - 14, y2=y + 14)
    return line + _text(name, _inside(x, name), y + 32, "middle soft")


def curve(
    points: Sequence[Point], x_title: str, write_x: Callable[[float], str], title: str, description: str
) -> Markup:
    """Recovered capability against what it took, with interval bars, and lines at the base (0) and the teacher (1).

    A point whose share is not estimable is a cross on the lower edge. Wants at least one point, all x positive.

    Args:
        points: one a budget, by growing x.
        x_title: what x is, e.g. "exchanges trained on".
        write_x: how an x value is written.
        title, description: for readers who cannot see the chart.
    """
    across = _x_scale([point.x for point in points])
    up = _y_scale(points)
    drawn = [
        _grid(up),
        _references(up),
        _x_axis(across, up.start, x_title, write_x),
        _path(points, across, up),
        *(_mark(point, across, up, write_x) for point in points),
        _values(points, across, up),
    ]
    return _svg(up.start + 52, title, description, *drawn)


def _x_scale(values: Sequence[float]) -> Scale:
    log = max(values) / min(values) >= LOG_FROM
    low, high = (min(values) / 1.4, max(values) * 1.25) if log else (0.0, max(values) * 1.1)
    return Scale(low, high, 50, WIDTH - 62, log)


def _y_scale(points: Sequence[Point]) -> Scale:
    ends = [end for point in points for end in (point.low, point.high, point.y) if end is not None]
    low, high = max(SHOWN[0], min([0.0, *ends])), min(SHOWN[1], max([1.0, *ends]))
    return Scale(low - 0.04, high + 0.12, 232, 14)


def _grid(up: Scale) -> Markup:
    lines = []
    for tick in nice_ticks(up.first, up.last - 0.04, 5):
        y = up.at(tick)
        lines.append(tag("line", class_="grid", x1=50, x2=WIDTH - 62, y1=y, y2=y))
        lines.append(_text(percent(tick), 44, y + 4.5, "end soft"))
    return joined(lines)


def _references(up: Scale) -> Markup:
    lines = []
    for share, name in ((0.0, "base"), (1.0, "teacher")):
        y = up.at(share)
        lines.append(tag("line", class_=f"reference {name}", x1=50, x2=WIDTH - 62, y1=y, y2=y))
        lines.append(_text(name, WIDTH - 57, y + 4.5, f"start label-{name}"))
    return joined(lines)


def _x_axis(across: Scale, y: float, title: str, write_x: Callable[[float], str]) -> Markup:
    ticks = log_ticks(across.first, across.last) if across.log else nice_ticks(0, across.last, 5)
    places = [(across.at(tick), CHARACTER * len(write_x(tick)) + 8) for tick in ticks]
    parts = [tag("line", class_="axis", x1=50, x2=WIDTH - 62, y1=y, y2=y)]
    for index in without_collisions(places):
        x = places[index][0]
        parts.append(tag("line", class_="axis", x1=x, x2=x, y1=y, y2=y + 5))
        parts.append(_text(write_x(ticks[index]), x, y + 20, "middle soft"))
    parts.append(_text(title, (across.start + across.end) / 2, y + 43, "middle"))
    return joined(parts)


def _path(points: Sequence[Point], across: Scale, up: Scale) -> Markup | None:
    places = [f"{across.at(p.x):.1f},{up.at(_clipped(p.y)):.1f}" for p in points if p.y is not None]
    return tag("polyline", class_="path student", points=" ".join(places)) if len(places) > 1 else None


def _clipped(share: float) -> float:
    return max(SHOWN[0], min(SHOWN[1], share))


def _mark(point: Point, across: Scale, up: Scale, write_x: Callable[[float], str]) -> Markup:
    x = across.at(point.x)
    if point.y is None or point.low is None or point.high is None:
        cross = tag("path", class_="cross", d=f"M{x - 5:.1f} {up.start - 5:.1f}l10 10m0 -10l-10 10")
        return tag("g", tag("title", f"{write_x(point.x)}: not estimable"), cross)
    told = f"{write_x(point.x)}: {percent(point.y)}, interval {percent(point.low)} to {percent(point.high)}"
    low, high = up.at(_clipped(point.low)), up.at(_clipped(point.high))
    parts = [
        tag("title", told),
        tag("line", class_="whisker", x1=x, x2=x, y1=low, y2=high),
        _whisker_end(x, low, point.low < SHOWN[0], 1),
        _whisker_end(x, high, point.high > SHOWN[1], -1),
    ]
    if SHOWN[0] <= point.y <= SHOWN[1]:
        parts.append(tag("circle", class_="dot student", cx=x, cy=up.at(point.y), r=5.5))
    return tag("g", *parts)


def _whisker_end(x: float, y: float, goes_on: bool, direction: int) -> Markup:
    """A short bar, or an arrow head where the interval goes on beyond what is shown."""
    if not goes_on:
        return tag("line", class_="whisker", x1=x - 5, x2=x + 5, y1=y, y2=y)
    return tag("path", class_="whisker", d=f"M{x - 5:.1f} {y - 6 * direction:.1f}L{x:.1f} {y:.1f}l5 {-6 * direction}")


def _values(points: Sequence[Point], across: Scale, up: Scale) -> Markup:
    """The estimates, written above their intervals where there is room."""
    known = [(point, percent(point.y)) for point in points if point.y is not None and point.high is not None]
    places = [(across.at(point.x), CHARACTER * len(text)) for point, text in known]
    labels = []
    for index in without_collisions(places):
        point, text = known[index]
        labels.append(_text(text, places[index][0], up.at(_clipped(point.high or 0.0)) - 8, "middle strong halo"))
    return joined(labels)


def bars(rows: Sequence[Bar], title: str, description: str) -> Markup:
    """Accuracies from 0 to 100 %, one row each, with the interval as a whisker and the number written out."""
    across = Scale(0.0, 1.0, 2, WIDTH - 8)
    bottom = 50.0 * len(rows) + 4
    parts = [_bars_axis(across, bottom)]
    parts += [_bar(row, across, 50.0 * index) for index, row in enumerate(rows)]
    return _svg(bottom + 26, title, description, *parts)


def _bars_axis(across: Scale, bottom: float) -> Markup:
    parts = []
    for tick in nice_ticks(0.0, 1.0, 4):
        x = across.at(tick)
        place = "start" if tick == 0 else "end" if tick == 1 else "middle"
        parts.append(tag("line", class_="grid", x1=x, x2=x, y1=22, y2=bottom))
        parts.append(_text(percent(tick), x, bottom + 18, f"{place} soft"))
    return joined(parts)


def _bar(row: Bar, across: Scale, top: float) -> Markup:
    y = top + 24
    middle = y + 9
    low, high = across.at(row.low), across.at(row.high)
    told = f"{row.label}: {percent(row.estimate, 1)}, interval {percent(row.low, 1)} to {percent(row.high, 1)}"
    return tag(
        "g",
        tag("title", told),
        _text(row.label, across.start, top + 17, "start halo"),
        _text(f"{percent(row.estimate, 1)}{row.note}", across.end, top + 17, "end strong halo"),
        tag(
            "rect", class_=f"bar {row.kind}", x=across.start, y=y, width=_span(across, 0, row.estimate), height=18, rx=3
        ),
        tag("line", class_="whisker", x1=low, x2=high, y1=middle, y2=middle),
        tag("line", class_="whisker", x1=low, x2=low, y1=middle - 5, y2=middle + 5),
        tag("line", class_="whisker", x1=high, x2=high, y1=middle - 5, y2=middle + 5),
    )


def _text(text: str, x: float, y: float, classes: str) -> Markup:
    return tag("text", text, class_=classes, x=float(x), y=float(y))


def _inside(x: float, text: str) -> float:
    """`x`, moved so that `text` centred on it stays inside the chart."""
    half = CHARACTER * len(text) / 2 + 2
    return max(half, min(WIDTH - half, x))


def _svg(height: float, title: str, description: str, *parts: Markup | None) -> Markup:
    box = f"0 0 {WIDTH:g} {height:g}"
    return tag("svg", tag("title", title), tag("desc", description), *parts, viewBox=box, role="img", class_="chart")
