"""A class of customers: the contract that every file in `people/` fulfils."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from spiritsafe.drills.acting import Acts
from spiritsafe.drills.world import Life


@dataclass(frozen=True, slots=True)
class Customers:
    """A class of customers.

    Attributes:
        name: its name in scenarios and in the answer key.
        says: what it is, in one line.
        act: what one of them does for as long as it lives; it stops by itself at the world's end.
        segment: the contract it has where it told the operator what it does.
        declared: share of its accounts that have that contract; the others are "ordinary".
        is_company: whether its accounts are companies rather than private persons.
        group: how many accounts belong together; 1 where each is for itself.
        shares: what a group's accounts have in common, as names of client facts.
        newcomers: share of its accounts that join after the world's start.
    """

    name: str
    says: str
    act: Callable[[Life], Acts]
    segment: str = "ordinary"
    declared: float = 1.0
    is_company: bool = True
    group: int = 1
    shares: frozenset[str] = field(default_factory=frozenset)
    newcomers: float = 0.25
