"""The campaigns found so far: by what each is known, and which accounts are its.

A community that passes the tests becomes a campaign: its signature is the values that enough of its members carry. From
then on an account belongs to it if it carries enough of the signature, whether it was there when the campaign was found
or comes later, in the place of one that was blocked.

What an account carries counts as ln of carriers over expected ones, the strongest value of each family once, because
two anchors of one template, or a client program's two names, say the same thing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from spiritsafe.guard.campaigns.links import FACTS, KINDS, Keys, Links
from spiritsafe.guard.campaigns.testing import Verdict

LEAST_HELD = 0.1
"""A value is of a campaign's signature if this share of its members carries it."""

LOG_ODDS = 4.0
"""An account is attributed at odds of 55 to 1 that it carries what it does because it belongs.

20 to 1 take two prompts with a phrase that is rare elsewhere, and one honest account in two hundred asks those. Hardly
an account of a campaign has less than 3,000 to 1 by then, but with a small reference nothing tells as much.
"""

_FAMILY = {"ja4": "program", "user_agent": "program", "ip": "network", "asn": "network"}
FAMILIES = tuple(_FAMILY.get(kind, kind) for kind in KINDS)
"""By kind; values of one family tell the same."""

_COLUMN_OF = np.array([sorted(set(FAMILIES)).index(family) for family in FAMILIES])
_CONTENT_COLUMNS = np.unique(_COLUMN_OF[:FACTS])


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


@dataclass(frozen=True, slots=True, eq=False)
class Holders:
    """Accounts that carry something of a signature.

    Attributes:
        places: of the accounts, rising.
        odds: ln of the odds that each belongs.
        asks: whether it carries a template or a cell of the signature, so that not facts alone speak.
    """

    places: NDArray[np.int64]
    odds: NDArray[np.float64]
    asks: NDArray[np.bool_]


def holders(places: NDArray[np.int64], keys: Keys, known: Mapping[int, float]) -> Holders:
    """Who carries what of a signature: of each family the strongest value.

    Args:
        places, keys: pairs of an account's place and a value that it carries.
        known: the signature.
    """
    values = np.array(sorted(known), dtype=np.uint64)
    mine = np.isin(keys, values)
    accounts, rows = np.unique(places[mine], return_inverse=True)
    weights = np.array([known[key] for key in values.tolist()])[np.searchsorted(values, keys[mine])]
    best = np.zeros((len(accounts), _COLUMN_OF.max() + 1))
    np.maximum.at(best, (rows, _COLUMN_OF[(keys[mine] >> np.uint64(32)).astype(np.int64)]), weights)
    asks: NDArray[np.bool_] = np.any(best[:, _CONTENT_COLUMNS] > 0, axis=1)
    return Holders(accounts, np.add.reduce(best, axis=1), asks)
