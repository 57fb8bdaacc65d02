import math
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats.evalues import ville
from spiritsafe.stats.resample import uniforms
from spiritsafe.stats.sequential import Jumper, LateBets, PowerBets

ps = st.lists(st.floats(1e-9, 1.0), max_size=30)
games = pytest.mark.parametrize("game", [PowerBets(), LateBets(), Jumper(), Jumper(jump=0.2)], ids=repr)
STEPS = 4_000


def after(game, some):
    return reduce(lambda state, p: state.bet(p), some, game)


def mean_of_the_next(game) -> float:
    """The mean capital after one more uniform p-value; p = v⁴ flattens the pole at 0."""
    grid = [(i + 0.5) / STEPS for i in range(STEPS)]
    return math.fsum(game.bet(v**4).e_value * 4 * v**3 for v in grid) / STEPS


@games
@pytest.mark.parametrize("past", [[], [0.001, 0.5, 0.9], [0.02] * 12, [0.99] * 5])
def test_the_capital_grows_in_no_mean_whatever_came_before(game, past: list[float]) -> None:
    state = after(game, past)
    grown = mean_of_the_next(state) / state.e_value
    assert 0.9 < grown < 1 + 1e-3


@games
def test_it_starts_at_one_and_reaches_one_over_level_no_more_often_than_level(game) -> None:
    draw, paths, level = uniforms(4).__next__, 400, 0.2
    assert game.e_value == pytest.approx(1.0)
    reached = 0
    for _ in range(paths):
        state = game
        for _ in range(40):
            state = state.bet(1 - draw())
            if state.e_value >= ville(level):
                reached += 1
                break
    # The standard deviation of the share is 0.02.
    assert reached / paths <= level + 0.04


@given(ps, ps, ps)
@settings(max_examples=50)
def test_power_bets_merge_in_any_order_and_split_anywhere_to_the_same_bits(one, two, three) -> None:
    a, b, c = (after(PowerBets(), some) for some in (one, two, three))
    whole = after(PowerBets(), three + one + two)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(b).merge(a) == whole


@given(ps)
@settings(max_examples=20)
def test_a_capital_is_never_negative_never_infinite_and_never_not_a_number(some: list[float]) -> None:
    for game in (PowerBets(), LateBets(), Jumper()):
        state = after(game, [*some, *[1e-9] * 200])
        assert 0 <= state.e_value < math.inf
        assert 0 <= after(game, [*some, *[1.0] * 200]).e_value < math.inf


@given(st.lists(st.floats(0.001, 1), max_size=20), st.floats(0.01, 1.0))
def test_smaller_p_values_never_make_a_smaller_capital(some: list[float], factor: float) -> None:
    smaller = [p * factor for p in some]
    for game in (PowerBets(), LateBets()):
        assert after(game, smaller).log_e >= after(game, some).log_e - 1e-9


def needed(game, ordinary: int, small: float) -> int:
    """How many p-values of a changed account are needed after an ordinary past, for an e-value of 1,000."""
    draw = uniforms(6).__next__
    state = after(game, [1 - draw() for _ in range(ordinary)])
    for count in range(1, 500):
        state = state.bet(small * (1 - draw()))
        if state.e_value >= 1_000:
            return count
    return 500


def test_bets_that_start_late_find_a_late_change_about_as_fast_as_an_early_one() -> None:
    early, late = needed(LateBets(), 0, 0.05), needed(LateBets(), 400, 0.05)
    assert early < 10
    assert late < 25
    assert needed(PowerBets(), 400, 0.05) > 2 * late


def test_the_jumper_also_sees_p_values_that_are_too_large() -> None:
    draw = uniforms(2).__next__
    large = [1 - 0.2 * draw() for _ in range(60)]
    assert after(Jumper(), large).e_value > 1_000
    assert after(PowerBets(), large).e_value < 1


def test_the_state_stays_as_small_as_it_began() -> None:
    state = after(LateBets(), [0.3] * 5_000)
    assert len(state.logs) == len(LateBets().logs)
    assert after(PowerBets(), [0.3] * 5_000).ticks < 2**63


@games
@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(game, p: float) -> None:
    with pytest.raises(InputError, match="wanted a number above 0"):
        game.bet(p)


def test_a_jump_that_is_no_share_is_refused() -> None:
    with pytest.raises(InputError, match="jump"):
        Jumper(jump=0.0).bet(0.5)
