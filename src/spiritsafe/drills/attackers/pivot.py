"""Pivot: when a new model is released, accounts of the campaign move to it within a day, together."""

from __future__ import annotations

from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.clock import HOUR_S
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.persona import Persona
from spiritsafe.drills.world import World

WITHIN_H = 24.0


class Pivot:
    """Which accounts move, and when."""

    def __init__(self, plan: Plan, world: World, dice: Dice) -> None:
        self._share = plan.pivot
        self._world = world
        self._dice = dice

    def turn(self, who: Persona, account: int, at: float) -> None:
        """Have `who`, the account of that number, ask the model that it asks at `at` unix seconds."""
        world = self._world
        if not self._share or at < world.released_at or who.model == world.new_model:
            return
        own = self._dice.fork("pivot", account)
        if own.chance(self._share) and at >= world.released_at + own.between(0.5, WITHIN_H) * HOUR_S:
            who.model = world.new_model
