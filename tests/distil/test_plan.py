"""The plan: every request counted once, what is in the ledger found, the rest estimated from its size."""

from __future__ import annotations

from typing import Any

from tests.distil.recipes import recipe_asking, teacher_at

from spiritsafe.distil.plan import BYTES_A_TOKEN, OUTPUT_SHARE, Plan, plan
from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.prompts.method import request_for
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.teacher import key_for, requests_for, resolve_terms
from spiritsafe.exchanges.record import Exchange, Message, Request, Timing, Usage
from spiritsafe.models.budget import worst_case
from spiritsafe.models.prices import Prices


def recipe_of(**teacher: Any) -> Recipe:
    priced = {"prices": {"input_per_million": 1.0, "output_per_million": 2.0}, "sampling": {"max_tokens": 100}}
    return recipe_asking(teacher_at(**(priced | teacher)))


def prompts(count: int, start: int = 0) -> list[Prompt]:
    return [make_prompt((Message("user", f"number {number:03}"),)) for number in range(start, start + count)]


def planned(recipe: Recipe, known: dict[bytes, Exchange] | None = None, **more: Any) -> Plan:
    found = known or {}
    return plan(recipe, resolve_terms(recipe.teacher), prompts(4), lambda: prompts(2, 100), found.get, **more)


def exchange(request: Request) -> Exchange:
    return Exchange(
        "e", 0.0, "chat", request.messages, usage=Usage(30, 5), timing=Timing(last_byte_s=2.0), answer="yes"
    )


def test_every_sample_of_every_prompt_is_a_request_and_is_estimated_by_its_size() -> None:
    found = planned(recipe_of(samples=2))

    assert (found.prompts, found.held_out, found.expansion) == (4, 2, 0)
    assert (found.requests, found.in_ledger) == (12, 0)
    assert found.input_tokens == 12 * len("number 000") // BYTES_A_TOKEN
    assert found.output_tokens == round(12 * 100 * OUTPUT_SHARE)
    assert found.estimated_from == "size of the text"


def test_what_is_in_the_ledger_is_not_paid_again_and_tells_of_the_rest() -> None:
    recipe = recipe_of()
    known = {
        key_for(recipe.teacher, request): exchange(request)
        for prompt in prompts(2)
        for request in requests_for(recipe.teacher, prompt)
    }

    found = planned(recipe, known)

    assert (found.requests, found.in_ledger) == (6, 2)
    assert (found.input_tokens, found.output_tokens) == (4 * 30, 4 * 5)
    assert found.estimated_from == "earlier exchanges"


def test_what_is_asked_to_have_the_prompts_is_counted_and_paid_as_well() -> None:
    recipe = recipe_of()
    expansion = [request_for("Write eight new prompts.", number) for number in range(3)]
    prices = Prices(1.0, 2.0, "recipe")

    without, found = planned(recipe), planned(recipe, expansion=expansion)

    assert (found.expansion, found.requests) == (3, without.requests + 3)
    assert found.output_tokens == without.output_tokens + round(3 * 1024 * OUTPUT_SHARE)
    assert found.dollars_at_most is not None
    assert without.dollars_at_most is not None
    more = sum(worst_case(request, prices).nanodollars for request in expansion)
    assert round((found.dollars_at_most - without.dollars_at_most) * 1e9) == more


def test_expansion_that_was_paid_for_is_in_the_ledger() -> None:
    recipe = recipe_of()
    asked, new = request_for("Write eight new prompts.", 0), request_for("Write eight new prompts.", 1)

    found = planned(recipe, {key_for(recipe.teacher, asked): exchange(asked)}, expansion=[asked, new])

    assert (found.requests, found.in_ledger) == (8, 1)


def test_an_unknown_price_stays_unknown() -> None:
    found = planned(recipe_of(prices=None))

    assert (found.dollars, found.dollars_at_most) == (None, None)
