"""Numbers in prose: the last one of an answer, as an exact fraction. Pure.

Understands 1,234.5, $ 3, 12 %, -4, 3/4, 1 1/2, \\frac{3}{4}, 2.5e3, and what follows "####" (the convention of GSM8K,
Cobbe et al. 2021). A per cent sign is a unit like any other: "50%" is 50. Thousands are set off by commas and decimals
by a point; "1.234,5" is not understood.
"""

from __future__ import annotations

import re
from fractions import Fraction

_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w.)\]])[-\u2212]\s?)?[$\u20ac\u00a3\u00a5]?\s?"
    rf"(?:(?:(?P<whole>\d+)\s+)?(?P<over>\d+)\s?/\s?(?P<under>\d+)|(?P<plain>{_PLAIN})(?P<power>[eE][-+]?\d{{1,3}}(?!\d))?)"
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}")
MOST_CHARS = 20_000
"""Characters looked at, from the end: the last number of a longer text is found there or not at all."""


def _value(found: re.Match[str]) -> Fraction | None:
    sign = -1 if found["sign"] else 1
    try:
        if found["plain"]:
            return sign * Fraction(found["plain"].replace(",", "") + (found["power"] or ""))
        return sign * (int(found["whole"] or 0) + Fraction(int(found["over"]), int(found["under"])))
    except (ValueError, ZeroDivisionError):
        # Division by zero, or more digits than Python turns into an integer.
        return None


def last_number(text: str) -> Fraction | None:
    """The last number in `text`, or in what follows its last "####" where that holds one; None if there is none."""
    plain = _LATEX_FRACTION.sub(r" \1/\2", text[-MOST_CHARS:].replace("{,}", ","))
    marked = plain.rpartition("####")[2]
    for part in (marked, plain):
        found = list(_NUMBER.finditer(part))
        if found:
            return _value(found[-1])
    return None


def near(came: Fraction, wanted: Fraction, tolerance: float) -> bool:
    """Whether two numbers differ by at most `tolerance`, taken relative to `wanted` where that exceeds 1."""
    return abs(came - wanted) <= Fraction(tolerance) * max(Fraction(1), abs(wanted))
