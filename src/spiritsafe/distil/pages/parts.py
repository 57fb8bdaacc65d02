"""Parts that every section of a page is made of: a section, a table in its scroll box, a list of facts, a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spiritsafe.distil.pages.markup import Child, Markup, tag


def section(name: str, title: str, intro: Child, *parts: Child, command: str | None = None) -> Markup:
    """A titled section; `name` is its anchor, `command` reproduces its numbers."""
    lead = tag("p", intro, class_="intro") if intro else None
    return tag(
        "section", tag("h2", title, id=f"{name}-title"), lead, *parts, again(command), aria_labelledby=f"{name}-title"
    )


def again(command: str | None) -> Markup | None:
    """The line that says how to get these numbers again."""
    return tag("p", "Get these numbers again: ", tag("code", command), class_="again") if command else None


def table(caption: str, heads: Sequence[Child], rows: Iterable[Sequence[Child]], numbers: Iterable[int] = ()) -> Markup:
    """A table in a box of its own that scrolls sideways and can be focused with the keyboard.

    Args:
        caption: what the table shows.
        heads: column heads; the first column holds the row heads.
        rows: cells, as many as heads.
        numbers: which columns are set flush right.
    """
    right = set(numbers)
    head = tag("thead", tag("tr", *(_cell("th", text, i in right, "col") for i, text in enumerate(heads))))
    body = tag("tbody", *(_row(row, right) for row in rows))
    # The caption stands outside the box: inside, it would scroll away with the columns of a wide table.
    box = tag("div", tag("table", head, body), class_="scroll", tabindex=0, role="region", aria_label=caption)
    return tag("figure", tag("figcaption", caption), box, class_="table")


def _row(cells: Sequence[Child], right: set[int]) -> Markup:
    first = _cell("th", cells[0], 0 in right, "row")
    return tag("tr", first, *(_cell("td", cell, i in right, None) for i, cell in enumerate(cells[1:], 1)))


def _cell(name: str, child: Child, is_number: bool, scope: str | None) -> Markup:
    return tag(name, child, class_="number" if is_number else None, scope=scope)


def facts(pairs: Iterable[tuple[str, Child]], class_: str = "plain") -> Markup:
    """A list of terms and what they are."""
    return tag("dl", *(tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs), class_=class_)


def bidi(text: str) -> Markup:
    """Text from outside inside a sentence: its reading direction does not spill over."""
    return tag("bdi", text)
