"""Both ends of a text: what is asked stands at the beginning or the end, and the time for one text is bounded. Pure."""

from __future__ import annotations


def both_ends(text: str, head: int, tail: int, between: str = "\n") -> str:
    """`text`; where it is longer, its first `head` and last `tail` characters with `between` in between."""
    return text if len(text) <= head + tail else f"{text[:head]}{between}{text[-tail:]}"
