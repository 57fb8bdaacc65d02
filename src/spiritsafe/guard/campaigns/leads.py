"""Leads: accounts that facts alone hold together. They are worth a look, raise no alarm and accuse nobody.

Whoever passes real users' prompts on asks what honest people ask, so that no test of what is asked can tell; what is
left are cards, addresses and mail domains. But an organisation with many keys, a class behind one address and a
reseller share these as well, and at common hours. Held together by some facts and tested on others, or on the clock,
they pass like a campaign: no e-value that a lead could have would mean anything, and it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiritsafe.guard.campaigns.links import FACTUAL, KINDS, Links
from spiritsafe.guard.campaigns.proposals import proposals


@dataclass(frozen=True, slots=True)
class Shared:
    """What the accounts of a lead have in common, of one kind.

    Attributes:
        kind: one of `KINDS` that is no content.
        values: how many different ones hold the accounts together.
        times_expected: carriers over expected ones, of the most telling of these values.
        surprise: −ln of the chance of so many carriers, of the least likely of these values; a bound from below.
    """

    kind: str
    values: int
    times_expected: float
    surprise: float


@dataclass(frozen=True, slots=True)
class Lead:
    """Accounts held together by facts.

    Attributes:
        accounts: their names, in order.
        shares: by kind, the most surprising first.
    """

    accounts: tuple[str, ...]
    shares: tuple[Shared, ...]

    @property
    def row(self) -> dict[str, Any]:
        """As a summary has it."""
        shares = [
            {
                "kind": one.kind,
                "values": one.values,
                "times_expected": round(one.times_expected, 1),
                "surprise": round(one.surprise, 1),
            }
            for one in self.shares
        ]
        return {"accounts": list(self.accounts), "shares": shares}


def leads(links: Links, names: Sequence[str]) -> list[Lead]:
    """What facts alone hold together, the most surprising first.

    Args:
        links: of the accounts that belong to no campaign.
        names: of these accounts, by their places.

    Raises:
        MissingExtra: igraph is not installed.
    """
    found = [
        Lead(tuple(sorted(names[place] for place in one.places)), _shares(links, one.odds))
        for one in proposals(links, FACTUAL)
    ]
    return sorted(found, key=lambda lead: (-lead.shares[0].surprise, lead.accounts))


def _shares(links: Links, odds: dict[int, float]) -> tuple[Shared, ...]:
    facts = [int(place) for place in np.nonzero(np.isin(links.keys, np.array(sorted(odds), dtype=np.uint64)))[0]]
    by_kind: dict[int, list[int]] = {}
    for place in facts:
        by_kind.setdefault(int(links.keys[place]) >> 32, []).append(place)
    shares = [
        Shared(KINDS[kind], len(own), float(links.ratios[own].max()), float(links.surprise[own].max()))
        for kind, own in by_kind.items()
        if kind in FACTUAL
    ]
    return tuple(sorted(shares, key=lambda one: (-one.surprise, one.kind)))
