"""Numbers as people read them. An unknown number is said to be unknown; it never reads as zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NARROW = "\N{NARROW NO-BREAK SPACE}"
UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage."""
    if share is None:
        return UNKNOWN
    text = f"{abs(share) * 100:.{digits}f}"
    return f"{MINUS if share < 0 and float(text) else ''}{text}{NARROW}%"


def signed(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    if difference is None:
        return UNKNOWN
    return f"{MINUS if difference < 0 else '+'}{abs(difference) * 100:.1f}"


def count(number: float | None) -> str:
    """A whole number with thousands separated."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def compact(number: float | None) -> str:
    """A large count with its unit: 134.5 M."""
    if number is None:
        return UNKNOWN
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{NARROW}{unit}"
    return f"{number:.3g}"


def dollars(amount: float | None) -> str:
    """Dollars with cents, or with three significant digits below a cent."""
    if amount is None:
        return UNKNOWN
    if amount == 0 or amount >= 0.995:
        return f"${amount:,.2f}"
    return f"${amount:.2g}" if amount < 0.001 else f"${amount:.3f}"


def seconds(amount: float | None) -> str:
    """A duration: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if amount is None:
        return UNKNOWN
    if amount < 9.95:
        return f"{amount:.1f}{NARROW}s"
    whole = round(amount)
    if whole < 60:
        return f"{whole}{NARROW}s"
    if whole < 3600:
        return f"{whole // 60}{NARROW}min {whole % 60}{NARROW}s"
    return f"{whole // 3600}{NARROW}h {whole % 3600 // 60}{NARROW}min"


def rate(amount: float | None, unit: str) -> str:
    """A measured rate with three significant digits."""
    if amount is None:
        return UNKNOWN
    text = f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"
    return f"{text}{NARROW}{unit}"


def span(interval: Mapping[str, Any] | None, digits: int = 0) -> str:
    """The ends of an interval of a share: "71 % to 94 %"."""
    if not interval or interval.get("low") is None:
        return UNKNOWN
    return f"{percent(interval['low'], digits)} to {percent(interval['high'], digits)}"


def share_with_span(interval: Mapping[str, Any] | None, digits: int = 1) -> str:
    """A share with its interval: "62.0 % (55.1 % to 68.4 %)"."""
    if not interval or interval.get("estimate") is None:
        return UNKNOWN
    return f"{percent(interval['estimate'], digits)} ({span(interval, digits)})"
