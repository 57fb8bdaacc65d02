"""A score as a table for people; the numbers are those of score.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def score_lines(score: Mapping[str, Any]) -> Iterator[str]:
    """The lines that show `score`, as `Results.score` made it."""
    facts, alarms = score["scenario"], score["alarms"]
    yield f"{facts['name']} (seed {facts['seed']}, {facts['days']:g} days, played {facts['played']})"
    scopes = (f"{alarms[scope]:,} on {scope}s" for scope in ("account", "campaign", "request"))
    yield f"alarms: {', '.join(scopes)}"
    yield from _remarks(alarms)
    yield ""
    yield from _campaigns(score)
    yield ""
    yield from _classes(score["class"])
    if score.get("student"):
        yield ""
        yield from student_lines(score["student"])


def _remarks(alarms: Mapping[str, Any]) -> Iterator[str]:
    if alarms["unknown_accounts"]:
        yield f"{alarms['unknown_accounts']:,} accounts that alarms name are not of this drill, and count nowhere"
    if alarms["void"]:
        void = ", ".join(f"{name} ({count:,} times)" for name, count in alarms["void"].items())
        yield f"could not fire: {void}"
    if alarms["request_by_class"]:
        yield "on requests of: " + ", ".join(f"{kind} {count:,}" for kind, count in alarms["request_by_class"].items())


def _campaigns(score: Mapping[str, Any]) -> Iterator[str]:
    head = (
        "campaign",
        "accounts",
        "caught",
        "precision",
        "own to notice",
        "time",
        "own to catch",
        "answered",
        "till caught",
    )
    rows = [head, *(_campaign(name, row) for name, row in score["campaign"].items())]
    whole, accounts = score["campaigns"], score["accounts"]
    yield from _aligned(rows)
    yield (
        f"{whole['caught']} of {whole['campaigns']} campaigns caught, {whole['noticed']} noticed; "
        f"{accounts['caught']:,} of {accounts['attackers']:,} accounts caught ({_range(accounts['recall'])}), "
        f"precision {_range(accounts['precision'])}"
    )


def _campaign(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{row['accounts']:,}",
        _percent(row["recall"]["share"]),
        _percent(row["precision"] and row["precision"]["share"]),
        _count(row["exchanges_until_noticed"]),
        _duration(row["seconds_until_noticed"]),
        _count(row["exchanges_until_caught"]),
        _percent(row["answered_share"]),
        _percent(row["answered_until_caught_share"]),
    )


def _classes(classes: Mapping[str, Any]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("class", "accounts", "alarmed", "false alarms", "exchanges", "refused")]
    for name, row in classes.items():
        alarms = _range(row["false_alarms"])
        numbers = (f"{row[field]:,}" for field in ("accounts", "alarmed"))
        rows.append((name, *numbers, alarms, f"{row['exchanges']:,}", f"{row['refused']:,}"))
    yield from _aligned(rows)


def student_lines(students: Mapping[str, Any]) -> Iterator[str]:
    """The lines that show what the students of campaigns recovered, by campaign."""
    rows: list[tuple[str, ...]] = [("student of", "queries", "let through", "recovered from these", "from all")]
    for name, row in students.items():
        counts = (f"{row[field]:,}" for field in ("queries", "let_through"))
        first = recovered(row["from_let_through"]) if row["kept_let_through"] else "nothing kept"
        rows.append((name, *counts, first, recovered(row["from_all"])))
    yield from _aligned(rows)


def recovered(found: Mapping[str, Any] | None) -> str:
    """Recovered capability with its interval."""
    if found is None or found["estimate"] is None:
        return "not estimable"
    return f"{found['estimate']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns; the first begins on the left, numbers end on the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _range(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found['share']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
