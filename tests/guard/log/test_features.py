"""One row of facts an exchange, without its text."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.log.logged import AT, REQUEST, whole
from tests.strategies import exchanges, json_values

from spiritsafe.exchanges.record import Exchange, Message, Sampling, Usage
from spiritsafe.guard.log.features import COLUMNS, COUNT, NUMBER, TEXT, TEXTS, TRUTH, features_of
from spiritsafe.guard.log.reading import exchange_of
from spiritsafe.guard.log.records import decode

TYPES = {TEXT: str, COUNT: int, NUMBER: (float, int), TRUTH: bool, TEXTS: list}


def facts_of(exchange: Exchange) -> dict[str, Any]:
    return dict(zip((name for name, _ in COLUMNS), features_of(exchange), strict=True))


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def asked(request: dict[str, Any], surface: str = "chat") -> dict[str, Any]:
    """The facts of an exchange with `request`."""
    return facts_of(exchange_of(decode(whole("a1", REQUEST | request, surface=surface))))


def test_every_fact_of_an_exchange_is_in_its_column() -> None:
    facts = facts_of(exchange_of(decode(whole("a1"))))

    assert {name: value for name, value in facts.items() if value is not None} == {
        "id": "a1",
        "at": AT,
        "account": "acme",
        "dialect": "chat",
        "surface": "chat",
        "model": "big-1",
        "version": "big-1-2025",
        "upstream": "main",
        "stream": False,
        "status": 200,
        "outcome": "completed",
        "action": "observe",
        "decision_id": "D-7K3F-92QX",
        "decision_by": "policy",
        "shadow": True,
        "reasons": ["asks a lot"],
        "finish_reason": "stop",
        "input_tokens": 12,
        "output_tokens": 1,
        "dollars": 0.01,
        "first_byte_s": 0.25,
        "last_byte_s": 1.0,
        "messages": 2,
        "parts": 0,
        "prompt_chars": 14,
        "answer_chars": 1,
        "reasoning_chars": 0,
        "system_hash": digest("Be kind."),
        "user_hash": digest("2 + 2?"),
        "prompt_hash": digest('[["system","Be kind.",[]],["user","2 + 2?",[]]]'),
        "temperature": 0.7,
        "logit_bias": False,
        "tools": 0,
        "ip": "192.0.2.1",
        "org": "Acme",
    }


@pytest.mark.parametrize(
    ("request_fields", "surface", "facts"),
    [
        ({"logprobs": True, "top_logprobs": 20}, "chat", {"top_logprobs": 20}),
        ({"n": 4, "max_tokens": 9, "top_p": 0.5}, "chat", {"n": 4, "max_tokens": 9, "top_p": 0.5}),
        ({"logit_bias": {"50256": -100}}, "chat", {"logit_bias": True}),
        ({"tools": [{}, {}, {}]}, "chat", {"tools": 3}),
        ({"functions": [{}]}, "chat", {"tools": 1}),
        ({"response_format": {"type": "json_schema"}}, "chat", {"response_format": "json_schema"}),
        ({"text": {"format": {"type": "json_object"}}}, "chat", {"response_format": "json_object"}),
        ({"output_config": {"format": {"type": "json_schema"}}}, "messages", {"response_format": "json_schema"}),
        ({"system": "Hi.", "tools": [{}]}, "messages", {"tools": 1, "system_hash": digest("Hi.\nBe kind.")}),
        ({"n": "many", "tools": 3, "logit_bias": None, "text": "x"}, "chat", {"n": None, "tools": 0}),
    ],
)
def test_what_was_asked_for_is_told(request_fields: dict[str, Any], surface: str, facts: dict[str, Any]) -> None:
    came = asked(request_fields, surface)

    assert {name: came[name] for name in facts} == facts


def test_client_facts_without_a_column_are_kept_as_json() -> None:
    facts = facts_of(exchange_of(decode(whole("a1", client={"asn": 64496, "ja4": "t13d", "plan": "pro", "tls": [1]}))))

    assert (facts["asn"], facts["ja4"], facts["ip"]) == ("64496", "t13d", None)
    assert facts["client_other"] == '{"plan":"pro","tls":[1]}'


def test_the_hash_of_a_prompt_tells_roles_turns_and_parts_apart() -> None:
    turns = [
        (Message("user", "ab"),),
        (Message("user", "a"), Message("user", "b")),
        (Message("assistant", "ab"),),
        (Message("user", "ab", ({"type": "image_url"},)),),
    ]

    hashes = {facts_of(Exchange("a", AT, "chat", messages))["prompt_hash"] for messages in turns}

    assert len(hashes) == len(turns)
    assert facts_of(Exchange("a", AT, "chat", turns[0], answer="other"))["prompt_hash"] in hashes


def test_the_last_thing_the_user_said_and_all_that_the_system_said_are_hashed() -> None:
    messages = (Message("system", "Be kind."), Message("user", "2 + 2?"), Message("assistant", "4"))

    facts = facts_of(Exchange("a", AT, "chat", messages))
    again = facts_of(Exchange("b", AT, "chat", (*messages, Message("user", "3 + 3?"))))

    assert facts["system_hash"] == again["system_hash"] == digest("Be kind.")
    assert (facts["user_hash"], again["user_hash"]) == (digest("2 + 2?"), digest("3 + 3?"))


def test_what_is_nested_too_deeply_to_be_written_has_a_hash_too() -> None:
    deep: Any = {}
    for _ in range(600):
        deep = {"x": deep}
    exchange = Exchange("a", AT, "chat", (Message("user", "hi", (deep,)),), client={"plan": deep, "ip": deep})

    facts = facts_of(exchange)

    assert len(facts["prompt_hash"]) == 16
    assert (facts["client_other"], facts["ip"]) == (None, None)


def test_numbers_beyond_64_bits_are_left_out() -> None:
    exchange = Exchange("a", AT, "chat", (), Sampling(max_tokens=2**63), usage=Usage(2**63 - 1, 2**64))

    facts = facts_of(exchange)

    assert (facts["max_tokens"], facts["input_tokens"], facts["output_tokens"]) == (None, 2**63 - 1, None)


@settings(max_examples=40)
@given(exchanges(), st.dictionaries(st.sampled_from(["decision", "refusal", "status", "stream"]), json_values()))
def test_every_exchange_has_a_row_of_the_right_types(exchange: Exchange, other: dict[str, Any]) -> None:
    row = facts_of(exchange_of({"k": "whole", "id": exchange.id, "at": exchange.at, **other}))
    for facts in (row, facts_of(exchange)):
        for name, kind in COLUMNS:
            value = facts[name]
            assert value is None or isinstance(value, TYPES[kind]), name  # type: ignore[arg-type]
            assert not isinstance(value, bool) or kind == TRUTH
