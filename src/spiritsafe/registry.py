"""Name to thing: a visible tuple of built-ins plus one entry-point group a kind.

A folder's `__init__` builds one `Table` from a tuple; other packages add to it by declaring an entry point. Nothing is
found by listing folders, and nothing registers itself by being imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from spiritsafe.errors import InputError, shown


class Named(Protocol):
    """Anything with a stable name."""

    @property
    def name(self) -> str:
        """The word used in recipes, reports and docs."""
        ...


T = TypeVar("T", bound=Named)


class Table(Generic[T]):
    """All things of one kind, by name: the built-ins, then what installed packages add.

    Args:
        kind: what one entry is called in messages, e.g. "curator".
        builtin: the visible tuple.
    """

    def __init__(self, kind: str, builtin: Iterable[T]) -> None:
        self.kind = kind
        self.group = f"spiritsafe.{kind.replace(' ', '_')}s"
        self.builtin: tuple[T, ...] = tuple(builtin)

    def __iter__(self) -> Iterator[T]:
        return iter(self.builtin)

    def names(self) -> list[str]:
        """Every known name, built-ins first."""
        own = [one.name for one in self.builtin]
        return own + [point.name for point in entry_points(group=self.group) if point.name not in own]

    def get(self, name: str) -> T:
        """The thing called `name`.

        Raises:
            InputError: nothing has that name; the message lists the names there are.
        """
        for one in self.builtin:
            if one.name == name:
                return one
        for point in entry_points(group=self.group, name=name):
            loaded: T = point.load()
            return loaded
        raise InputError(f"unknown {self.kind} {shown(name)}; known: {', '.join(self.names())}")
