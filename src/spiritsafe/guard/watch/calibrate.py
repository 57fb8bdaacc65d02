"""Calibration: what is ordinary, from a log that is taken as such.

Two passes: one learns the space of prompts from some prompts of each account, the other scores every account over the
whole log, exactly as a watched one is scored.

What was in the log counts as ordinary: a campaign in it hides its likes. Leave out accounts that are known not to be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.campaigns.links import TEST, Popularity, carriers
from spiritsafe.guard.campaigns.testing import Prompts
from spiritsafe.guard.detectors.view import view_of
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.policy import NAMED_ONLY
from spiritsafe.guard.watch.accounts import READERS, Accounts, nothing
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.reference import Ranks, Reference
from spiritsafe.guard.watch.space import FEATURE_UNIT, FREQUENCIES, Space
from spiritsafe.text.distinct import hash_of
from spiritsafe.text.embed import embed

PROMPTS_AN_ACCOUNT = 20
MOST_PROMPTS = 40_000
MOST_TESTED = 2_000
"""Accounts whose testing halves are kept."""


def calibrate(log: Callable[[], Iterable[Exchange]], leave_out: Collection[str] = ()) -> Reference:
    """What is ordinary in a log.

    Args:
        log: gives its exchanges from the start, epochs in the order of time; called twice.
        leave_out: accounts that are not to count as ordinary.

    Raises:
        InputError: there are too few prompts to learn from.
        MissingExtra: WordLlama is not installed.
    """

    def kept() -> Iterable[Exchange]:
        return (one for one in log() if one.account not in leave_out)

    space, mean = _learn(kept())
    accounts = Accounts(space, mean)
    total, first, last = 0, float("inf"), float("-inf")
    for _, exchanges in epochs(kept()):
        touched = accounts.take(exchanges, nothing)
        accounts.look(touched)
        total += len(exchanges)
        first, last = min(first, exchanges[0].at), max(last, exchanges[-1].at)
    return _reference(accounts, mean, total, (last - first) / DAY_S)


def _learn(exchanges: Iterable[Exchange]) -> tuple[Space, NDArray[np.float64]]:
    """The space of prompts, and the mean over accounts of their mean features."""
    prompts: dict[str, list[str]] = {}
    count = 0
    for exchange in exchanges:
        own = prompts.setdefault(exchange.account, [])
        if len(own) < PROMPTS_AN_ACCOUNT and count < MOST_PROMPTS:
            own.append(view_of(exchange).user)
            count += 1
    if not count:
        raise InputError("got a log without exchanges, wanted one of ordinary traffic")
    embedded = embed([prompt for own in prompts.values() for prompt in own])
    told = ~embedded.empty_N
    space = Space.learn(embedded.vectors_ND[told])
    owners = np.repeat(np.arange(len(prompts)), [len(own) for own in prompts.values()])[told]
    sums = np.zeros((len(prompts), 2 * FREQUENCIES), dtype=np.int64)
    np.add.at(sums, owners, space.fourier.features(embedded.vectors_ND[told]))
    counts = np.bincount(owners, minlength=len(prompts))
    means = sums[counts > 0] / counts[counts > 0, None]
    mean: NDArray[np.float64] = np.add.reduce(means, axis=0) / (len(means) * FEATURE_UNIT)
    return space, mean


def _reference(accounts: Accounts, mean: NDArray[np.float64], total: int, days: float) -> Reference:
    sketches, segments = accounts.sketches, np.array([one.segment for one in accounts.known])
    crowd = np.nonzero(~np.isin(segments, NAMED_ONLY))[0]
    # By a hash of the name: which accounts are kept does not depend on who came first.
    by_hash = sorted(crowd.tolist(), key=lambda slot: hash_of(sketches.names[slot]))
    tested = [slot for slot in by_hash if sketches.columns["counts"][slot, TEST]]
    return Reference(
        space=accounts.space,
        days=days,
        exchanges=total,
        segments={str(name): Ranks.of(accounts.maxima[segments == name]) for name in np.unique(segments)},
        popularity=Popularity.of(carriers(sketches, crowd)),
        prompts=Prompts.of(sketches, np.array(tested[:MOST_TESTED], dtype=np.int64)),
        mean_F=mean,
        models_at=accounts.models_at,
        usual={one.name: _together(accounts, number) for number, one in enumerate(READERS)},
    )


def _together(accounts: Accounts, number: int) -> bytes:
    """The sketches of a request detector, of all accounts together."""
    packed: bytes = reduce(lambda both, one: both.merge(one), (one.states[number] for one in accounts.known)).pack()
    return packed
