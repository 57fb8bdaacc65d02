from typing import Any

import orjson
import pytest

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.wire.responses import LOGPROBS, RESPONSES

HI = Request((Message("user", "Hi"),))
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"town": "Ulm"}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def response(*output: Any, status: str = "completed", **top: Any) -> bytes:
    return orjson.dumps({"object": "response", "status": status, "error": None, "output": output} | top)


def message(*parts: Any) -> Any:
    return {"type": "message", "role": "assistant", "status": "completed", "content": parts}


def text(said: str, **more: Any) -> Any:
    return {"type": "output_text", "text": said, "annotations": [], **more}


def read(**body: Any) -> Request:
    return RESPONSES.read(orjson.dumps({"model": "m", **body}))[1]


def sent(request: Request, **extra: Any) -> Any:
    return orjson.loads(RESPONSES.render("m", request, extra))


def test_turns_are_items_of_the_input() -> None:
    image = {"type": "input_image", "image_url": "data:,"}
    turns = (Message("system", "Be brief."), Message("user", "Hi", (image,)), Message("assistant", "So", (image,)))
    sampling = Sampling(0.5, 0.9, 64, stop=("END",), top_logprobs=3)

    assert sent(Request(turns, sampling)) == {
        "model": "m",
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, image]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "So"}, image]},
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 64,
        "stop": ["END"],
        "top_logprobs": 3,
        "include": [LOGPROBS],
    }


def test_the_key_goes_into_a_header() -> None:
    assert RESPONSES.headers("k") == {"content-type": "application/json", "authorization": "Bearer k"}


def test_a_seed_is_refused_and_not_left_out() -> None:
    with pytest.raises(InputError, match="seed"):
        RESPONSES.render("m", Request(HI.messages, Sampling(seed=1)), {})


@pytest.mark.parametrize("name", ["input", "instructions", "messages", "stream", "n"])
def test_extra_settings_may_not_touch_the_prompt(name: str) -> None:
    with pytest.raises(InputError, match=name):
        RESPONSES.render("m", HI, {name: "x"})
    with pytest.raises(InputError, match=name):
        RESPONSES.render("m", Request(HI.messages, Sampling(other=((name, "x"),))), {})


def test_a_text_is_a_user_turn_and_instructions_are_a_system_turn() -> None:
    assert read(input="Hi", instructions="Be brief.").messages == (
        Message("system", "Be brief."),
        Message("user", "Hi"),
    )


def test_messages_are_read_with_their_text_and_other_parts() -> None:
    image = {"type": "input_image", "image_url": "data:,"}
    items = [
        {"role": "developer", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Wh"}, image, {"type": "input_text", "text": "at?"}],
        },
        message(text("That."), {"type": "refusal", "refusal": "No."}),
    ]

    assert read(input=items).messages == (
        Message("developer", "Be brief."),
        Message("user", "What?", (image,)),
        Message("assistant", "That.", ({"type": "refusal", "refusal": "No."},)),
    )


def test_items_that_are_no_messages_are_turns_with_a_part() -> None:
    assert read(input=[THOUGHT, CALL, OUTPUT]).messages == (
        Message("assistant", "", (THOUGHT,)),
        Message("assistant", "", (CALL,)),
        Message("tool", "sunny", ({"type": "function_call_output", "call_id": "c1"},)),
    )


@pytest.mark.parametrize(
    "items",
    [
        [THOUGHT, CALL, OUTPUT],
        [{**OUTPUT, "output": [{"type": "input_text", "text": "sunny"}]}],
        [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "Hi"}],
        [{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
    ],
)
def test_items_are_sent_again_as_they_came(items: list[Any]) -> None:
    assert sent(read(input=items))["input"] == items


def test_the_sampling_is_read_and_what_is_not_known_kept() -> None:
    request = read(input="x", temperature=0.5, max_output_tokens=7, top_logprobs=2, include=[LOGPROBS], stream=True)

    assert request.sampling == Sampling(0.5, max_tokens=7, top_logprobs=2, other=(("stream", True),))
    kept = read(input="x", top_logprobs=2, include=["reasoning.encrypted_content"]).sampling
    assert kept == Sampling(other=(("include", ["reasoning.encrypted_content"]),))


@pytest.mark.parametrize("given", [None, 7, [7], [{}], [{"content": "no role"}], {"role": "user"}])
def test_what_is_no_input_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="wanted"):
        read(input=given)


def test_input_may_be_kept_at_the_upstream() -> None:
    assert read(previous_response_id="resp_1").messages == ()
    assert read(prompt={"id": "pmpt_1"}, instructions="x").messages == (Message("system", "x"),)


def test_texts_of_all_messages_are_the_answer_and_thinking_is_apart() -> None:
    summary = {**THOUGHT, "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}]}
    raw = {**summary, "content": [{"type": "reasoning_text", "text": "Raw"}]}
    answer = RESPONSES.parse(response(summary, raw, message(text("A"), text("b")), message(text("c")), model="gpt-5-x"))

    assert (answer.text, answer.reasoning, answer.version) == ("Abc", "One\n\nTwo\n\nRaw", "gpt-5-x")
    assert answer.finish_reason == "stop"


def test_thinking_left_in_the_text_is_told_apart() -> None:
    answer = RESPONSES.parse(response(message(text("<think>hm</think>Yes."))))

    assert (answer.text, answer.reasoning) == ("Yes.", "hm")


@pytest.mark.parametrize(
    ("status", "reason", "word"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("incomplete", None, "incomplete"),
        ("in_progress", None, "in_progress"),
        ("queued", None, "queued"),
        ("cancelled", None, "cancelled"),
        ("", None, "unknown"),
    ],
)
def test_why_it_ended_is_one_of_our_words_or_the_upstreams_own(status: str, reason: str | None, word: str) -> None:
    body = response(message(text("x")), status=status, incomplete_details=reason and {"reason": reason})

    assert RESPONSES.parse(body).finish_reason == word


def test_calls_and_refusals_are_why_it_ended() -> None:
    assert RESPONSES.parse(response(CALL)).finish_reason == "tool_calls"
    assert RESPONSES.parse(response({"type": "custom_tool_call", "input": "ls"})).finish_reason == "tool_calls"
    refused = RESPONSES.parse(response(message({"type": "refusal", "refusal": "No."})))
    assert (refused.text, refused.finish_reason) == ("No.", "refusal")
    assert RESPONSES.parse(response(message({"type": "refusal", "refusal": ""}))).finish_reason == "refusal"


def test_the_usage_has_what_was_thought_and_cached() -> None:
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 5},
    }

    assert RESPONSES.parse(response(usage=usage)).usage == Usage(9, 12, 5, 4)
    assert RESPONSES.parse(response(usage=None)).usage == Usage()


def test_log_probabilities_of_all_parts_are_packed() -> None:
    def odds(token: str) -> Any:
        return {"token": token, "bytes": list(token.encode()), "logprob": -0.5, "top_logprobs": []}

    answer = RESPONSES.parse(
        response(message(text("ab", logprobs=[odds("a"), odds("b")]), text("c", logprobs=[odds("c")])))
    )

    assert answer.logprobs is not None
    assert [answer.logprobs.table[at] for at in unpack(answer.logprobs).chosen_ids] == [b"a", b"b", b"c"]
    assert RESPONSES.parse(response(message(text("ab", logprobs=[])))).logprobs is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rate_limit_exceeded", "rate_limited"),
        ("server_error", "server"),
        ("invalid_prompt", "refused"),
        (None, "server"),
    ],
)
def test_an_error_inside_a_success_is_an_error(code: str | None, kind: str) -> None:
    with pytest.raises(UpstreamError, match="no luck") as raised:
        RESPONSES.parse(response(status="failed", error={"code": code, "message": "no luck"}))

    assert (raised.value.kind, raised.value.maybe_billed) == (kind, True)


@pytest.mark.parametrize("body", [b"{}", b'{"output": "x"}', b'{"choices": []}', b"<html>"])
def test_a_success_that_is_no_response_may_still_have_been_charged(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="wanted a response") as raised:
        RESPONSES.parse(body)

    assert (raised.value.kind, raised.value.maybe_billed) == ("malformed", True)
