"""Asking for new prompts: every try is a request of its own, and what was paid for is found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.distil.recipes import recipe_asking, teacher_at

from spiritsafe.distil.ask import ask_all, expanded, expanding
from spiritsafe.distil.prompt import make_prompt
from spiritsafe.distil.prompts.method import request_for
from spiritsafe.distil.recipe import Recipe
from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Message
from spiritsafe.models.replies import Asked, Reply, Said, served_in_thread


def recipe_for(base_url: str, **more: Any) -> Recipe:
    return recipe_asking(teacher_at(base_url, system="You are a careful clerk.", samples=2, **more))


def numbered(asked: Asked) -> Said:
    return f"answer {asked.number}"


def test_a_second_try_is_a_new_request_and_both_are_found_again(tmp_path: Path) -> None:
    tries = [request_for("Make it harder.", number) for number in (0, 1)]
    with served_in_thread(numbered) as server, Ledger.open(tmp_path / "ledger") as ledger:
        ask = expanding(recipe_for(server.base_url), ledger)

        first, again = list(ask(tries)), list(ask(tries))

        assert first == again == ["answer 0", "answer 1"]
        assert len(server.asked) == 2
        assert {one.sample for one in ledger.exchanges()} == {0, 1}


def test_a_question_for_new_prompts_is_asked_as_it_is_and_once(tmp_path: Path) -> None:
    request = request_for("Make it harder.", 3)
    with served_in_thread(numbered) as server, Ledger.open(tmp_path / "ledger") as ledger:
        list(expanding(recipe_for(server.base_url), ledger)([request]))

        (asked,) = server.asked

    assert asked.request.messages == request.messages
    assert (asked.request.sampling.temperature, asked.request.sampling.max_tokens) == (0.7, 1024)


def test_what_was_answered_is_known_without_asking(tmp_path: Path) -> None:
    asked, new = request_for("Make it harder.", 0), request_for("Make it harder.", 1)
    with served_in_thread(numbered) as server, Ledger.open(tmp_path / "ledger") as ledger:
        recipe = recipe_for(server.base_url)
        list(expanding(recipe, ledger)([asked]))
        known = expanded(recipe, ledger)

        assert (known(asked), known(new), expanded(recipe, None)(asked)) == ("answer 0", None, None)
        assert len(server.asked) == 1


def test_an_account_without_credit_is_asked_once_and_not_retried(tmp_path: Path) -> None:
    prompts = [make_prompt((Message("user", f"number {number}"),)) for number in range(20)]
    broke = Reply(b'{"error": {"message": "no", "code": "insufficient_quota"}}', status=429)
    with served_in_thread(lambda asked: broke) as server, Ledger.open(tmp_path / "ledger") as ledger:
        recipe = recipe_for(server.base_url, limits={"max_in_flight": 1})

        with pytest.raises(UpstreamError, match="no credit left; top it up"):
            ask_all(prompts, recipe, ledger)

        assert len(server.asked) == 1
