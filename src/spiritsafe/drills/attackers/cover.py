"""What a campaign's accounts do besides: the contract that every file of `attackers.COVERS` fulfils."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spiritsafe.drills.acting import Acts
from spiritsafe.drills.world import Life


@dataclass(frozen=True, slots=True)
class Cover:
    """A way of hiding.

    Attributes:
        name: its name in plans.
        says: what it is, in one line.
        act: what an account does besides, so many times a day; None for nothing.
    """

    name: str
    says: str
    act: Callable[[Life, float], Acts] | None


BARE = Cover("none", "nothing but the campaign's own queries", None)
