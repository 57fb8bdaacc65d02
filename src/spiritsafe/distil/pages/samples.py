"""The report's sample answers: teacher, base and student side by side on the same held-out items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spiritsafe.distil.pages.markup import Markup, cut_text, joined, tag
from spiritsafe.distil.pages.parts import bidi, section, table
from spiritsafe.distil.pages.words import count

Report = Mapping[str, Any]

PROMPT_LIMIT = 700
ANSWER_LIMIT = 500
VERDICTS = {True: ("right", "✓ right"), False: ("wrong", "✗ wrong"), None: ("open", "not judged")}


def samples_section(report: Report) -> Markup:
    """How often student and teacher agree in being right, then single items with every answer."""
    counts = report["sample_counts"]
    rows = [
        ["teacher right", count(counts["both_right"]), count(counts["teacher_only"])],
        ["teacher wrong", count(counts["student_only"]), count(counts["both_wrong"])],
    ]
    crossed = table("Held-out items by who was right", ("", "student right", "student wrong"), rows, (1, 2))
    intro = (
        f"{count(len(report['samples']))} of {count(sum(counts.values()))} judged items, chosen to show each of the "
        "four cases below where it occurs, failures included; they are not a fair sample of the whole."
    )
    items = joined(_item(number, one) for number, one in enumerate(report["samples"], 1))
    return section("samples", "Answers side by side", intro, crossed, items, command=report["commands"]["evaluate"])


def _item(number: int, sample: Report) -> Markup:
    asked = tag(
        "div",
        tag("h3", f"Item {number}: what was asked"),
        _said(sample["prompt"], PROMPT_LIMIT),
        *(
            [tag("h3", "Known right answer"), _said(sample["expected"], ANSWER_LIMIT, "pre")]
            if sample["expected"]
            else []
        ),
    )
    answers = tag(
        "div", *(_answer(who, sample["answers"][who]) for who in ("teacher", "base", "student")), class_="answers"
    )
    return tag("article", asked, answers, class_="item")


def _answer(who: str, answer: Report | None) -> Markup:
    if answer is None:
        return tag("div", tag("div", who, tag("span", "no answer", class_="verdict open"), class_="who"))
    kind, verdict = VERDICTS[answer["right"]]
    note = f" ({answer['reason']})" if answer["reason"] else ""
    marks = tag("span", verdict, class_=f"verdict {kind}") + tag("span", bidi(note), _stopped(answer), class_="soft")
    head = tag("div", tag("span", who), tag("span", marks), class_="who")
    return tag("div", head, _said(answer["answer"], ANSWER_LIMIT, "pre"), class_=f"{kind}-answer")


def _stopped(answer: Report) -> str:
    return " cut off at the token limit" if answer["finish_reason"] == "length" else ""


def _said(text: str, limit: int, element: str = "p") -> Markup:
    shown, left = cut_text(text, limit)
    note = tag("span", f" … {count(left)} more characters, whole in answers.jsonl", class_="cutnote") if left else None
    empty = tag("span", "(empty)", class_="cutnote") if not text.strip() else None
    return tag(element, shown, note, empty, class_="said", dir="auto")
