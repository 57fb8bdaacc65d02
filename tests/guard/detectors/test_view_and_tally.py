"""What detectors see of an exchange, and what they count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.detectors.examples import asked, last_sign, score_of
from tests.strategies import exchanges

from spiritsafe.exchanges.record import Exchange, Message
from spiritsafe.guard.detectors.tally import ENOUGH, Counting, Tally
from spiritsafe.guard.detectors.view import HEAD_CHARS, TAIL_CHARS, View, plain_system, plain_user, view_of


def _loud(view: View) -> int | None:
    return 0 if view.user.isupper() else None


LOUD = Counting("loud", "shouting", ("are shouted",), _loud)


def test_a_view_has_the_system_prompts_and_the_last_two_things_the_user_said() -> None:
    turns = [("developer", "D"), ("user", "1"), ("assistant", "x"), ("user", "2"), ("system", "S"), ("user", "3")]
    view = view_of(Exchange("", 0.0, "", tuple(Message(role, text) for role, text in turns)))

    assert (view.system, view.before, view.user) == ("D\nS", "2", "3")


@settings(max_examples=25)
@given(exchanges())
def test_any_exchange_has_a_view(exchange: Exchange) -> None:
    view = view_of(exchange)

    assert view.exchange is exchange
    assert view == view_of(exchange)


def test_what_was_worked_out_is_kept_for_the_view_alone() -> None:
    calls: list[str] = []
    one, other = view_of(asked("one")), view_of(asked("other"))

    found = [view.once("length", lambda seen: calls.append(seen.user) or len(seen.user)) for view in (one, one, other)]

    assert found == [3, 3, 5]
    assert calls == ["one", "other"]


def test_patterns_are_looked_for_in_plain_text_of_bounded_length() -> None:
    view = view_of(asked("  It\u2019s\n\nMe " + "x" * 5_000_000, system="S\u00a0T"))

    assert plain_user(view).startswith("it's me xxx")
    assert len(plain_user(view)) <= HEAD_CHARS + TAIL_CHARS + 1
    assert plain_system(view) == "s t"


def test_the_score_is_a_share_that_counts_for_little_while_it_is_from_few() -> None:
    only, once = [asked("LOUD")] * 60, [asked("quiet")] * 59 + [asked("LOUD")]

    assert score_of(LOUD, only) > 0.9
    assert score_of(LOUD, only[:1]) == pytest.approx(0.2065, abs=1e-3)
    assert score_of(LOUD, once) < 0.01


def test_the_reason_compares_with_what_is_ordinary_once_enough_is_known() -> None:
    quiet, loud = [asked("quiet")], [asked("LOUD")]
    few = last_sign(LOUD, loud, quiet * 3)
    many = last_sign(LOUD, loud, quiet * (ENOUGH - 1) + loud)

    assert few is not None
    assert few.reasons == (
        "of its 1 exchanges 1 are shouted",
        "different prompts of such kinds before this one: about 0",
    )
    assert many is not None
    assert many.reasons[-1] == "of ordinary exchanges in its segment 0.10% are such"


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1]), st.integers(0, 9))))
def test_a_tally_counts_each_kind_and_the_different_prompts_of_any(stream: list[tuple[int | None, int]]) -> None:
    tally = Tally(2)
    for kind, prompt in stream:
        tally.add(kind, prompt)

    assert tally.seen == len(stream)
    assert tally.counts == [sum(kind == place for kind, _ in stream) for place in (0, 1)]
    assert tally.different.distinct() == len({prompt for kind, prompt in stream if kind is not None})
    assert Tally.unpack(tally.pack(), 2).pack() == tally.pack()
