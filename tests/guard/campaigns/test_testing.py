"""Tests of a community: unrelated accounts, a class and a campaign, made of samples by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from spiritsafe.guard.campaigns.links import CELLS
from spiritsafe.guard.campaigns.testing import Prompts, carried, lockstep_p, shown
from spiritsafe.guard.campaigns.testing import test as judged
from spiritsafe.guard.watch.sketches import BINS, CELL, FOLLOWS, NO_PROMPT, NOTES, SAMPLED
from spiritsafe.stats.draws import bits, uniforms

SIGNATURE = np.array([CELLS << 32 | 6], dtype=np.uint64)
"""Prompts of cell 5."""

QUIET = np.zeros((3, BINS), dtype=np.uint16)


def prompts(seed: int, count: int, alike: float, follows: float, again: float, of: int = 0) -> Prompts:
    """Testing halves of accounts.

    Args:
        seed: of the draws.
        count: of accounts.
        alike: the share of their prompts in cell 5.
        follows: the share that goes on with a conversation.
        again: the share asked twice.
        of: how many different prompts there are; 0: each is asked by one account only.
    """
    ids = bits(seed, count * SAMPLED).reshape(count, SAMPLED) >> np.uint64(33)
    if of:
        ids = ids % np.uint64(of)
    kept = [np.unique(own).astype(np.uint32) for own in ids]
    held = np.full((count, SAMPLED), NO_PROMPT, dtype=np.uint32)
    for row, own in zip(held, kept, strict=True):
        row[: len(own)] = own
    draws = uniforms(seed + 1_000, 3 * count * SAMPLED).reshape(3, count, SAMPLED)
    there = held != NO_PROMPT
    notes = np.zeros((count, SAMPLED, NOTES), dtype=np.uint32)
    notes[:, :, CELL] = np.where(draws[0] < alike, 5, 40 + held % 7) * there
    notes[:, :, FOLLOWS] = (draws[1] < follows) & there
    hits = np.where(draws[2] < again, 2, 1).astype(np.uint32) * there
    return Prompts(held, hits, notes)


ORDINARY = prompts(1, 200, alike=0.02, follows=0.4, again=0.1)


def test_unrelated_accounts_are_neither_alike_nor_do_they_harvest() -> None:
    verdicts = [judged(prompts(seed, 12, 0.02, 0.4, 0.1), ORDINARY, SIGNATURE, QUIET) for seed in range(10, 30)]

    # An e-value's mean is 1 at most: 20 draws rarely have a mean beyond 5.
    assert np.mean([one.e_value for one in verdicts]) < 5
    assert np.median([one.alike for one in verdicts]) < 2
    assert np.median([one.harvests for one in verdicts]) < 2


def test_a_class_on_one_assignment_is_alike_and_does_not_harvest() -> None:
    verdict = judged(prompts(2, 30, alike=0.8, follows=0.0, again=0.3, of=30), ORDINARY, SIGNATURE, QUIET)

    assert verdict.alike > 1e6
    assert verdict.harvests < 1
    assert verdict.e_value == verdict.harvests
    assert verdict.shared > 0.9


def test_a_team_that_follows_up_does_not_harvest() -> None:
    verdict = judged(prompts(3, 30, alike=0.8, follows=0.4, again=0.1), ORDINARY, SIGNATURE, QUIET)

    assert verdict.alike > 1e3
    assert verdict.harvests < 20


def test_a_query_set_divided_among_accounts_is_both() -> None:
    verdict = judged(prompts(4, 30, alike=0.8, follows=0.0, again=0.0), ORDINARY, SIGNATURE, QUIET)

    assert verdict.e_value > 1e6
    assert verdict.e_value == min(verdict.alike, verdict.harvests)
    assert verdict.shared < 0.01
    assert verdict.share == pytest.approx(0.8, abs=0.1)
    assert verdict.single == 1.0


def test_members_who_asked_nothing_of_the_kind_take_nothing_away() -> None:
    asking, silent = prompts(4, 30, 0.8, 0.0, 0.0), prompts(8, 60, 0.0, 0.4, 0.1)
    both = Prompts(*(np.concatenate(pair) for pair in zip(parts(asking), parts(silent), strict=True)))

    alone = judged(asking, ORDINARY, SIGNATURE, QUIET)
    assert judged(both, ORDINARY, SIGNATURE, QUIET).harvests == pytest.approx(alone.harvests)


def parts(own: Prompts) -> tuple[NDArray[np.uint32], ...]:
    return own.prompts_NS, own.hits_NS, own.notes_NSK


def test_who_is_merely_busier_is_not_alike() -> None:
    light = prompts(9, 200, alike=0.1, follows=0.4, again=0.1)
    few = Prompts(np.where(np.arange(SAMPLED) < 2, light.prompts_NS, NO_PROMPT), light.hits_NS, light.notes_NSK)
    busy = [judged(prompts(seed, 40, 0.1, 0.4, 0.1), few, SIGNATURE, QUIET).alike for seed in range(30, 40)]

    # Of 24 prompts most show a common phrase at least once, of two hardly any.
    assert np.median(busy) < 2
    assert np.mean(busy) < 20


def test_evidence_grows_with_the_number_of_accounts() -> None:
    found = [judged(prompts(4, count, 0.8, 0.0, 0.0), ORDINARY, SIGNATURE, QUIET).e_value for count in (5, 10, 20, 40)]

    assert found == sorted(found)
    assert found[0] < found[-1] / 1e3


def test_a_signature_that_everybody_shows_tells_nothing() -> None:
    verdict = judged(prompts(4, 20, 0.8, 0.0, 0.0), prompts(6, 200, 0.8, 0.0, 0.1), SIGNATURE, QUIET)

    assert verdict.alike < 20


def test_nobody_and_empty_samples_show_nothing() -> None:
    nobody = prompts(5, 0, 0.5, 0.0, 0.0)
    free = Prompts(
        np.full((8, SAMPLED), NO_PROMPT, dtype=np.uint32),
        np.zeros((8, SAMPLED), dtype=np.uint32),
        np.zeros((8, SAMPLED, NOTES), dtype=np.uint32),
    )

    assert judged(nobody, ORDINARY, SIGNATURE, QUIET[:0]).e_value == 1.0
    assert judged(free, ORDINARY, SIGNATURE, QUIET).e_value < 1.0
    # The cell of a free place is 0, and no prompt's.
    assert not shown(free, np.array([CELLS << 32 | 1], dtype=np.uint64)).any()


def test_only_first_turns_with_a_value_of_the_signature_are_carried() -> None:
    own = prompts(7, 4, alike=0.5, follows=0.5, again=0.0)
    hit = (own.notes_NSK[:, :, CELL] == 5) & (own.notes_NSK[:, :, FOLLOWS] == 0)

    assert carried(own, SIGNATURE).tolist() == pytest.approx((hit.sum(axis=1) / SAMPLED).tolist())
    assert carried(own, np.zeros(0, dtype=np.uint64)).tolist() == [0.0] * 4


def clocks(seed: int, count: int, *, together: bool) -> NDArray[np.uint16]:
    """Clocks of accounts that ask in some hours, at a quarter that all agree on or that each draws for itself."""
    hours, draws = BINS // 4, uniforms(seed, 2 * count * BINS // 4).reshape(2, count, -1)
    quarters = (draws[0] * 4).astype(int)
    if together:
        quarters[:] = quarters[0]
    found = np.zeros((count, BINS), dtype=np.uint16)
    for account in range(count):
        active = np.nonzero(draws[1, account] < 0.4)[0]
        found[account, active * 4 + quarters[account, active]] = 3
    assert hours == draws.shape[2]
    return found


def test_the_p_value_of_lockstep_is_uniform_where_clocks_are_independent() -> None:
    ps = np.array([lockstep_p(clocks(seed, 12, together=False), seed=seed + 500) for seed in range(100)])

    assert 0.4 < ps.mean() < 0.6
    for level in (0.05, 0.1, 0.25, 0.5):
        assert np.mean(ps <= level) < level + 3 * (level * (1 - level) / 100) ** 0.5 + 0.005
        assert np.mean(ps <= level) > level - 3 * (level * (1 - level) / 100) ** 0.5 - 0.005


def test_accounts_that_ask_at_common_times_are_in_lockstep() -> None:
    assert lockstep_p(clocks(1, 12, together=True)) == 1 / 200
    assert lockstep_p(QUIET) == 1.0


def test_asking_much_in_common_hours_alone_is_no_lockstep() -> None:
    steady = np.zeros((10, BINS), dtype=np.uint16)
    steady[:, 36:72] = 5

    assert lockstep_p(steady) == 1.0
