"""The check page: findings, and rows with what is supervised in colour; and the same rows for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, Protocol

from spiritsafe.distil.pages.markup import Markup, joined, tag, visible
from spiritsafe.distil.pages.parts import bidi, section, table
from spiritsafe.distil.pages.report import POLICY

Kind = Literal["prompt", "answer", "stop"]

STYLE = """
.row {
  white-space: pre-wrap; overflow-wrap: anywhere; background: var(--wash); padding: .9rem 1rem; margin: .6rem 0 1.6rem;
  font: .86em/1.9 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
.row span { border-radius: 3px; }
.row .prompt { color: var(--soft); }
.row .answer { background: var(--good-wash); color: var(--good); border-bottom: 2px solid currentColor; }
.row .answer:nth-of-type(even) { border-bottom-style: dotted; }
.row .stop { white-space: nowrap; background: var(--brass-wash); color: var(--brass); border: 1px solid currentColor;
font-weight: 600; }
"""

ANSI: dict[Kind, str] = {"prompt": "\x1b[2m", "answer": "\x1b[32;4m", "stop": "\x1b[30;43m"}
RESET = "\x1b[0m"


class Finds(Protocol):
    """What the page needs of a finding; see `findings.Finding`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def found(self) -> str: ...  # noqa: D102
    @property
    def wanted(self) -> str: ...  # noqa: D102
    @property
    def passed(self) -> bool | None: ...  # noqa: D102
    @property
    def advice(self) -> str: ...  # noqa: D102


class Decodes(Protocol):
    """What reading ids needs of a chat template."""

    @property
    def stop_id(self) -> int: ...  # noqa: D102
    def decode(self, ids: Iterable[int]) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as pieces of text, each with whether it carries loss.

    Attributes:
        exchange: the exchange's id.
        pieces: (kind, text): the prompt in one piece, the answer token by token, the stop token.
        tokens, supervised: how many ids there are and how many carry loss.
        truncated: whether the row is too long and left out.
    """

    exchange: str
    pieces: tuple[tuple[Kind, str], ...]
    tokens: int
    supervised: int
    truncated: bool


def shown_row(exchange: str, ids: Sequence[int], start: int, truncated: bool, template: Decodes) -> Shown:
    """The pieces of a row. Tokens that hold parts of one character are shown together, so that it can be read."""
    pieces: list[tuple[Kind, str]] = [("prompt", template.decode(ids[:start]))]
    waiting: list[int] = []
    for place, one in enumerate(ids[start:], start):
        if place == len(ids) - 1 and one == template.stop_id:
            pieces += [("answer", template.decode(waiting))] if waiting else []
            pieces.append(("stop", template.decode([one])))
            waiting = []
            continue
        waiting.append(one)
        text = template.decode(waiting)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            pieces.append(("answer", text))
            waiting = []
    pieces += [("answer", template.decode(waiting))] if waiting else []
    return Shown(exchange, tuple(pieces), len(ids), len(ids) - start, truncated)


def ansi(row: Shown) -> str:
    """The row for a terminal: the prompt dim, the answer green and underlined, the stop token on yellow.

    Control characters in it are written out, so that no answer can steer the terminal.
    """
    return "".join(f"{ANSI[kind]}{visible(text)}{RESET}" for kind, text in row.pieces)


def check_page(name: str, findings: Sequence[Finds], rows: Sequence[Shown]) -> str:
    """`check.html`: one file that opens offline and loads nothing."""
    style = files("spiritsafe.distil.pages").joinpath("report.css").read_text(encoding="utf-8") + STYLE
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Markup(POLICY)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{name}: checks before training"),
        tag("style", Markup(style)),
    )
    failed = sum(one.passed is False for one in findings)
    warned = sum(one.passed is None and bool(one.advice) for one in findings)
    lede = f"All checks passed, {warned} with a warning." if warned else "All checks passed."
    if failed:
        lede = f"{failed} of {len(findings)} checks failed; training was not started."
    top = tag(
        "header",
        tag("p", "Spirit Safe check", class_="eyebrow"),
        tag("h1", bidi(name)),
        tag("p", lede, class_="lede"),
        class_="top",
    )
    main = tag("main", _rows(rows), _findings(findings))
    return "<!doctype html>\n" + tag("html", head, tag("body", top, main), lang="en") + "\n"


def _rows(rows: Sequence[Shown]) -> Markup:
    legend = tag(
        "p",
        tag("span", "prompt: no loss", class_="prompt"),
        " ",
        tag("span", "answer: supervised, a token an underline", class_="answer"),
        " ",
        tag("span", "stop token: supervised", class_="stop"),
        class_="row",
    )
    intro = "The shortest, the middle and the longest row as the student will read them."
    return section("rows", "What is supervised", intro, legend, *(_row(row) for row in rows))


def _row(row: Shown) -> Markup:
    note = ", too long, left out of training" if row.truncated else ""
    said = f"{row.tokens:,} tokens, {row.supervised:,} supervised{note}"
    title = tag("h3", "Exchange ", bidi(row.exchange[:16]), ": ", said)
    spans = joined(tag("span", text, class_=kind) for kind, text in row.pieces)
    return joined([title, tag("div", spans, class_="row", tabindex=0, dir="auto")])


def _findings(findings: Sequence[Finds]) -> Markup:
    lines = [[bidi(one.name), bidi(one.found), bidi(one.wanted), _verdict(one)] for one in findings]
    return section("findings", "What was found", None, table("Findings", ("Check", "Found", "Wanted", "Result"), lines))


def _verdict(one: Finds) -> Markup:
    if one.passed is None:
        return joined([tag("span", "noted", class_="verdict open"), _advice(one)])
    if one.passed:
        return tag("span", "✓ passed", class_="verdict right")
    return joined([tag("span", "✗ failed", class_="verdict wrong"), _advice(one)])


def _advice(one: Finds) -> Markup:
    return tag("small", one.advice) if one.advice else Markup("")
