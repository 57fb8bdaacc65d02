"""The words for what goes wrong. Standard library only.

Every error is named by the boundary it happened at, and each is also the builtin it replaces:

    SpiritSafeError
    ├── InputError (ValueError)         a file, recipe, row or argument from outside is not what was wanted
    ├── PermissionMissing (PermissionError)   the teacher's terms do not allow it and no permission was given
    ├── UpstreamError (RuntimeError)    a model did not answer, or answered with an error
    ├── StoreError (RuntimeError)       the ledger or another file could not be written or read back
    ├── BudgetError (RuntimeError)      the next request could exceed the budget
    └── MissingExtra (ImportError)      an optional part of the package is not installed

A message is one line and says what came, what was wanted and what to do. It never holds a secret: whatever is shown
of the outside goes through `shown`, and an API key goes into no message at all.
"""

from __future__ import annotations

from functools import partial
from typing import Any


class SpiritSafeError(Exception):
    """Base of every error this package raises on purpose; the command prints it as one line and exits with 2."""


class InputError(SpiritSafeError, ValueError):
    """A file, recipe, row or argument that came from outside is not what was wanted."""


class PermissionMissing(SpiritSafeError, PermissionError):
    """The teacher's terms forbid learning from it, or are unknown, and the recipe gives no permission."""


class UpstreamError(SpiritSafeError, RuntimeError):
    """A model did not answer, or answered with an error.

    Attributes:
        kind: a short stable word for counting: "auth", "quota", "rate_limited", "unreachable", "timeout", "broken_off",
            "server", "refused", "malformed", "unknown_model".
        retryable: whether the same request may succeed later.
        retry_after_s: seconds the upstream asked to wait, where it said so.
        maybe_billed: whether the upstream may have charged for the attempt (it had the request and broke off later).
        status: the HTTP status, where there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        retryable: bool,
        retry_after_s: float | None = None,
        maybe_billed: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.maybe_billed = maybe_billed
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from their positional arguments alone, which would lose all but the message.
        return partial(UpstreamError, **self.facts), (str(self),)

    @property
    def facts(self) -> dict[str, Any]:
        """All but the message, as the arguments of an error that says the same in other words."""
        return {
            "kind": self.kind,
            "retryable": self.retryable,
            "retry_after_s": self.retry_after_s,
            "maybe_billed": self.maybe_billed,
            "status": self.status,
        }


class StoreError(SpiritSafeError, RuntimeError):
    """The ledger or another file could not be written, or what was read back is damaged."""


class BudgetError(SpiritSafeError, RuntimeError):
    """Sending the next request could exceed the budget."""


class MissingExtra(SpiritSafeError, ImportError):
    """An optional part of the package is needed and not installed."""

    @classmethod
    def of(cls, doing: str, extra: str) -> MissingExtra:
        """The error for `doing` something that needs `extra`, naming the command that installs it."""
        return cls(f"{doing} needs the '{extra}' extra: run  pip install 'spiritsafe[{extra}]'")


def shown(value: object, limit: int = 80) -> str:
    """`value` as one quoted line of at most `limit` characters, for use inside a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
