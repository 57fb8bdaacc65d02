"""Links: what accounts have in common, and how surprising it is that so many of them have it.

A value (an anchor of a template, a cell of prompts, a card, an address) is carried by some accounts. Among ordinary
accounts a share q carries it; so of N accounts about N·q do by themselves, whatever they are, and only more than that
says anything. Who asks more shows more, so that for templates N and q are of prompts, not of accounts: else a group
that is merely busy shares every common phrase. A shared carrier address or a popular client program is expected of many
and links nobody; a template that nobody had last month, and a hundred accounts have today, links all of them.

When an account began is a fact too: a pool that takes the place of one that was blocked begins within an hour. There is
nothing ordinary to compare an hour with but the hours before it, so that neither a rush in the morning nor a good week
links anybody; and on the first day of a watch everybody seems to begin.

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

Chances = tuple[int, int, int]
"""How often a template, a cell and a fact could have been carried."""

KINDS = ("template", "cell", *LINK_KINDS, "start")
TEMPLATE, CELLS, FACTS, START = 0, 1, 2, len(KINDS) - 1
CONTENT, FACTUAL = range(FACTS), range(FACTS, len(KINDS))
"""Numbers of the kinds that prompts show, and of those that are facts about an account."""

FIND, TEST = 0, 1
"""The halves of an account's prompts."""

FEWEST_PROMPTS = (1, 2)
LEAST_SHARE = 0.15
"""An account carries a template, or a cell, if so many, and this share, of its sampled prompts do.

One prompt will do for a template: hardly anybody fills in a stranger's by chance, while one question in some cell is
anybody's. Twice as many accounts of a campaign that hides in ordinary traffic are linked by it on their first day.
"""

MOST_CHANCES = int(1 / LEAST_SHARE)
"""Sampled prompts of an account each of which is enough to carry a template; with more it takes two of them."""

SURPRISE = 12.0
"""−ln of the chance of so many carriers: one value in 160,000 looks like that by itself."""

LEAST_RATIO = (7.0, 7.0, 2.5)
"""Carriers over expected ones, of templates, cells and facts: below it too many of them carry it by chance.

A common phrase is shared four times as often as expected by accounts behind each of which many people ask; of what
accounts ask, only what hardly anybody else does is to count.
"""


HOUR_S = 3600
HOURS_BEFORE = ((-12, -3), (-25, -23))
"""An hour expects as many starts as the hours before it had, or those at its time of the day before: the larger mean.

The nearest hours are left out, and those after it: who takes the place of blocked accounts comes within two or three
hours, and some come later.
"""

LEAST_START_RATIO = 7.0
"""Starts over expected ones: a good week begins with several times as many as the days before it had."""

HOURS_UNKNOWN = 24
"""Of a watch's first hours, those whose starts say nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """Who carries what: a pair in each place.

    Attributes:
        places: of accounts, in the array of slots that was asked about.
        keys: values.
        chances: to carry a template (sampled prompts, of an account at most `MOST_CHANCES`), a cell (accounts that have
            enough of them) and a fact (accounts that have any).
    """

    places: Slots
    keys: Keys
    chances: Chances


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """How many ordinary accounts carry each value.

    Attributes:
        keys, counts: of values, rising.
        chances: as in `Carriers`, of ordinary accounts.
    """

    keys: Keys
    counts: NDArray[np.int64]
    chances: Chances

    @classmethod
    def of(cls, carriers: Carriers) -> Popularity:
        """Counted from ordinary accounts."""
        keys, counts = np.unique(carriers.keys, return_counts=True)
        return cls(keys, counts.astype(np.int64), carriers.chances)

    def rate(self, keys: Keys) -> NDArray[np.float64]:
        """The share of ordinary chances at which each value was carried; one never seen counts as seen once."""
        of = _by_kind(self.chances, keys)
        if not len(self.keys):
            return 1.0 / (of + 1)
        at = np.searchsorted(self.keys, keys).clip(0, len(self.keys) - 1)
        seen = np.where(self.keys[at] == keys, self.counts[at], 0)
        share: NDArray[np.float64] = (seen + 1) / (of + 1)
        return share


def _by_kind(numbers: tuple[float, float, float], keys: Keys) -> NDArray[np.float64]:
    """The number for each key, of those for templates, cells and facts."""
    each: NDArray[np.float64] = np.array(numbers)[np.minimum(keys >> np.uint64(32), FACTS).astype(np.int64)]
    return each


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

    @property
    def surprise(self) -> NDArray[np.float64]:
        """−ln of the chance of so many carriers, by Chernoff's bound, of each value."""
        return _surprise(self.carried, self.ratios)

    def of_kinds(self, kinds: range) -> Links:
        """Those of some kinds alone, by their numbers in `KINDS`."""
        kept = np.isin(self.keys >> np.uint64(32), np.array(kinds, dtype=np.uint64))
        return self._kept(kept)

    def _kept(self, kept: NDArray[np.bool_]) -> Links:
        place_of, mine = np.cumsum(kept) - 1, kept[self.values]
        return Links(
            self.keys[kept], self.carried[kept], self.ratios[kept], self.places[mine], place_of[self.values[mine]]
        )


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
    starts = _starts(sketches.columns["first_at"][slots])
    places, keys = (np.concatenate(parts) for parts in zip(anchors, cells, facts, starts, strict=True))
    return Carriers(places, keys, _chances(sampled))


def _chances(sampled: Slots) -> Chances:
    single = int(np.add.reduce(np.minimum(sampled, MOST_CHANCES)))
    return single, int(np.count_nonzero(sampled >= FEWEST_PROMPTS[CELLS])), int(np.count_nonzero(sampled))


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
    enough = (counts >= FEWEST_PROMPTS[kind]) & (counts >= LEAST_SHARE * sampled[places])
    keys = (both & np.uint64(0xFFFFFFFF)) | np.uint64(kind << 32)
    return places[enough], keys[enough]


def _facts(links: NDArray[np.uint32]) -> tuple[Slots, Keys]:
    place, kind, at = np.nonzero(links != NO_PROMPT)
    keys = (kind.astype(np.uint64) + np.uint64(FACTS)) << np.uint64(32) | links[place, kind, at]
    return place.astype(np.int64), keys


def _starts(first_at: NDArray[np.float64]) -> tuple[Slots, Keys]:
    begun = np.nonzero(np.isfinite(first_at))[0]
    hours = np.clip(first_at[begun] // HOUR_S, 0, (1 << 32) - 1).astype(np.uint64)
    return begun, np.uint64(START << 32) | hours


def surprising(found: Carriers, ordinary: Popularity) -> Links:
    """The values that are carried far more often than among ordinary accounts."""
    keys, values, carried = np.unique(found.keys, return_inverse=True, return_counts=True)
    expected = np.maximum(_by_kind(found.chances, keys), 1) * ordinary.rate(keys)
    starts = keys >> np.uint64(32) == START
    expected[starts] = _usual_starts((keys[starts] & np.uint64(0xFFFFFFFF)).astype(np.int64), carried[starts])
    ratios = carried / expected
    least = np.where(starts, LEAST_START_RATIO, _by_kind(LEAST_RATIO, keys))
    kept = (_surprise(carried, ratios) >= SURPRISE) & (ratios >= least)
    return Links(keys, carried, ratios, found.places, values)._kept(kept)


def _usual_starts(hours: NDArray[np.int64], carried: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many accounts would begin in each of some hours, rising, by those before it; endless where unknown."""
    if not len(hours):
        return np.zeros(0)
    usual = 1 + np.maximum.reduce([_mean_between(hours, carried, *reach) for reach in HOURS_BEFORE])
    # Not the very first hour: one clock that is wrong must not make a new watch an old one.
    known_from = hours[np.searchsorted(np.cumsum(carried), np.add.reduce(carried) / 20)] + HOURS_UNKNOWN
    return np.where(hours < known_from, np.inf, usual)


def _mean_between(hours: NDArray[np.int64], carried: NDArray[np.int64], low: int, high: int) -> NDArray[np.float64]:
    """How many began an hour, from `low` to `high` hours after each.

    Hours in which nobody began are not held, so that a clock set to the year 9999 costs no memory.
    """
    until = np.concatenate([[0], np.cumsum(carried)])
    began = until[np.searchsorted(hours, hours + high, "right")] - until[np.searchsorted(hours, hours + low)]
    mean: NDArray[np.float64] = began / (high - low + 1)
    return mean


def _surprise(carried: NDArray[np.int64], ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    more = np.maximum(ratios, 1.0)
    bound: NDArray[np.float64] = carried * (np.log(more) - 1 + 1 / more)
    return bound


def kind_of(key: int) -> str:
    """The word for a value's kind."""
    return KINDS[key >> 32]
