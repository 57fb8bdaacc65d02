from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import BudgetError, InputError
from spiritsafe.exchanges.entries import nanodollars
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.models.budget import (
    Budget,
    Cost,
    actual_cost,
    most_input_tokens,
    require_price,
    worst_case,
)
from spiritsafe.models.prices import Prices


@st.composite
def _steps(draw: st.DrawFn) -> list[tuple[str, int, float]]:
    verb = st.sampled_from(["reserve", "settle", "keep", "release"])
    return draw(st.lists(st.tuples(verb, st.integers(0, 400), st.floats(0, 1)), max_size=120))


@given(dollars=st.none() | st.floats(1e-9, 1e-6), tokens=st.none() | st.integers(1, 1000), steps=_steps())
def test_spent_and_reserved_are_within_the_budget_at_every_step(
    dollars: float | None, tokens: int | None, steps: list[tuple[str, int, float]]
) -> None:
    budget, out = Budget(dollars, tokens), []
    for verb, amount, share in steps:
        if verb == "reserve":
            cost = Cost(amount, amount // 2)
            if budget.fits(cost):
                budget.reserve(cost)
                out.append(cost)
            else:
                with pytest.raises(BudgetError):
                    budget.reserve(cost)
        elif out:
            cost = out.pop(amount % len(out))
            if verb == "settle":
                budget.settle(cost, Cost(int(cost.nanodollars * share), int(cost.tokens * share)))
            else:
                getattr(budget, verb)(cost)
        total = budget.spent + budget.reserved
        assert dollars is None or total.nanodollars <= dollars * 1e9
        assert tokens is None or total.tokens <= tokens
        assert budget.in_flight == len(out)
        assert budget.reserved == sum(out, Cost())


def test_a_failed_request_that_may_have_been_billed_stays_spent() -> None:
    budget = Budget(dollars=1.0, tokens=None)
    cost = Cost(nanodollars(0.6), 10)
    budget.reserve(cost)
    budget.keep(cost)
    assert budget.spent == cost
    assert not budget.fits(cost)


def test_the_error_says_what_is_spent_what_the_next_could_cost_and_what_to_do() -> None:
    budget = Budget(dollars=1.0, tokens=None, spent=Cost(nanodollars(0.75), 10))
    with pytest.raises(BudgetError) as caught:
        budget.reserve(Cost(nanodollars(0.5), 10))
    assert str(caught.value) == (
        "budget of $1 reached: $0.75 spent, the next request could cost $0.5; "
        "raise budget.dollars and run again: nothing is asked twice"
    )


def test_a_budget_of_tokens_names_tokens() -> None:
    with pytest.raises(BudgetError, match=r"1,000 tokens reached: 900 spent, .* take 200; raise budget.tokens"):
        Budget(dollars=5.0, tokens=1000, spent=Cost(0, 900)).reserve(Cost(1, 200))


@given(st.lists(st.text(max_size=200), max_size=5))
def test_the_input_bound_covers_a_token_a_byte_and_the_frame_of_every_message(texts: list[str]) -> None:
    messages = [Message("user", text) for text in texts]
    floor = sum(len(text.encode()) for text in texts)
    assert most_input_tokens(messages) == floor + 16 * len(texts) + 64


def test_the_worst_case_is_priced_and_never_rounded_down() -> None:
    request = Request((Message("user", "x" * 20),), Sampling(max_tokens=100))
    price = Prices(0.15, 0.6)
    assert worst_case(request, price) == Cost(100 * 150 + 100 * 600, 200)
    assert worst_case(request, None) == Cost(0, 200)
    assert worst_case(request, Prices(1e-7, 0.0)).nanodollars == 1
    assert worst_case(request, price, share=0.5) == Cost(50 * 150 + 50 * 600, 200)


def test_a_request_without_a_bound_on_its_answer_is_refused() -> None:
    with pytest.raises(InputError, match="max_tokens"):
        worst_case(Request((Message("user", "x"),)), None)


def test_what_the_upstream_does_not_say_counts_as_reserved() -> None:
    reserved = Cost(500, 90)
    assert actual_cost(Usage(10, 5), 2e-7, reserved) == Cost(200, 15)
    assert actual_cost(Usage(10, None), None, reserved) == reserved


def test_an_unknown_price_cannot_keep_a_budget_in_dollars() -> None:
    with pytest.raises(InputError, match=r"price of acme/m is unknown: give teacher.prices or budget.tokens"):
        require_price(None, 5.0, "acme/m")
    require_price(None, None, "acme/m")
    require_price(Prices(1, 1), 5.0, "acme/m")
