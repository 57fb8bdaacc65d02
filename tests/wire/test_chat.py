from typing import Any

import orjson
import pytest

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.wire.chat import CHAT, OPENAI

HELLO = (Message("system", "Be brief."), Message("user", "Hello"))


def completion(message: dict[str, Any] | None = None, finish_reason: object = "stop", **top: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant"} | (message or {}), "finish_reason": finish_reason}
    return orjson.dumps({"choices": [choice]} | top)


def test_a_request_holds_what_is_set_and_nothing_else() -> None:
    sampling = Sampling(0.5, 0.9, 64, 7, ("END",), 5)
    body = orjson.loads(CHAT.render("m", Request(HELLO, sampling), {}))

    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "max_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 5,
    }
    assert set(orjson.loads(CHAT.render("m", Request(HELLO), {}))) == {"model", "messages"}


def test_openai_itself_is_sent_the_limit_under_its_new_name() -> None:
    body = orjson.loads(OPENAI.render("m", Request(HELLO, Sampling(max_tokens=9)), {}))

    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


def test_parts_that_are_not_text_follow_the_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    body = orjson.loads(CHAT.render("m", Request((Message("user", "What is it?", (image,)),)), {}))

    assert body["messages"][0]["content"] == [{"type": "text", "text": "What is it?"}, image]


@pytest.mark.parametrize("extra", [{"n": 4}, {"stream": True}, {"messages": []}])
def test_extra_settings_may_not_buy_answers_that_are_not_read(extra: dict[str, Any]) -> None:
    for request, body in ((Request(HELLO), extra), (Request(HELLO, Sampling(other=tuple(extra.items()))), {})):
        with pytest.raises(InputError, match=r"cannot be sent; remove it"):
            CHAT.render("m", request, body)


def test_an_answer_comes_with_its_counts_its_version_and_its_cost() -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "completion_tokens_details": {"reasoning_tokens": 4},
        "prompt_tokens_details": {"cached_tokens": 16},
        "cost": 0.00125,
    }
    answer = CHAT.parse(
        completion({"content": "Hi"}, model="gpt-9-2026-01-01", system_fingerprint="fp_1", usage=usage, id="x")
    )

    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hi", None, "stop")
    assert answer.usage == Usage(20, 9, 4, 16)
    assert (answer.version, answer.fingerprint, answer.dollars) == ("gpt-9-2026-01-01", "fp_1", 0.00125)
    assert answer.logprobs is None


def test_deepseeks_name_for_cached_tokens_is_known() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "prompt_cache_hit_tokens": 5}

    assert CHAT.parse(completion({"content": "Hi"}, usage=usage)).usage == Usage(20, 9, None, 5)


@pytest.mark.parametrize(
    "usage", [None, [], 3, {}, {"prompt_tokens": None}, {"prompt_tokens": -1, "cost": float("nan")}]
)
def test_counts_that_are_not_given_are_unknown_and_not_zero(usage: object) -> None:
    answer = CHAT.parse(completion({"content": "Hi"}, usage=usage))

    assert answer.usage == Usage()
    assert answer.dollars is None


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
        ("model_length", "length"),
        ("abort", "abort"),
        (None, "unknown"),
        (3, "unknown"),
    ],
)
def test_a_finish_reason_is_one_of_ours_or_the_upstreams_own(said: object, word: str) -> None:
    assert CHAT.parse(completion({"content": "Hi"}, said)).finish_reason == word


def test_a_refusal_is_a_finish_reason_and_its_text_the_answer() -> None:
    answer = CHAT.parse(completion({"content": None, "refusal": "I can't help with that."}))

    assert (answer.text, answer.finish_reason) == ("I can't help with that.", "refusal")


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "4", "reasoning_content": "2 + 2"}, "4", "2 + 2"),
        ({"content": "4", "reasoning": "2 + 2"}, "4", "2 + 2"),
        ({"content": "4", "reasoning": "", "reasoning_content": None}, "4", None),
        ({"content": "<think>2 + 2</think>\n4"}, "4", "2 + 2"),
        ({"content": "2 + 2</think>4"}, "4", "2 + 2"),
        ({"content": "<think>2 + 2 and so"}, "", "2 + 2 and so"),
        (
            {"content": "<think>tags</think>", "reasoning": "kept apart already"},
            "<think>tags</think>",
            "kept apart already",
        ),
        ({"content": None, "reasoning_content": "only that"}, "", "only that"),
        ({"content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]}, "42", None),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "2 + 2"}]},
                    {"type": "text", "text": "4"},
                ]
            },
            "4",
            "2 + 2",
        ),
        ({"content": None}, "", None),
        ({}, "", None),
    ],
)
def test_reasoning_is_kept_apart_from_the_answer(message: dict[str, Any], text: str, reasoning: str | None) -> None:
    answer = CHAT.parse(completion(message))

    assert (answer.text, answer.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": null}', b'{"object": "list"}', b'{"choices": [null]}'],
)
def test_a_success_that_is_no_answer_may_still_have_been_charged(body: bytes) -> None:
    with pytest.raises(UpstreamError, match=r"wanted a chat completion") as raised:
        CHAT.parse(body)

    assert (raised.value.kind, raised.value.maybe_billed) == ("malformed", True)


@pytest.mark.parametrize(
    ("body", "kind", "retryable"),
    [
        (b'{"error": {"code": 429, "message": "slow down"}}', "rate_limited", True),
        (b'{"error": {"code": 502, "message": "provider gone"}, "choices": []}', "server", True),
        (b'{"error": {"code": "weird", "message": "provider gone"}}', "server", True),
        (b'{"error": "provider gone"}', "server", True),
        (b'{"choices": [{"error": {"code": 502, "message": "gone"}, "message": {"content": "ha"}}]}', "server", True),
        (b'{"choices": [], "error": {"code": 402, "message": "no credit"}}', "quota", False),
    ],
)
def test_an_error_inside_a_success_is_an_error(body: bytes, kind: str, retryable: bool) -> None:
    with pytest.raises(UpstreamError) as raised:
        CHAT.parse(body)

    assert (raised.value.kind, raised.value.retryable, raised.value.maybe_billed) == (kind, retryable, True)


def test_a_customers_limit_is_read_under_either_name() -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        _, request = CHAT.read(orjson.dumps({"model": "m", "messages": [], name: 5}))
        assert request.sampling.max_tokens == 5


def test_what_a_customer_sends_beyond_the_known_fields_is_kept() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "user": "u", "stream": True, "stop": "END"}
    _, request = CHAT.read(orjson.dumps(body))

    assert request.sampling.other == (("stream", True), ("user", "u"))
    assert request.sampling.stop == ("END",)
