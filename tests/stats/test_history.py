import math
from collections import Counter
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.history import History
from spiritsafe.stats.resample import uniforms
from spiritsafe.stats.sequential import LateBets


def ranks(scores, forgets, size: int) -> tuple[int, ...]:
    """The p-values as ranks, 1 for the largest so far."""
    history, found = History(size), []
    for score, forget in zip(scores, forgets, strict=True):
        remembered = len(history.kept) + 1
        p, history = history.see(score, forget)
        found.append(round(p * remembered))
    return tuple(found)


@pytest.mark.parametrize(("size", "steps"), [(1, 4), (2, 5), (3, 5)])
def test_p_values_are_independent_and_uniform_although_most_of_the_past_is_forgotten(size: int, steps: int) -> None:
    # Every order of the scores and every way to forget, all equally likely: a proof by counting.
    forgets = [(i + 0.5) / (size + 1) for i in range(size + 1)]
    ways = [(*[0.0] * size, *draws) for draws in product(forgets, repeat=steps - size)]
    seen = Counter(ranks(order, way, size) for order in permutations(range(steps)) for way in ways)
    possible = math.prod(min(step, size + 1) for step in range(1, steps + 1))
    assert len(seen) == possible
    assert set(seen.values()) == {math.factorial(steps) * len(ways) // possible}


@given(st.lists(st.floats(-5, 5), max_size=40), st.integers(1, 8), st.floats(0, 1, exclude_max=True))
@settings(max_examples=50)
def test_the_memory_never_outgrows_its_size_and_holds_only_what_was_seen(scores, size: int, forget: float) -> None:
    history = History(size)
    for score in scores:
        p, history = history.see(score, forget)
        assert 0 < p <= 1
    assert len(history.kept) == min(size, len(scores))
    assert not Counter(history.kept) - Counter(scores)
    assert list(history.kept) == sorted(history.kept)


def blocks_until_found(shift: float, ordinary: int) -> int:
    draw = uniforms(3).__next__
    history, bets = History(), LateBets()
    for block in range(ordinary + 60):
        score = draw() + (shift if block >= ordinary else 0.0)
        p, history = history.see(score, draw(), 1 - draw())
        bets = bets.bet(p)
        if bets.e_value >= 100:
            return block - ordinary + 1
    return 999


def test_a_change_is_found_against_a_history_of_sixty_blocks() -> None:
    assert 1 <= blocks_until_found(shift=1.0, ordinary=60) <= 12
    assert blocks_until_found(shift=0.0, ordinary=60) == 999


@pytest.mark.parametrize(
    ("size", "score", "forget"), [(63, math.nan, 0.5), (63, 1.0, 1.0), (63, 1.0, -0.1), (0, 1.0, 0.5)]
)
def test_what_is_no_score_or_draw_is_refused(size: int, score: float, forget: float) -> None:
    with pytest.raises(InputError):
        History(size).see(score, forget)
