"""Camouflage: every account also lives the life of an ordinary customer, and that life is most of what it does.

The life is that of the class `ordinary`, by the same code, so that no part of it gives the account away.
"""

from __future__ import annotations

from spiritsafe.drills.acting import Acts
from spiritsafe.drills.attackers.cover import Cover
from spiritsafe.drills.people.ordinary import TURNS, chat
from spiritsafe.drills.world import Life


def _act(life: Life, per_day: float) -> Acts:
    return chat(life, per_day / TURNS)


CAMOUFLAGE = Cover("camouflage", "each account also chats as ordinary people do", _act)
"""Shares of 5, 10, 25 and 50 % are the published test cases (arXiv 2606.05725)."""
