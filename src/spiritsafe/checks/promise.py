"""What a broken promise looks like: every check raises this, and says which promise and what was seen instead."""

from __future__ import annotations


class BrokenPromise(AssertionError):
    """An extension does not keep what its protocol promises."""


def promise(holds: bool, what: str, seen: object = None) -> None:
    """Raise unless `holds`.

    Args:
        holds: whether the promise was kept.
        what: the promise, as a sentence.
        seen: what was seen instead.

    Raises:
        BrokenPromise: it was not.
    """
    if not holds:
        raise BrokenPromise(what if seen is None else f"{what}; seen: {seen!r:.300}")
