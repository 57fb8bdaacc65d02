"""Links: what accounts have in common, and how surprising it is that so many of them have it.

A value (an anchor of a template, a cell of prompts, a card, an address) is carried by some accounts. Among ordinary
accounts a share q carries it; so of N accounts about N·q do by themselves, whatever they are, and only more than that
says anything. A shared carrier address or a popular client program is expected of many and links nobody; a template
that nobody had last month, and a hundred accounts have today, links all of them.

Templates and cells are read from the finding half of an account's prompts alone, and only from first turns: what comes
up in a conversation is not what a campaign sends.

Source: Chernoff's tail bound, P(X ≥ k) ≤ exp(−(k·ln(k/μ) − k + μ)) for a sum of independent indicators of mean μ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.guard.watch.reading import LINK_KINDS
from spiritsafe.guard.watch.sketches import CELL, FOLLOWS, NO_PROMPT, Sketches
from spiritsafe.text.templates import ANCHORS

Slots = NDArray[np.int64]
Keys = NDArray[np.uint64]
"""Values: the number of their kind times 2³², plus the value."""

KINDS = ("template", "cell", *LINK_KINDS)
TEMPLATE, CELLS, FACTS = 0, 1, 2

FIND, TEST = 0, 1
"""The halves of an account's prompts."""

FEWEST_PROMPTS = 2
LEAST_SHARE = 0.15
"""An account carries a template or a cell if so many, and this share, of its sampled prompts do."""

SURPRISE = 12.0
"""−ln of the chance of so many carriers: one value in 160,000 looks like that by itself."""

LEAST_RATIO = 2.5
"""Carriers over expected carriers: below it too many of them carry it by chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """Who carries what: a pair in each place.

    Attributes:
        places: of accounts, in the array of slots that was asked about.
        keys: values.
        eligible: accounts that have enough sampled prompts to carry anything.
    """

    places: Slots
    keys: Keys
    eligible: int


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """How many ordinary accounts carry each value.

    Attributes:
        keys, counts: of values, rising.
        accounts: ordinary accounts that have enough prompts.
    """

    keys: Keys
    counts: NDArray[np.int64]
    accounts: int

    @classmethod
    def of(cls, carriers: Carriers) -> Popularity:
        """Counted from ordinary accounts."""
        keys, counts = np.unique(carriers.keys, return_counts=True)
        return cls(keys, counts.astype(np.int64), carriers.eligible)

    def rate(self, keys: Keys) -> NDArray[np.float64]:
        """The share of ordinary accounts that carry each value; one never seen counts as seen once."""
        if not len(self.keys):
            return np.full(len(keys), 1.0 / (self.accounts + 1))
        at = np.searchsorted(self.keys, keys).clip(0, len(self.keys) - 1)
        seen = np.where(self.keys[at] == keys, self.counts[at], 0)
        return (seen + 1) / (self.accounts + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Surprising values and their carriers.

    Attributes:
        keys: values.
        carried: by how many accounts.
        ratios: carried over expected.
        places, values: pairs of an account's place and the value's place in `keys`.
    """

    keys: Keys
    carried: NDArray[np.int64]
    ratios: NDArray[np.float64]
    places: Slots
    values: NDArray[np.int64]


def carriers(sketches: Sketches, slots: Slots, halves: tuple[int, ...] = (FIND,)) -> Carriers:
    """What each of some accounts carries, by these halves of its prompts."""
    prompts = np.concatenate([sketches.columns["prompts"][slots, half] for half in halves], axis=1)
    notes = np.concatenate([sketches.columns["notes"][slots, half] for half in halves], axis=1)
    there = prompts != NO_PROMPT
    single = there & (notes[:, :, FOLLOWS] == 0)
    sampled = np.count_nonzero(there, axis=1)
    anchors = _prompt_values(single, notes[:, :, :ANCHORS], sampled, TEMPLATE)
    cells = _prompt_values(single, notes[:, :, CELL : CELL + 1] + 1, sampled, CELLS)
    facts = _facts(sketches.columns["links"][slots])
    places, keys = (np.concatenate(parts) for parts in zip(anchors, cells, facts, strict=True))
    return Carriers(places, keys, int(np.count_nonzero(sampled >= FEWEST_PROMPTS)))


def _prompt_values(
    single: NDArray[np.bool_], values: NDArray[np.uint32], sampled: Slots, kind: int
) -> tuple[Slots, Keys]:
    """(places, keys) of the values that enough of an account's prompts have; a prompt counts once for each value."""
    account, prompt = np.nonzero(single)
    words = values[account, prompt].astype(np.uint64)
    # A prompt's words in order, so that the second of two equal ones is seen beside the first.
    words.sort(axis=1)
    fresh = words != 0
    fresh[:, 1:] &= words[:, 1:] != words[:, :-1]
    owners = np.broadcast_to(account[:, None].astype(np.uint64) << np.uint64(32), words.shape)
    both, counts = np.unique((owners | words)[fresh], return_counts=True)
    places = (both >> np.uint64(32)).astype(np.int64)
    enough = (counts >= FEWEST_PROMPTS) & (counts >= LEAST_SHARE * sampled[places])
    keys = (both & np.uint64(0xFFFFFFFF)) | np.uint64(kind << 32)
    return places[enough], keys[enough]


def _facts(links: NDArray[np.uint32]) -> tuple[Slots, Keys]:
    place, kind, at = np.nonzero(links != NO_PROMPT)
    keys = (kind.astype(np.uint64) + np.uint64(FACTS)) << np.uint64(32) | links[place, kind, at]
    return place.astype(np.int64), keys


def surprising(found: Carriers, ordinary: Popularity) -> Links:
    """The values that far more accounts carry than ordinary ones would."""
    keys, values, carried = np.unique(found.keys, return_inverse=True, return_counts=True)
    expected = np.maximum(found.eligible, 1) * ordinary.rate(keys)
    ratios = carried / expected
    surprise = carried * np.log(np.maximum(ratios, 1.0)) - np.maximum(carried - expected, 0.0)
    kept = (surprise >= SURPRISE) & (ratios >= LEAST_RATIO)
    place_of = np.cumsum(kept) - 1
    mine = kept[values]
    return Links(keys[kept], carried[kept], ratios[kept], found.places[mine], place_of[values[mine]])


def kind_of(key: int) -> str:
    """The word for a value's kind."""
    return KINDS[key >> 32]
