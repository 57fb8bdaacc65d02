"""An aggregator: the campaign's queries go through keys of a reseller, among those of thousands of honest end users."""

from __future__ import annotations

from spiritsafe.drills.acting import Acts
from spiritsafe.drills.attackers.cover import Cover
from spiritsafe.drills.people.reseller import resell
from spiritsafe.drills.world import Life


def _act(life: Life, per_day: float) -> Acts:
    return resell(life, per_day)


AGGREGATOR = Cover("aggregator", "each account is a reseller's key with thousands of honest end users", _act)
