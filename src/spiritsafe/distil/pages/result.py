"""The report's result: the headline, the curve over budgets, the accuracies, and what each model takes to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spiritsafe.distil.charts import Bar, Point, bars, curve, gauge
from spiritsafe.distil.pages.markup import Child, Markup, joined, tag
from spiritsafe.distil.pages.parts import again, bidi, facts, section, table
from spiritsafe.distil.pages.words import (
    UNKNOWN,
    compact,
    count,
    dollars,
    percent,
    rate,
    seconds,
    share_with_span,
    signed,
    span,
)

Report = Mapping[str, Any]


def hero(report: Report) -> Markup:
    """The headline number with its interval in words, its gauge, and the run in six facts."""
    left = tag("div", _figure(report["recovered"]), _sentence(report), _gauge(report["recovered"]))
    return tag("div", left, facts(_six_facts(report), "facts"), class_="hero")


def _figure(recovered: Report) -> Markup:
    if recovered["estimate"] is None:
        return tag("p", "not estimable", class_="figure none")
    return tag("p", percent(recovered["estimate"]), class_="figure")


def _sentence(report: Report) -> Markup:
    found = report["recovered"]
    items = f"{count(found['items'])} held-out items"
    if found["estimate"] is None:
        return tag("p", f"Recovered capability cannot be given on {items}: {found['reason']}.", class_="says")
    what = "of the gap between the untrained base and the teacher was recovered by the student."
    spread = f" The {percent(found['confidence'])} interval is {span(found)}, on {items}."
    return tag("p", what, spread, class_="says")


def _gauge(recovered: Report) -> Markup | None:
    if recovered["estimate"] is None:
        return None
    said = f"{percent(recovered['estimate'])} of the way from base to teacher, interval {span(recovered)}"
    return gauge(recovered["estimate"], recovered["low"], recovered["high"], said)


def _six_facts(report: Report) -> list[tuple[str, Child]]:
    student, teacher, base = report["student"], report["teacher"], report["base"]
    return [
        ("Student", _stacked(percent(_of(student)), f"{_right(student)}, {compact(student['parameters'])} weights")),
        ("Teacher", _stacked(percent(_of(teacher)), _right(teacher))),
        ("Untrained base", _stacked(percent(_of(base)), _right(base))),
        ("Exchanges", _stacked(count(report["exchanges"]), "trained on")),
        ("Paid to the teacher", _stacked(dollars(report["dollars"]), report["costs"].get("dollars_note"))),
        ("Time", _stacked(seconds(report["wall_s"]), "all stages together")),
    ]


def _of(model: Report) -> float | None:
    accuracy: float | None = model["accuracy"]["estimate"]
    return accuracy


def _right(model: Report) -> str:
    return f"right ({span(model['accuracy'])})"


def _stacked(figure: str, note: str | None) -> Markup:
    return joined([figure, tag("small", note) if note else None])


def curve_section(report: Report) -> Markup:
    """Recovered capability against exchanges and against dollars, one student a budget."""
    points_ = report["curve"]
    intro = (
        "One student was trained for each budget and asked the same held-out items. Bars are "
        f"{percent(report['recovered']['confidence'])} intervals."
    )
    charts = tag("div", _by_exchanges(points_), _by_dollars(points_, report), class_="pair")
    rows = [
        (
            count(one["exchanges"]),
            share_with_span(one["recovered"], 0) if one["recovered"]["estimate"] is not None else "not estimable",
            share_with_span(one["accuracy"]),
            dollars(one["dollars"]),
        )
        for one in points_
    ]
    heads = ("Exchanges", "Recovered", "Student right", "Dollars")
    listed = table("The curve in numbers, with intervals", heads, rows, (1, 2, 3))
    command = report["commands"]["evaluate"]
    return section("curve", "What each budget recovered", intro, charts, listed, command=command)


def _by_exchanges(rows: Sequence[Report]) -> Markup:
    title = "Recovered capability against exchanges trained on"
    drawn = curve(
        _points(rows, "exchanges"), "exchanges trained on", count, title, _described(rows, "exchanges", count)
    )
    return tag("figure", drawn, tag("figcaption", f"{title}.", _crossed(rows)))


def _by_dollars(rows: Sequence[Report], report: Report) -> Markup:
    title = "Recovered capability against dollars paid to the teacher"
    if any(one["dollars"] is None for one in rows):
        return _no_dollars(f"Against dollars: {report['costs'].get('dollars_note') or 'the price is unknown'}.")
    if any(one["dollars"] == 0 for one in rows):
        return _no_dollars("Against dollars: asking this teacher costs nothing, so there is no curve to draw.")
    drawn = curve(
        _points(rows, "dollars"), "dollars paid to the teacher", dollars, title, _described(rows, "dollars", dollars)
    )
    return tag("figure", drawn, tag("figcaption", f"{title}, those answers that were cut included.", _crossed(rows)))


def _crossed(rows: Sequence[Report]) -> str | None:
    none = [one for one in rows if one["recovered"]["estimate"] is None]
    return " A cross marks a budget whose recovered capability is not estimable." if none else None


def _no_dollars(why: str) -> Markup:
    return tag("div", tag("p", why, class_="notice"))


def _points(rows: Sequence[Report], key: str) -> list[Point]:
    return [Point(r[key], r["recovered"]["estimate"], r["recovered"]["low"], r["recovered"]["high"]) for r in rows]


def _described(rows: Sequence[Report], key: str, write: Any) -> str:
    return "; ".join(f"{write(r[key])}: {percent(r['recovered']['estimate'])} ({span(r['recovered'])})" for r in rows)


def accuracy_section(report: Report) -> Markup:
    """Who is right how often, and how the student's answers relate to the teacher's."""
    student = report["student"]
    rows = [
        _bar("untrained base", report["base"], "base"),
        *(_bar(f"student, {count(s['exchanges'])} exchanges", s, "student") for s in report["students"]),
        _bar("teacher, with its instructions", report["teacher"], "teacher"),
    ]
    told = "; ".join(f"{row.label}: {percent(row.estimate)}" for row in rows)
    chart = tag("figure", bars(rows, "Share of held-out items answered right", told), _caption(report))
    agreement = student["agreement"]
    pairs: list[tuple[str, Child]] = [
        ("Student minus teacher", _difference(student["minus_teacher"])),
        ("Same judgement as the teacher", share_with_span(agreement["judgement"])),
        ("Same answer as the teacher", share_with_span(agreement["answer"])),
        ("Teacher minus base", _difference(report["recovered"]["gap"])),
    ]
    beside = tag("div", facts(pairs), tag("p", _how_judged(report), class_="small soft", style="margin-top:1rem"))
    return section(
        "accuracy",
        "Right answers on held-out items",
        "Every model answered the same items, which were kept out of training.",
        tag("div", chart, beside, class_="pair"),
        command=report["commands"]["evaluate"],
    )


def _bar(label: str, model: Report, kind: str) -> Bar:
    found = model["accuracy"]
    return Bar(label, found["estimate"], found["low"], found["high"], kind, f" ({found['right']} of {found['items']})")


def _caption(report: Report) -> Markup:
    return tag("figcaption", f"Whiskers are {percent(report['recovered']['confidence'])} Wilson intervals.")


def _difference(interval: Report) -> str:
    low, high = (signed(interval[end]) for end in ("low", "high"))
    return f"{signed(interval['estimate'])} points ({low} to {high})"


def _how_judged(report: Report) -> str:
    judged = report["judging"]
    text = f"An answer is right if the recipe's verifier says so ({judged['verifier']})."
    if judged["unjudged"]:
        text += (
            f" {count(judged['unjudged'])} items could not be judged for every model and are left out of every share."
        )
    return text


def running_section(report: Report) -> Markup:
    """What each model takes to run."""
    models = [("teacher", report["teacher"]), ("student", report["student"]), ("untrained base", report["base"])]
    rows = [[label, *(write(one) for _, one in models)] for label, write in _RUNNING]
    notes = [one["dollars_note"] for _, one in models if one.get("dollars_note")]
    note = tag("p", " ".join(dict.fromkeys(notes)), class_="small soft", style="margin-top:.8rem") if notes else None
    listed = table(
        "Counted and timed while answering the held-out items",
        ("", *(_headed(role, one) for role, one in models)),
        rows,
        (1, 2, 3),
    )
    intro = "The student answers without the teacher's instructions and examples; that is most of what makes it cheap."
    return section("running", "What an answer takes", intro, listed, note, again(report["commands"]["evaluate"]))


def _headed(role: str, model: Report) -> Markup:
    return joined([role, tag("small", bidi(model["name"]))])


def _speed(one: Report) -> Child:
    if one["tokens_per_s"] is None:
        return UNKNOWN
    return _stacked(rate(one["tokens_per_s"], "tokens/s"), one["speed_note"])


_RUNNING: tuple[tuple[str, Any], ...] = (
    ("weights", lambda one: compact(one["parameters"])),
    ("prompt tokens an item", lambda one: rate(one["prompt_tokens_per_item"], "")),
    ("answer tokens an item", lambda one: rate(one["output_tokens_per_item"], "")),
    ("speed of answering", _speed),
    ("dollars per million answer tokens", lambda one: dollars(one["dollars_per_million_tokens"])),
    ("answers cut off at the token limit", lambda one: count(one["truncated"])),
)
