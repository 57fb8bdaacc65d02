from typing import Any

import orjson
import pytest

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.wire.anthropic import ANTHROPIC, DEFAULT_MAX_TOKENS


def message(content: object, stop_reason: object = "end_turn", **top: Any) -> bytes:
    return orjson.dumps({"type": "message", "content": content, "stop_reason": stop_reason} | top)


def test_system_and_developer_turns_move_to_their_own_field() -> None:
    turns = (Message("system", "Be brief."), Message("user", "Hi"), Message("developer", "In German."))
    body = orjson.loads(ANTHROPIC.render("m", Request(turns, Sampling(0.5, 0.9, 64, stop=("END",))), {}))

    assert body == {
        "model": "m",
        "system": "Be brief.\n\nIn German.",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
    }


def test_a_limit_is_always_sent_since_the_format_demands_one() -> None:
    body = orjson.loads(ANTHROPIC.render("m", Request((Message("user", "Hi"),)), {}))

    assert body["max_tokens"] == DEFAULT_MAX_TOKENS
    assert "system" not in body


@pytest.mark.parametrize(("sampling", "word"), [(Sampling(top_logprobs=5), "log-prob"), (Sampling(seed=1), "seed")])
def test_what_the_format_cannot_do_is_refused_and_not_left_out(sampling: Sampling, word: str) -> None:
    with pytest.raises(InputError, match=word):
        ANTHROPIC.render("m", Request((Message("user", "Hi"),), sampling), {})


def test_the_key_and_the_version_go_into_headers() -> None:
    assert ANTHROPIC.headers("k") == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "k",
    }


def test_thinking_blocks_are_the_reasoning() -> None:
    blocks = [
        {"type": "thinking", "thinking": "2 + 2", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "The answer "},
        {"type": "text", "text": "is 4."},
    ]
    answer = ANTHROPIC.parse(message(blocks, model="claude-9"))

    assert (answer.text, answer.reasoning, answer.version) == ("The answer is 4.", "2 + 2", "claude-9")


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "pause_turn"),
        (None, "unknown"),
    ],
)
def test_a_stop_reason_is_one_of_ours_or_the_upstreams_own(said: object, word: str) -> None:
    assert ANTHROPIC.parse(message([{"type": "text", "text": "x"}], said)).finish_reason == word


def test_input_counts_include_what_was_cached() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 5,
        "output_tokens": 7,
    }

    assert ANTHROPIC.parse(message([], usage=usage)).usage == Usage(115, 7, None, 100)
    assert ANTHROPIC.parse(message([], usage=None)).usage == Usage()


@pytest.mark.parametrize("body", [b"{}", b'{"type": "message", "content": "text"}', b"<html>"])
def test_a_success_that_is_no_message_may_still_have_been_charged(body: bytes) -> None:
    with pytest.raises(UpstreamError, match=r"wanted a message") as raised:
        ANTHROPIC.parse(body)

    assert (raised.value.kind, raised.value.maybe_billed) == ("malformed", True)


@pytest.mark.parametrize(
    ("kind_sent", "kind"),
    [("overloaded_error", "server"), ("rate_limit_error", "rate_limited"), ("api_error", "server")],
)
def test_an_error_inside_a_success_is_an_error(kind_sent: str, kind: str) -> None:
    body = orjson.dumps({"type": "error", "error": {"type": kind_sent, "message": "no"}})
    with pytest.raises(UpstreamError) as raised:
        ANTHROPIC.parse(body)

    assert (raised.value.kind, raised.value.retryable) == (kind, True)


def test_a_customers_system_prompt_becomes_a_turn() -> None:
    for system in ("Be brief.", [{"type": "text", "text": "Be brief."}]):
        body = {"model": "m", "system": system, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
        model, request = ANTHROPIC.read(orjson.dumps(body))
        assert (model, request.messages) == ("m", (Message("system", "Be brief."), Message("user", "Hi")))
