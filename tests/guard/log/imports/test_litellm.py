"""LiteLLM's logs into exchanges."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import json_values

from spiritsafe.errors import InputError
from spiritsafe.exchanges.line import dumps, loads
from spiritsafe.exchanges.record import Message, Timing, Usage
from spiritsafe.guard.log.imports import import_log
from spiritsafe.guard.log.imports.litellm import exchange_in

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "4"}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13},
}

SPEND: dict[str, Any] = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "spend": 0.00042,
    "total_tokens": 13,
    "prompt_tokens": 12,
    "completion_tokens": 1,
    "startTime": "2025-11-24T16:00:00.000Z",
    "endTime": "2025-11-24T16:00:01.500Z",
    "completionStartTime": "2025-11-24T16:00:00.250Z",
    "model": "gpt-4o",
    "model_id": "m1",
    "model_group": "fast",
    "custom_llm_provider": "openai",
    "api_base": "https://api.openai.com",
    "user": "jo",
    "metadata": '{"user_api_key_alias": "jo-laptop", "user_api_key_team_id": "team-1", "status": "success"}',
    "cache_hit": "False",
    "request_tags": '["User-Agent: OpenAI", "User-Agent: OpenAI/Python 2.1"]',
    "team_id": "team-1",
    "organization_id": "acme",
    "end_user": "visitor",
    "requester_ip_address": "192.0.2.7",
    "messages": "{}",
    "response": COMPLETION,
    "session_id": "s1",
    "status": "success",
    "proxy_server_request": orjson.dumps(
        {"model": "fast", "temperature": 0.2, "messages": [{"role": "user", "content": "2 + 2?"}]}
    ).decode(),
}

PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-2",
    "trace_id": "t2",
    "call_type": "acompletion",
    "stream": True,
    "response_cost": 0.002,
    "status": "success",
    "custom_llm_provider": "anthropic",
    "total_tokens": 13,
    "prompt_tokens": 12,
    "completion_tokens": 1,
    "startTime": 1_764_000_000.0,
    "endTime": 1_764_000_002.0,
    "completionStartTime": 1_764_000_000.5,
    "model": "claude-sonnet",
    "model_group": "claude",
    "api_base": "https://api.anthropic.com",
    "metadata": {"user_api_key_hash": "88dc", "user_api_key_user_id": "default_user_id", "user_api_key_team_id": None},
    "requester_ip_address": None,
    "end_user": None,
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "2 + 2?"}],
    "response": COMPLETION,
    "error_str": None,
    "model_parameters": {"temperature": 0.7, "max_tokens": 9, "stream": True, "logprobs": True, "top_logprobs": 5},
    "request_tags": [],
}


def test_a_row_of_the_spend_table_is_an_exchange() -> None:
    exchange = exchange_in(SPEND)

    assert (exchange.id, exchange.at, exchange.account) == ("chatcmpl-1", 1_764_000_000.0, "jo")
    assert exchange.messages == (Message("user", "2 + 2?"),)
    assert exchange.sampling.temperature == 0.2
    assert (exchange.answer, exchange.finish_reason, exchange.usage) == ("4", "stop", Usage(12, 1))
    assert (exchange.timing, exchange.dollars) == (Timing(0.25, 1.5), 0.00042)
    assert (exchange.dialect, exchange.other["surface"], exchange.other["outcome"]) == ("chat", "chat", "completed")
    source = exchange.source
    assert (source.endpoint, source.model, source.version) == ("openai", "fast", "gpt-4o-2024-08-06")
    assert exchange.client == {
        "ip": "192.0.2.7",
        "user_agent": "OpenAI/Python 2.1",
        "org": "acme",
        "user": "jo",
        "team": "team-1",
        "key": SPEND["api_key"],
        "key_alias": "jo-laptop",
        "end_user": "visitor",
    }
    assert exchange.other["record"]["session_id"] == "s1"


def test_a_standard_payload_is_an_exchange() -> None:
    exchange = exchange_in(PAYLOAD)

    assert (exchange.id, exchange.at, exchange.account) == ("chatcmpl-2", 1_764_000_000.0, "88dc")
    assert exchange.messages == (Message("system", "Be kind."), Message("user", "2 + 2?"))
    assert (exchange.sampling.max_tokens, exchange.sampling.top_logprobs) == (9, 5)
    assert (exchange.answer, exchange.usage, exchange.dollars) == ("4", Usage(12, 1), 0.002)
    assert exchange.timing == Timing(0.5, 2.0)
    assert (exchange.source.endpoint, exchange.source.model) == ("anthropic", "claude")
    assert exchange.other["stream"] is True


def test_without_prompts_there_are_the_facts() -> None:
    exchange = exchange_in(SPEND | {"messages": {}, "response": {}, "proxy_server_request": {}})

    assert (exchange.messages, exchange.answer) == ((), "")
    assert (exchange.usage, exchange.dollars) == (Usage(12, 1), 0.00042)


@pytest.mark.parametrize(
    ("fields", "account"),
    [
        ({}, "jo"),
        ({"user": ""}, "team-1"),
        ({"user": "default_user_id"}, "team-1"),
        ({"user": "", "team_id": None, "metadata": {}}, SPEND["api_key"]),
        ({"user": "", "team_id": None, "metadata": {}, "api_key": ""}, ""),
    ],
)
def test_the_account_is_the_user_or_the_team_or_the_key(fields: dict[str, Any], account: str) -> None:
    assert exchange_in(SPEND | fields).account == account


def test_a_key_in_clear_is_hashed() -> None:
    exchange = exchange_in(SPEND | {"user": "", "team_id": None, "metadata": {}, "api_key": "sk-secret"})

    assert exchange.account == sha256(b"sk-secret").hexdigest()
    assert b"sk-secret" not in dumps(exchange)


def test_a_failure_says_what_failed() -> None:
    error = {"error_code": "429", "error_class": "RateLimitError", "error_message": "slow down"}

    exchange = exchange_in(PAYLOAD | {"status": "failure", "response": {}, "error_information": error})

    assert (exchange.finish_reason, exchange.other["outcome"], exchange.other["status"]) == (
        "error",
        "upstream_failed",
        429,
    )
    assert exchange.other["record"]["error"] == "slow down"


@pytest.mark.parametrize(
    ("fields", "messages", "answer"),
    [
        ({"messages": "2 + 2?", "response": "4"}, (Message("user", "2 + 2?"),), "4"),
        (
            {
                "call_type": "anthropic_messages",
                "response": {"type": "message", "content": [{"type": "text", "text": "4"}], "stop_reason": "end_turn"},
            },
            (Message("system", "Be kind."), Message("user", "2 + 2?")),
            "4",
        ),
        (
            {
                "call_type": "aembedding",
                "messages": None,
                "model_parameters": {"input": "2 + 2?"},
                "response": {"object": "list", "data": [{"index": 0, "embedding": [0.5]}]},
            },
            (Message("user", "2 + 2?"),),
            "",
        ),
    ],
)
def test_other_kinds_of_call_are_read_by_their_own_dialect(
    fields: dict[str, Any], messages: tuple[Message, ...], answer: str
) -> None:
    exchange = exchange_in(PAYLOAD | fields)

    assert (exchange.messages, exchange.answer) == (messages, answer)


@pytest.mark.parametrize("row", [{}, {"request_id": "a"}, {"startTime": 1.0}, {"id": "a", "startTime": "soon"}])
def test_a_row_without_id_or_start_is_an_input_error(row: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="wanted a row of LiteLLM's logs"):
        exchange_in(row)


@given(st.dictionaries(st.sampled_from(sorted(SPEND.keys() | PAYLOAD.keys())), json_values(), max_size=6))
def test_whatever_the_fields_hold_the_exchange_can_be_stored(fields: dict[str, Any]) -> None:
    for row in (SPEND, PAYLOAD):
        try:
            exchange = exchange_in({**row, **fields})
        except InputError:
            continue
        assert loads(dumps(exchange)) == exchange


def test_a_file_of_both_is_imported_and_the_bad_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n".join([orjson.dumps(SPEND), b'{"request_id":"x"}', orjson.dumps(PAYLOAD)]))

    report = import_log(tmp_path / "in", "litellm", tmp_path / "out")

    assert report.exchanges == 2
    assert [row.number for row in report.bad] == [2]
