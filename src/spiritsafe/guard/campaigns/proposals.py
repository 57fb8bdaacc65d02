"""Proposals: communities, each completed by all accounts that carry enough of what holds it together.

Communities are cut where links are densest, which parts a campaign by its cards and mail domains, or by which of a
template's anchors an account happened to show. The parts say the same; so each is grown to all who carry its signature,
and a part that lies within what was proposed already is not proposed again. Every test costs, and a whole campaign
shows more than its parts.

Whether by content or by facts: nothing but the finding half of prompts and client facts is looked at, so tests on the
other half stay tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.guard.campaigns.communities import FEWEST_ACCOUNTS, communities
from spiritsafe.guard.campaigns.links import Links
from spiritsafe.guard.campaigns.roster import holders, signature

LOG_ODDS_TO_JOIN = 3.0
"""A community grows to whoever carries what it shares at odds of 20 to 1: a proposal accuses nobody."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Accounts that may be one campaign.

    Attributes:
        core: places of the accounts that links of the kinds asked for hold together.
        places: of all that carry enough of the signature.
        odds: the signature: values with ln of carriers over expected ones.
    """

    core: NDArray[np.int64]
    places: NDArray[np.int64]
    odds: dict[int, float]


def proposals(links: Links, kinds: range) -> list[Proposal]:
    """What communities by links of some kinds grow to; the largest core first.

    Args:
        links: of all kinds; values of every kind enter the signatures.
        kinds: by their numbers in `KINDS`; communities are of these alone.

    Raises:
        MissingExtra: igraph is not installed.
    """
    found: list[Proposal] = []
    proposed = np.zeros(0, dtype=np.int64)
    for core in communities(links.of_kinds(kinds)):
        odds = signature(links, core)
        held = holders(links.places, links.keys[links.values], odds)
        places = held.places[held.odds >= LOG_ODDS_TO_JOIN]
        if len(places) >= FEWEST_ACCOUNTS and 2 * np.count_nonzero(np.isin(places, proposed)) < len(places):
            found.append(Proposal(core, places, odds))
            proposed = np.union1d(proposed, places)
    return found
