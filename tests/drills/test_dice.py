from collections import Counter
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import phrase

names = st.lists(st.text(max_size=8) | st.integers(), min_size=1, max_size=3)


@given(names)
def test_the_same_names_give_the_same_draws(keys: list[object]) -> None:
    first, second = Dice.of(*keys), Dice.of(*keys)

    assert [first.below(1000) for _ in range(40)] == [second.below(1000) for _ in range(40)]


def test_draws_are_what_they_have_always_been() -> None:
    dice = Dice.of("pinned", 7)

    assert [dice.below(1000) for _ in range(5)] == [925, 535, 435, 896, 879]
    assert dice.hex(2) == "648c23556d36d9ae"


@given(st.integers(0, 60))
def test_a_fork_does_not_depend_on_what_was_drawn_before(drawn: int) -> None:
    dice = Dice.of("a")
    for _ in range(drawn):
        dice.unit()

    assert dice.fork("b").hex(2) == Dice.of("a").fork("b").hex(2)


def test_forks_of_different_names_have_nothing_in_common() -> None:
    dice = Dice.of("a")

    assert len({dice.fork("member", number).key for number in range(5000)}) == 5000


@pytest.mark.parametrize("shape", [0.02, 0.4, 1.0, 3.0, 20.0])
def test_gamma_has_mean_one_and_the_variance_of_its_shape(shape: float) -> None:
    dice = Dice.of("gamma", shape)
    drawn = [dice.gamma(shape) for _ in range(20_000)]
    deviation = (1 / shape) ** 0.5

    assert fmean(drawn) == pytest.approx(1.0, abs=5 * deviation / 20_000**0.5)
    if shape >= 0.4:
        assert pvariance(drawn) == pytest.approx(1 / shape, rel=0.15)


def test_the_other_distributions_have_their_means() -> None:
    dice = Dice.of("means")
    count = 20_000

    assert fmean(dice.normal() for _ in range(count)) == pytest.approx(0.0, abs=0.04)
    assert fmean(dice.exponential() for _ in range(count)) == pytest.approx(1.0, abs=0.04)
    assert fmean(dice.geometric(2.5) for _ in range(count)) == pytest.approx(2.5, abs=0.12)
    assert fmean(dice.unit() for _ in range(count)) == pytest.approx(0.5, abs=0.012)
    assert fmean(dice.chance(0.3) for _ in range(count)) == pytest.approx(0.3, abs=0.018)
    assert fmean(dice.weighted((0, 1), (3.0, 1.0)) for _ in range(count)) == pytest.approx(0.25, abs=0.018)


def test_picks_are_even_by_chi_square() -> None:
    dice = Dice.of("even")
    counts = Counter(dice.pick(range(10)) for _ in range(10_000))

    # 27.9 is the 0.999 quantile with 9 degrees of freedom
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 27.9


@given(st.lists(st.integers(), max_size=12), st.integers(0, 15))
def test_some_are_different_ones_and_no_more_than_there_are(options: list[int], count: int) -> None:
    chosen = Dice.of("some").some(list(enumerate(options)), count)

    assert len(set(chosen)) == len(chosen) == min(count, len(options))


def test_a_phrase_is_said_with_words_of_its_places_and_its_percent_signs() -> None:
    words = {"a": ("x", "y"), "b": ("1", "2", "3")}
    dice, pattern = Dice.of("say"), phrase("{a} is {b} % of {a}.", words)

    said = {dice.say(pattern) for _ in range(300)}

    assert said == {f"{one} is {two} % of {three}." for one in "xy" for two in "123" for three in "xy"}


def test_words_at_two_places_are_independent() -> None:
    dice, pattern = Dice.of("pairs"), phrase("{a}{a}", {"a": ("0", "1")})
    counts = Counter(dice.say(pattern) for _ in range(8000))

    assert all(abs(counts[pair] - 2000) < 200 for pair in ("00", "01", "10", "11"))
