"""Accounts shared out over shards: the alarms are byte for byte those of one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
from tests.guard.watch.worlds import packed, small_world, varied

from spiritsafe.guard.watch.accounts import Crowd
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.shards import Answer, Ask, Shard, Shards, shard_of
from spiritsafe.guard.watch.watch import Levels, Watch

LEVELS = Levels(request=0.1, account=0.1)
"""So high that single accounts raise alarms too."""


def at_once(shard: Shard) -> Ask:
    """A shard that works as soon as it is asked."""

    def ask(lines: bytes, models_at: Mapping[int, float]) -> Answer:
        report = shard.epoch(lines, models_at)
        return lambda: report

    return ask


def when_waited_for(shard: Shard) -> Ask:
    """A shard that works no sooner than its answer is wanted."""
    return lambda lines, models_at: partial(shard.epoch, lines, models_at)


def lines(reference: Reference, crowd: Crowd | None) -> bytes:
    return b"".join(one.line() for one in Watch(reference, LEVELS, crowd).take(small_world().watched))


@pytest.fixture(scope="module")
def alone() -> bytes:
    return lines(small_world().reference, None)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_raise_the_alarms_of_one_process(count: int, alone: bytes) -> None:
    reference = small_world().reference
    shards = [Shard(reference) for _ in range(count)]
    crowd = Shards(reference, [at_once(shard) for shard in shards])

    assert alone.count(b'"scope":"account"') >= 1
    assert alone.count(b'"scope":"campaign"') >= 1
    assert lines(reference, crowd) == alone
    assert crowd.cpu_elsewhere_s > 0


@pytest.mark.parametrize("ahead", [0, 1, 50])
def test_how_far_shards_are_ahead_changes_no_alarm(ahead: int, alone: bytes) -> None:
    reference = small_world().reference
    for way in (at_once, when_waited_for):
        asks = [way(Shard(reference)) for _ in range(2)]
        assert lines(reference, Shards(reference, asks, ahead)) == alone


@pytest.mark.parametrize("count", [1, 3])
def test_all_that_is_known_of_accounts_is_that_of_one_process(count: int) -> None:
    reference = small_world().reference
    said = sorted((varied(n, f"a{n * n % 7}", days=0.2) for n in range(300)), key=lambda one: one.at)
    alone, crowd = reference.accounts(), Shards(reference, [at_once(Shard(reference)) for _ in range(count)])
    for (_, seen), (_, expected) in zip(crowd.epochs(epochs(said)), alone.epochs(epochs(said)), strict=True):
        assert (seen.at, seen.exchanges, seen.signs) == (expected.at, expected.exchanges, expected.signs)
        assert seen.touched.tolist() == expected.touched.tolist()
        assert seen.due.tolist() == expected.due.tolist()
        assert crowd.models_at == alone.models_at
        assert crowd.sketches.names == alone.sketches.names
        assert packed(crowd.sketches) == packed(alone.sketches)
        assert np.array_equal(crowd.maxima, alone.maxima)
        assert [(one.segment, one.newest) for one in crowd.known] == [(one.segment, one.newest) for one in alone.known]
    assert alone.maxima.any()
    assert len(alone.models_at) > len(reference.models_at)


def test_every_shard_has_its_share_of_the_accounts() -> None:
    shares = Counter(shard_of(f"account {number}", 4) for number in range(4_000))

    assert sorted(shares) == [0, 1, 2, 3]
    assert all(850 < share < 1_150 for share in shares.values())
