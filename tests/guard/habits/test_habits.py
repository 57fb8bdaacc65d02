"""Habits: each number grows with its strangeness, accounts of few exchanges have small ones, and reasons are words."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from tests.guard.watch.worlds import AT, DAY_S, WORDS, asked, table

from spiritsafe.exchanges.record import Exchange, Source
from spiritsafe.guard.habits import HABITS
from spiritsafe.guard.habits.base import Ordinary
from spiritsafe.guard.watch.reading import word_hash
from spiritsafe.guard.watch.sketches import SAMPLED, Sketches
from spiritsafe.guard.watch.space import FREQUENCIES
from spiritsafe.stats.draws import uniforms
from spiritsafe.stats.fourier import AMPLITUDE

FULL = 60
"""Exchanges of an account that has been about for a while."""


def wide(number: int) -> str:
    """A question of many kinds."""
    return " ".join(WORDS[int(w)] for w in uniforms(number + 1, 5) * len(WORDS)) + f" {number}?"


def filled(number: int) -> str:
    """One template, filled in."""
    return f"Work out the following step by step, show every line, and box the final result: {number} plus {number + 2}"


Series = Callable[[int, float], list[Exchange]]
"""So many exchanges of one account, strange to a share between 0 and 1."""


def mixed(texts: Callable[[int], str]) -> Series:
    """A share of the questions is of the strange kind."""

    def series(count: int, share: float) -> list[Exchange]:
        return [asked(texts(n) if (n * 7 % 20) / 20 < share else wide(n), at=AT + n * 2_000) for n in range(count)]

    return series


def single(count: int, share: float) -> list[Exchange]:
    """A share of first turns with prompts of their own; the rest goes on or asks again."""
    found = []
    for n in range(count):
        fresh = (n * 7 % 20) / 20 < share
        found.append(asked(wide(n) if fresh or n % 2 else wide(0), at=AT + n * 500, follows=not fresh and n % 2 == 1))
    return found


def hours(count: int, share: float) -> list[Exchange]:
    """Spread over a share of the day's hours."""
    used = max(1, round(24 * share))
    return [asked(wide(n), at=AT + n % used * 3_600 + n // used * DAY_S) for n in range(count)]


def pivoting(count: int, share: float) -> list[Exchange]:
    """A past with one model, then so much with a new one; at 0 without a move."""
    past = [asked(wide(n), at=AT + n * 3_600, source=Source(model="old")) for n in range(20)]
    moved = round(count * share)
    then = [asked(wide(n), at=AT + 3 * DAY_S + n * 60, source=Source(model="new")) for n in range(moved)]
    return past + then


def changing(count: int, share: float) -> list[Exchange]:
    """Half of it on many days about many things, half on the newest day with a share of one template."""
    before = [asked(wide(n), at=AT + n % 5 * DAY_S) for n in range(count // 2)]
    today = mixed(filled)(count - count // 2, share)
    return before + [asked(one.messages[-1].content, at=AT + 9 * DAY_S + n) for n, one in enumerate(today)]


SERIES: dict[str, Series] = {
    "prompt_distance": mixed(filled),
    "narrow": mixed(filled),
    "one_template": mixed(filled),
    "single_shot": single,
    "changed": changing,
    "pivot": pivoting,
    "round_the_clock": hours,
}


@pytest.fixture(scope="module")
def ordinary() -> Ordinary:
    own = table([asked(wide(n), f"p{n % 30}", AT + n) for n in range(600)]).columns
    means = own["sums"][:30] / own["counts"][:30].sum(axis=1)[:, None]
    mean_F = means.mean(axis=0) / (AMPLITUDE * FREQUENCIES**0.5)
    return Ordinary(mean_F, {word_hash("old"): AT - 90 * DAY_S, word_hash("new"): AT + 3 * DAY_S})


def score(name: str, said: Sequence[Exchange], ordinary: Ordinary) -> float:
    return float(HABITS.get(name).scores(table(said), np.array([0]), ordinary)[0])


def test_every_habit_is_tested_here() -> None:
    assert SERIES.keys() == {one.name for one in HABITS}


@pytest.mark.parametrize("name", SERIES)
def test_a_score_grows_with_the_strangeness(name: str, ordinary: Ordinary) -> None:
    found = [score(name, SERIES[name](FULL, share), ordinary) for share in (0.0, 0.5, 1.0)]

    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("name", SERIES)
def test_an_account_of_few_exchanges_has_a_small_score(name: str, ordinary: Ordinary) -> None:
    full = score(name, SERIES[name](FULL, 1.0), ordinary)
    for count in (1, 2, 3, 4):
        assert score(name, SERIES[name](count, 1.0), ordinary) < full / 2


@pytest.mark.parametrize("name", SERIES)
def test_scores_of_accounts_do_not_depend_on_whom_they_are_asked_with(name: str, ordinary: Ordinary) -> None:
    said = [
        asked(one.messages[-1].content, f"a{k}", one.at, source=one.source)
        for k, share in enumerate((0.0, 0.5, 1.0))
        for one in SERIES[name](FULL, share)
    ]
    sketches, habit = table(said), HABITS.get(name)
    together = habit.scores(sketches, np.array([0, 1, 2]), ordinary)

    assert together.shape == (3,)
    for slot in range(3):
        assert habit.scores(sketches, np.array([slot]), ordinary)[0] == pytest.approx(
            together[slot], rel=1e-9, abs=1e-12
        )
    assert habit.scores(sketches, np.array([2, 0]), ordinary) == pytest.approx(together[[2, 0]], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", SERIES)
def test_accounts_without_a_word_have_a_score_that_is_a_number(name: str, ordinary: Ordinary) -> None:
    sketches = table([asked("", "silent", AT + n) for n in range(40)])
    sketches.slots(["new"])
    habit = HABITS.get(name)
    found = habit.scores(sketches, np.array([0, 1]), ordinary)

    assert np.isfinite(found).all()
    assert found[1] == 0.0
    assert habit.scores(Sketches(), np.zeros(0, dtype=np.int64), ordinary).shape == (0,)


@pytest.mark.parametrize("name", SERIES)
def test_a_reason_is_one_line_with_a_number_and_without_a_customers_words(name: str, ordinary: Ordinary) -> None:
    reason = HABITS.get(name).reason(table(SERIES[name](FULL, 1.0)), 0, ordinary)

    assert "\n" not in reason
    assert any(sign.isdigit() for sign in reason)
    assert "step by step" not in reason
    assert not any(word in reason.split() for word in WORDS)


def test_a_move_to_a_model_that_has_long_been_out_is_none(ordinary: Ordinary) -> None:
    long_out = Ordinary(ordinary.mean_F, ordinary.models_at | {word_hash("new"): AT - 30 * DAY_S})

    assert score("pivot", pivoting(FULL, 1.0), ordinary) == pytest.approx(np.log(FULL))
    assert score("pivot", pivoting(FULL, 1.0), long_out) == 0.0


def test_who_goes_on_with_the_old_model_has_not_moved(ordinary: Ordinary) -> None:
    said = [*pivoting(FULL, 1.0), asked("Again?", at=AT + 5 * DAY_S, source=Source(model="old"))]

    assert score("pivot", said, ordinary) == 0.0


def test_an_account_without_a_past_has_not_moved(ordinary: Ordinary) -> None:
    assert score("pivot", pivoting(FULL, 1.0)[20:], ordinary) == 0.0


def test_the_same_question_again_and_again_is_no_template(ordinary: Ordinary) -> None:
    again = [asked(filled(1), at=AT + n) for n in range(FULL)]

    assert score("one_template", again, ordinary) == 0.0
    assert score("single_shot", again, ordinary) < score("single_shot", single(FULL, 1.0), ordinary) / 5


def test_more_fillings_of_a_template_than_fit_a_sample_still_count(ordinary: Ordinary) -> None:
    few, many = (score("one_template", mixed(filled)(count, 1.0), ordinary) for count in (2 * SAMPLED, 20 * SAMPLED))

    assert many > few + 1.5


def test_one_account_that_has_not_changed_is_near_its_own_past(ordinary: Ordinary) -> None:
    assert abs(score("changed", changing(200, 0.0), ordinary)) < 0.05
