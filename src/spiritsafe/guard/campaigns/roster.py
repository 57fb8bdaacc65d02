"""The campaigns found so far: by what each is known, and which accounts are its.

A community that passes the tests becomes a campaign: its signature is the values that enough of its members carry. From
then on an account belongs to it if it carries enough of the signature, whether it was there when the campaign was found
or comes later, in the place of one that was blocked.

What an account carries counts as ln of carriers over expected ones, the strongest value of each family once, because
two anchors of one template, or a client program's two names, say the same thing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from spiritsafe.guard.campaigns.links import FACTS, KINDS, Keys, Links
from spiritsafe.guard.campaigns.testing import Verdict

LEAST_HELD = 0.1
"""A value is of a campaign's signature if this share of its members carries it."""

LOG_ODDS = 3.0
"""An account is attributed at odds of 20 to 1 that it carries what it does because it belongs."""

_FAMILY = {"ja4": "program", "user_agent": "program", "ip": "network", "asn": "network"}
FAMILIES = tuple(_FAMILY.get(kind, kind) for kind in KINDS)
"""By kind; values of one family tell the same."""

CONTENT = ("template", "cell")


@dataclass(slots=True)
class Campaign:
    """Accounts that act as one.

    Attributes:
        id: "C-" and 10 hex digits of the value that most of its members carried when it was found.
        odds: ln of carriers over expected ones of each value of its signature.
        verdict: of the tests that it passed.
        accounts: names, each with ln of the odds that it belongs.
        found_at: unix seconds of exchange time.
    """

    id: str
    odds: dict[int, float]
    verdict: Verdict
    found_at: float
    accounts: dict[str, float] = field(default_factory=dict)


def content_of(odds: Iterable[int]) -> Keys:
    """The templates and cells among a signature's values."""
    return np.array(sorted(key for key in odds if key >> 32 < FACTS), dtype=np.uint64)


def signature(links: Links, members: NDArray[np.int64]) -> dict[int, float]:
    """The values that enough of a community's members carry, with ln of carriers over expected ones."""
    mine = np.isin(links.places, members)
    held = np.bincount(links.values[mine], minlength=len(links.keys))
    kept = np.nonzero(held >= max(2, LEAST_HELD * len(members)))[0]
    return {int(links.keys[one]): float(np.log(links.ratios[one])) for one in kept}


def name_of(links: Links, members: NDArray[np.int64]) -> str:
    """A campaign's id: of the value that most members carry, of several the smallest."""
    held = Counter(links.values[np.isin(links.places, members)].tolist())
    key = min(held, key=lambda one: (-held[one], int(links.keys[one])))
    return f"C-{blake2b(int(links.keys[key]).to_bytes(8, 'little'), digest_size=5).hexdigest()}"


def odds_of(keys: Iterable[int], known: dict[int, float]) -> dict[str, float]:
    """By family, the strongest of a campaign's values among those that an account carries."""
    best: dict[str, float] = {}
    for key in keys:
        if key in known:
            family = FAMILIES[key >> 32]
            best[family] = max(best.get(family, 0.0), known[key])
    return best
