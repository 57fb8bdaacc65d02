"""Tests of a community, on prompts that played no part in finding it.

Two questions, because a group of accounts may be unlike chance for two innocent reasons:

- *Are they alike?* The share of an account's testing prompts that show the community's templates and cells, ranked
  among ordinary accounts' shares of the very same, of as many prompts. Answers "no" for unrelated accounts that
  happened to be linked.
- *Do they harvest?* Of the testing prompts about what the community has in common, of each account that has any, the
  share that are first turns, asked once, and asked by no other member, ranked among the same shares of what each
  ordinary account asks most (and again its lower confidence limit; the mean of both e-values). Answers "no" for people
  who belong together (a class on one assignment, a team, a benchmark that many run): these follow up, ask again, and
  ask what the others ask. A campaign divides a query set among its accounts, so nothing is asked twice (the partition
  signature).

The evidence is the smaller of the two e-values: valid where either innocent reason holds. Accounts that are alike and
that all ask like machines (many keys of one product) are not told from a campaign; they share an organisation, and an
operator who names it makes them one customer.

Source: `stats.community` for the pooled e-value; Vovk and Wang 2021 for the minimum over a composite null.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spiritsafe.guard.campaigns.links import TEST, Keys
from spiritsafe.guard.watch.sketches import BINS, CELL, FOLLOWS, NO_PROMPT, Sketches
from spiritsafe.stats.community import pooled_e_value
from spiritsafe.stats.draws import uniforms
from spiritsafe.stats.evalues import average
from spiritsafe.stats.intervals import wilson
from spiritsafe.text.templates import ANCHORS

MOST_ORDINARY = 500
"""Ordinary accounts a community is ranked among; more cost time and add little."""

QUARTERS_AN_HOUR = 4


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """The testing halves of N accounts.

    Attributes:
        prompts_NS, hits_NS, notes_NSK: as in `Sketches`.
    """

    prompts_NS: NDArray[np.uint32]
    hits_NS: NDArray[np.uint32]
    notes_NSK: NDArray[np.uint32]

    @classmethod
    def of(cls, sketches: Sketches, slots: NDArray[np.int64]) -> Prompts:
        """Those of some accounts."""
        own = sketches.columns
        return cls(own["prompts"][slots, TEST], own["hits"][slots, TEST], own["notes"][slots, TEST])

    def __len__(self) -> int:
        return len(self.prompts_NS)

    @property
    def there_NS(self) -> NDArray[np.bool_]:
        """Which places of the samples hold a prompt."""
        there: NDArray[np.bool_] = self.prompts_NS != NO_PROMPT
        return there

    def first(self, most: int) -> Prompts:
        """At most so many of the accounts."""
        return Prompts(self.prompts_NS[:most], self.hits_NS[:most], self.notes_NSK[:most])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests say of a community.

    Attributes:
        e_value: the smaller of the two.
        alike, harvests: the e-values of the two questions.
        share, single: the members' median shares that these are about.
        shared: the share of the members' sampled prompts that another member asked too.
        lockstep_p: p-value of "within each hour, members ask at times that have nothing to do with one another".
    """

    e_value: float
    alike: float
    harvests: float
    share: float
    single: float
    shared: float
    lockstep_p: float


def test(members: Prompts, ordinary: Prompts, signature: Keys, bins_NB: NDArray[np.uint16]) -> Verdict:
    """Test a community.

    Args:
        members: of its accounts, those with testing prompts.
        ordinary: of the reference.
        signature: the templates and cells that it was found by.
        bins_NB: the clocks of its accounts.
    """
    ordinary = ordinary.first(MOST_ORDINARY)
    shares, usual = carried(members, signature), carried(ordinary, signature)
    even = carried(_evened(members, ordinary), signature)
    asked_by = _askers(members)
    mine, theirs = _about(members, signature), _commonest(ordinary)
    # Who has no such prompt harvests nothing that could be seen, and every ordinary account has one.
    has = mine.any(axis=1)
    alone, usually_alone = _single(members, mine, asked_by == 1)[has], _single(ordinary, theirs, True)
    alike = pooled_e_value(usual.tolist(), even.tolist())
    harvests = average(
        [
            pooled_e_value(usually_alone.tolist(), alone.tolist()),
            pooled_e_value(_sure(usually_alone, theirs).tolist(), _sure(alone, mine[has]).tolist()),
        ]
    )
    shared = asked_by[mine] > 1
    return Verdict(
        e_value=min(alike, harvests),
        alike=alike,
        harvests=harvests,
        share=float(np.median(shares)) if len(shares) else 0.0,
        single=float(np.median(alone)) if len(alone) else 0.0,
        shared=float(np.mean(shared)) if len(shared) else 0.0,
        lockstep_p=lockstep_p(bins_NB),
    )


def _evened(members: Prompts, ordinary: Prompts) -> Prompts:
    """The members with no more prompts than ordinary accounts have, the busiest beside the busiest.

    Whoever has more prompts shows a common phrase more often at least once. Samples are in the order of hashes, so the
    first of them are any of them.
    """
    counts, usual = (np.count_nonzero(one.there_NS, axis=1) for one in (members, ordinary))
    places = (np.arange(len(members)) * len(ordinary)) // max(len(members), 1)
    most = np.zeros(len(members), dtype=np.int64)
    if len(ordinary):
        most[np.argsort(-counts, kind="stable")] = np.sort(usual)[::-1][places]
    within = np.arange(members.prompts_NS.shape[1]) < most[:, None]
    return Prompts(np.where(within, members.prompts_NS, NO_PROMPT), members.hits_NS, members.notes_NSK)


def carried(prompts: Prompts, signature: Keys) -> NDArray[np.float64]:
    """The share of each account's testing prompts that are first turns with a template or a cell of `signature`."""
    shows = shown(prompts, signature)
    counts = np.count_nonzero(prompts.there_NS, axis=1)
    share: NDArray[np.float64] = np.count_nonzero(shows, axis=1) / np.maximum(counts, 1)
    return share


def shown(prompts: Prompts, signature: Keys) -> NDArray[np.bool_]:
    """Which of the testing prompts are first turns with a template or a cell of `signature`."""
    first: NDArray[np.bool_] = _about(prompts, signature) & (prompts.notes_NSK[:, :, FOLLOWS] == 0)
    return first


def _about(prompts: Prompts, signature: Keys) -> NDArray[np.bool_]:
    """Which of the testing prompts show a template or a cell of `signature`, whatever came before them."""
    anchors, cells = _words(signature, 0), _words(signature, 1)
    notes = prompts.notes_NSK
    hit = np.isin(notes[:, :, :ANCHORS], anchors).any(axis=2) | np.isin(notes[:, :, CELL] + 1, cells)
    about: NDArray[np.bool_] = hit & prompts.there_NS
    return about


def _commonest(prompts: Prompts) -> NDArray[np.bool_]:
    """Which testing prompts lie in the cell that most of their account's do, of several the first."""
    cells = np.where(prompts.there_NS, prompts.notes_NSK[:, :, CELL].astype(np.int64), -1)
    alike = (cells[:, :, None] == cells[:, None, :]) & prompts.there_NS[:, :, None]
    most = np.argmax(np.count_nonzero(alike, axis=2), axis=1)
    own: NDArray[np.bool_] = (cells == np.take_along_axis(cells, most[:, None], axis=1)) & prompts.there_NS
    return own


def _words(signature: Keys, kind: int) -> NDArray[np.uint32]:
    words: NDArray[np.uint32] = (signature[signature >> np.uint64(32) == kind] & np.uint64(0xFFFFFFFF)).astype(
        np.uint32
    )
    return words


def _askers(members: Prompts) -> NDArray[np.int64]:
    """By how many members each sampled prompt was asked; samples keep the smallest hashes, so shared prompts meet."""
    _, inverse, counts = np.unique(members.prompts_NS, return_inverse=True, return_counts=True)
    return counts[inverse].reshape(members.prompts_NS.shape)


def _single(prompts: Prompts, of: NDArray[np.bool_], alone: NDArray[np.bool_] | bool) -> NDArray[np.float64]:
    """The share of some of each account's testing prompts that are first turns, asked once, and asked `alone`."""
    single = of & (prompts.hits_NS == 1) & (prompts.notes_NSK[:, :, FOLLOWS] == 0) & alone
    share: NDArray[np.float64] = np.count_nonzero(single, axis=1) / np.maximum(np.count_nonzero(of, axis=1), 1)
    return share


def _sure(share: NDArray[np.float64], of: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The lower end of the 95 % interval of each account's share.

    The share itself tells many accounts of few prompts from others; this one few accounts of many prompts.
    """
    counts = np.count_nonzero(of, axis=1).tolist()
    return np.array(
        [wilson(round(own * n), n).low if n else 0.0 for own, n in zip(share.tolist(), counts, strict=True)]
    )


def lockstep_p(bins_NB: NDArray[np.uint16], draws: int = 199, seed: int = 3) -> float:
    """The p-value of lockstep: how often members, each turned within its own hours, meet as much as they did.

    Every account keeps how much it asked in each hour, so that its rate and its rhythm explain nothing; what is moved
    is when within the hour. Phipson and Smyth 2010 for the p-value.
    """
    hours = bins_NB.reshape(len(bins_NB), BINS // QUARTERS_AN_HOUR, QUARTERS_AN_HOUR).astype(np.int64)
    observed = _meetings(hours)
    turns = (uniforms(seed, draws * len(hours)).reshape(draws, -1) * QUARTERS_AN_HOUR).astype(np.int64)
    quarters = np.arange(QUARTERS_AN_HOUR)
    beyond = 1
    for turn in turns:
        places = (quarters[None] + turn[:, None]) % QUARTERS_AN_HOUR
        beyond += _meetings(np.take_along_axis(hours, places[:, None, :], axis=2)) >= observed
    return beyond / (draws + 1)


def _meetings(hours: NDArray[np.int64]) -> int:
    together = np.add.reduce(hours, axis=0)
    return int(np.add.reduce(together * together, axis=None))
