from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.prompt import make_prompt
from spiritsafe.distil.recipe import Teacher
from spiritsafe.distil.teacher import (
    build_teacher,
    escalated,
    pace_limits,
    requests_for,
    require_permission,
    resolve_terms,
    teacher_messages,
    teacher_prices,
)
from spiritsafe.errors import InputError, PermissionMissing
from spiritsafe.exchanges.record import Message

ASKED = make_prompt((Message("user", "Paris?"),))
OWN = {"endpoint": "mine", "model": "m", "base_url": "http://127.0.0.1:9/v1", "dialect": "chat"}


def _teacher(**fields: Any) -> Teacher:
    return Teacher.model_validate({**OWN, **fields})


def test_a_teacher_whose_terms_forbid_needs_a_permission() -> None:
    forbidden = Teacher(endpoint="openai", model="gpt-6-luna")
    with pytest.raises(PermissionMissing, match=r"terms of openai/gpt-6-luna forbid .* permission = "):
        build_teacher(forbidden, {"OPENAI_API_KEY": "key"})


def test_a_recipe_cannot_say_a_ban_away_but_a_permission_lifts_it_and_both_stay_on_record() -> None:
    said = {"endpoint": "openai", "model": "gpt-6-luna", "terms": {"terms": "permits"}}
    source = resolve_terms(Teacher.model_validate(said))
    assert source.terms == "forbids"
    with pytest.raises(PermissionMissing):
        require_permission(source)
    allowed = resolve_terms(Teacher.model_validate(said | {"permission": "our contract, section 4"}))
    require_permission(allowed)
    assert (allowed.terms, allowed.permission) == ("forbids", "our contract, section 4")


def test_unknown_terms_need_terms_or_a_permission() -> None:
    with pytest.raises(PermissionMissing, match=r"terms of mine/m .* unknown; put terms and licence"):
        require_permission(resolve_terms(_teacher()))
    with pytest.raises(PermissionMissing):
        require_permission(resolve_terms(_teacher(permission="   ")))
    declared = resolve_terms(_teacher(terms={"terms": "open_weights", "licence": "MIT", "as_of": "2026-01-02"}))
    require_permission(declared)
    assert (declared.terms, declared.licence, declared.terms_as_of) == ("open_weights", "MIT", "2026-01-02")


def test_a_recipe_may_be_stricter_than_the_row() -> None:
    stricter = Teacher.model_validate({"endpoint": "deepseek", "model": "x", "terms": {"terms": "unknown"}})
    assert resolve_terms(stricter).terms == "unknown"


def test_weights_of_ones_own_go_by_their_licence() -> None:
    source = resolve_terms(Teacher(endpoint="local", model="HuggingFaceTB/SmolLM2-135M-Instruct"))
    assert (source.terms, source.licence) == ("open_weights", "Apache-2.0")
    assert resolve_terms(Teacher(endpoint="local", model="somebody/finetune")).terms == "unknown"


def test_the_terms_are_on_the_source_of_the_model_that_is_asked() -> None:
    declared = {"terms": "open_weights", "licence": "MIT"}
    model = build_teacher(_teacher(terms=declared, permission="see the wiki"), {})
    assert (model.source.terms, model.source.licence, model.source.permission) == (
        "open_weights",
        "MIT",
        "see the wiki",
    )


def test_an_unknown_endpoint_without_an_address_is_an_input_error() -> None:
    with pytest.raises(InputError, match="unknown endpoint 'nowhere'"):
        resolve_terms(Teacher(endpoint="nowhere", model="m"))


def test_prices_are_the_recipes_else_the_tables_and_unknown_stays_unknown() -> None:
    assert teacher_prices(_teacher()) is None
    priced = teacher_prices(
        _teacher(prices={"input_per_million": 1, "output_per_million": 2, "version": "bill of May"})
    )
    assert priced is not None
    assert (priced.input_per_million, priced.output_per_million, priced.version) == (1, 2, "bill of May")
    assert teacher_prices(Teacher(endpoint="openai", model="gpt-6-luna")) is not None
    free = teacher_prices(Teacher(endpoint="local", model="m"))
    assert free is not None
    assert free.output_per_million == 0


def test_limits_are_the_recipes_else_the_endpoints() -> None:
    assert pace_limits(_teacher()).max_in_flight == 64
    said = pace_limits(_teacher(limits={"max_in_flight": 3, "tokens_per_minute": 1000}))
    assert (said.max_in_flight, said.tokens_per_minute, said.requests_per_minute) == (3, 1000, None)


def test_the_teacher_sees_its_system_prompt_the_examples_and_then_the_prompt() -> None:
    teacher = _teacher(system="Be brief.", shots=[{"user": "Rome?", "assistant": "Italy"}])
    turns = [(m.role, m.content) for m in teacher_messages(teacher, ASKED)]
    assert turns == [("system", "Be brief."), ("user", "Rome?"), ("assistant", "Italy"), ("user", "Paris?")]


def test_a_system_message_of_the_prompt_is_joined_to_the_teachers() -> None:
    prompt = make_prompt((Message("system", "In French."), Message("user", "Paris?")))
    both = [(m.role, m.content) for m in teacher_messages(_teacher(system="Be brief."), prompt)]
    assert both == [("system", "Be brief.\n\nIn French."), ("user", "Paris?")]
    shown = [m.role for m in teacher_messages(_teacher(shots=[{"user": "a", "assistant": "b"}]), prompt)]
    assert shown == ["system", "user", "assistant", "user"]


def test_a_bare_prompt_is_passed_on_as_it_is() -> None:
    assert teacher_messages(_teacher(), ASKED) == ASKED.messages


@given(samples=st.integers(1, 6), seed=st.none() | st.integers(0, 1000))
def test_every_sample_is_a_request_of_its_own_with_a_seed_of_its_own(samples: int, seed: int | None) -> None:
    asked = list(requests_for(_teacher(samples=samples, sampling={"seed": seed}), ASKED))
    assert [request.sample for request in asked] == list(range(samples))
    assert [request.sampling.seed for request in asked] == [None if seed is None else seed + i for i in range(samples)]


def test_a_truncated_answer_is_asked_again_with_the_larger_limit() -> None:
    (request,) = requests_for(_teacher(sampling={"max_tokens": 100}), ASKED)
    larger = escalated(_teacher(sampling={"max_tokens": 100}), request)
    assert larger is not None
    assert larger.sampling.max_tokens == 200
    assert escalated(_teacher(sampling={"max_tokens": 100, "escalate_max_tokens": 0}), request) is None
    assert escalated(_teacher(sampling={"max_tokens": 100, "escalate_max_tokens": 80}), request) is None
