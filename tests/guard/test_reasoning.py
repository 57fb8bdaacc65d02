"""Thinking withheld or summarised, in every format that has it, streamed and whole."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.tagged import cuts, pieces, shout, tagged

from spiritsafe.guard.reasoning import Withholding, withholding_for
from spiritsafe.wire.anthropic import ANTHROPIC
from spiritsafe.wire.chat import CHAT
from spiritsafe.wire.think import CLOSE, OPEN, split_think

SECRET = "SECRET thoughts"


def withholding(surface: str, *, told: bool = False, thinks_first: bool = False) -> Withholding:
    made = withholding_for(surface, shout if told else None, thinks_first=thinks_first)
    assert made is not None
    return made


def sent(made: Withholding, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events as a customer gets them."""
    out: list[dict[str, Any]] = []
    for event in orjson.loads(orjson.dumps(events)):
        made.edit_event(event)
        out += [*made.ahead, event]
        made.ahead.clear()
    return out


def chunk(text: str | None = None, *, end: str | None = None, **delta: Any) -> dict[str, Any]:
    said = delta if text is None else {"content": text, **delta}
    return {"choices": [{"index": 0, "delta": said, "finish_reason": end}]}


def said(events: list[dict[str, Any]], field: str = "content") -> str:
    return "".join(event["choices"][0].get("delta", {}).get(field) or "" for event in events if event["choices"])


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_in_a_field_of_chat_is_withheld_or_summarised(field: str) -> None:
    events = [chunk(role="assistant", content=""), chunk(**{field: "SECRET "}), chunk(**{field: "thoughts"})]
    events += [chunk("He"), chunk("llo"), chunk(end="stop"), {"choices": [], "usage": {"completion_tokens": 5}}]

    withheld = sent(withholding("chat"), events)
    assert b"SECRET" not in orjson.dumps(withheld)
    assert (said(withheld), said(withheld, field)) == ("Hello", "")
    assert withheld[-1] == events[-1]
    told = sent(withholding("chat", told=True), events)
    assert (said(told), said(told, field)) == ("Hello", "[15]")
    assert told[3] == chunk("He", **{field: "[15]"})

    body = {"choices": [{"index": 0, "message": {"content": "Hello", field: SECRET}, "finish_reason": "stop"}]}
    whole = orjson.loads(orjson.dumps(body))
    assert withholding("chat").edit(whole)
    assert whole["choices"][0]["message"] == {"content": "Hello"}
    assert withholding("chat", told=True).edit(body)
    assert body["choices"][0]["message"] == {"content": "Hello", field: "[15]"}


def test_where_two_fields_hold_the_same_thinking_both_go_and_one_summary_stays() -> None:
    body = {"choices": [{"message": {"content": "x", "reasoning": SECRET, "reasoning_content": SECRET}}]}

    assert withholding("chat", told=True).edit(body)
    assert body["choices"][0]["message"] == {"content": "x", "reasoning_content": "[15]"}


def test_opaque_handles_in_lists_of_parts_stay_and_their_texts_go() -> None:
    details = [
        {"type": "reasoning.text", "text": SECRET, "signature": "s"},
        {"type": "reasoning.encrypted", "data": "d"},
    ]
    body = {"choices": [{"message": {"content": "x", "reasoning_details": details, "thinking_blocks": []}}]}

    assert withholding("chat").edit(body)
    assert body["choices"][0]["message"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "d"},
    ]


@given(tagged, cuts, st.booleans())
def test_a_stream_of_chat_with_tags_says_what_the_whole_answer_says(text: str, at: list[int], told: bool) -> None:
    text = f"{OPEN}{text}"
    events = [*(chunk(piece) for piece in pieces(text, at)), chunk(end="stop")]
    body = {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    withholding("chat", told=told).edit(body)

    streamed = said(sent(withholding("chat", told=told), events))
    thought = text.removeprefix(OPEN).partition(CLOSE)[0]
    summary = f"{OPEN}{shout(thought)}{CLOSE}\n\n" if told and thought.strip() else ""
    assert streamed == body["choices"][0]["message"]["content"] == summary + split_think(text)[0]


def test_choices_of_one_stream_are_told_apart() -> None:
    events = [
        {"choices": [{"index": 1, "delta": {"content": "<thi"}}, {"index": 0, "delta": {"content": "<b>"}}]},
        {"choices": [{"index": 0, "delta": {"content": "nk>x"}}, {"index": 1, "delta": {"content": "nk>x</think>y"}}]},
    ]
    after = sent(withholding("chat"), events)

    assert [[choice["delta"]["content"] for choice in event["choices"]] for event in after] == [
        ["", "<b>"],
        ["nk>x", "y"],
    ]


@pytest.mark.parametrize("last", [chunk(end="stop"), {"choices": [{"index": 0, "finish_reason": "length"}]}])
def test_text_that_was_held_back_comes_with_the_end(last: dict[str, Any]) -> None:
    assert said(sent(withholding("chat"), [chunk(" <thin"), chunk("k"), last])) == " <think"


def test_a_summary_is_due_before_tools_are_called_and_at_the_end() -> None:
    call = chunk(tool_calls=[{"index": 0, "function": {"name": "f"}}])
    after = sent(withholding("chat", told=True), [chunk(reasoning="abc"), call, chunk(end="tool_calls")])
    assert after[1]["choices"][0]["delta"]["reasoning"] == "[3]"
    assert after[1]["choices"][0]["delta"]["tool_calls"]

    after = sent(withholding("chat", told=True), [chunk(reasoning="abc"), chunk(end="length")])
    assert after[1]["choices"][0]["delta"] == {"reasoning": "[3]"}


def test_a_model_that_thinks_first_shows_nothing_before_it_closes_its_thinking() -> None:
    made = withholding("chat", thinks_first=True)
    assert said(sent(made, [chunk("SEC"), chunk("RET</th"), chunk("ink>\n\nyes"), chunk(end="stop")])) == "yes"
    assert said(sent(withholding("chat", thinks_first=True), [chunk("SECRET"), chunk(end="stop")])) == ""
    body = {"choices": [{"message": {"content": "SECRET</think>yes"}}]}
    assert withholding("chat").edit(body)
    assert body["choices"][0]["message"]["content"] == "yes"


def test_logprobs_and_token_ids_pass_only_with_text_that_passes_unchanged() -> None:
    def event(text: str | None, **delta: Any) -> dict[str, Any]:
        made = chunk(text, **delta)
        made["choices"][0] |= {"logprobs": {"content": [{"token": "t", "logprob": -1.0}]}, "token_ids": [5]}
        return made

    events = [event(None, reasoning="x"), event("<think>"), event("x"), event("</think>y"), event("z"), event("")]
    after = [event["choices"][0] for event in sent(withholding("chat"), events)]

    assert [choice["logprobs"] is not None for choice in after] == [False, False, False, False, True, False]
    assert [choice["token_ids"] is not None for choice in after] == [False, False, False, False, True, False]
    body = event(None)
    body["choices"][0] |= {"message": {"content": "y", "reasoning_content": "x"}, "finish_reason": "stop"}
    del body["choices"][0]["delta"]
    assert withholding("chat").edit(body)
    assert body["choices"][0]["logprobs"] is None


def test_thinking_parts_of_a_list_of_content_go() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "SECRET"}]}
    short = {"type": "thinking", "thinking": [{"type": "text", "text": "[6]"}]}
    events = [{"choices": [{"index": 0, "delta": {"content": [part]}}]}, chunk("yes"), chunk("."), chunk(end="stop")]

    assert said(sent(withholding("chat"), events)) == "yes."
    told = sent(withholding("chat", told=True), events)
    assert [event["choices"][0]["delta"].get("content") for event in told] == [
        "",
        [short, {"type": "text", "text": "yes"}],
        ".",
        None,
    ]
    body = {"choices": [{"message": {"content": [part, {"type": "text", "text": "yes"}]}}]}
    assert withholding("chat", told=True).edit(body)
    assert body["choices"][0]["message"]["content"] == [short, {"type": "text", "text": "yes"}]


def test_completions_lose_the_thinking_of_their_text() -> None:
    body = {"choices": [{"index": 0, "text": "<think>SECRET</think>yes", "finish_reason": "stop"}]}
    assert withholding("completions").edit(body)
    assert body["choices"][0]["text"] == "yes"

    texts = [("<th", None), ("ink>SECRET</think>", None), ("yes", None), ("", "stop")]
    events = [{"choices": [{"index": 0, "text": text, "finish_reason": end}]} for text, end in texts]
    after = sent(withholding("completions"), events)
    assert [event["choices"][0]["text"] for event in after] == ["", "", "yes", ""]


MESSAGE = [
    {"type": "message_start", "message": {"content": [], "usage": {}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "SECRET "}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "thoughts"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "signed"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "opaque"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "yes"}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


def test_a_withheld_thinking_block_of_a_stream_keeps_its_events_and_its_signature() -> None:
    after = sent(withholding("messages"), MESSAGE)

    assert [event["type"] for event in after] == [event["type"] for event in MESSAGE]
    assert [event for event in after if "thinking_delta" in str(event)] == [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": ""}}
    ] * 2
    unchanged = [0, 1, 3, *range(5, len(MESSAGE))]
    assert [after[at] for at in unchanged] == [MESSAGE[at] for at in unchanged]


def test_a_summary_goes_ahead_of_the_signature_of_its_block() -> None:
    after = sent(withholding("messages", told=True), MESSAGE)

    told = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "[15]"}}
    assert after[5:7] == [told, MESSAGE[5]]
    assert len(after) == len(MESSAGE) + 1


def test_a_summary_of_a_block_without_a_signature_goes_ahead_of_its_end() -> None:
    after = sent(withholding("messages", told=True), [*MESSAGE[:5], MESSAGE[6]])

    assert [event.get("delta", {}).get("thinking") for event in after[-2:]] == ["[15]", None]


@given(tagged, cuts)
def test_text_blocks_of_messages_are_kept_from_thinking_in_tags(text: str, at: list[int]) -> None:
    start, _, stop = MESSAGE[9:12]
    deltas = [{"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": piece}}
              for piece in pieces(OPEN + text, at)]  # fmt: skip
    after = sent(withholding("messages"), [start, *deltas, stop])

    assert after[-1] == stop
    assert "".join(event["delta"]["text"] for event in after[1:-1]) == split_think(OPEN + text)[0]


def test_text_of_a_message_that_was_held_back_goes_ahead_of_its_end() -> None:
    start, delta, stop = orjson.loads(orjson.dumps(MESSAGE[9:12]))
    delta["delta"]["text"] = "<thin"

    assert [event.get("delta", {}).get("text") for event in sent(withholding("messages"), [start, delta, stop])] == [
        None,
        "",
        "<thin",
        None,
    ]


def test_blocks_of_a_whole_message_keep_their_signature() -> None:
    block = {"type": "thinking", "thinking": SECRET, "signature": "signed"}
    redacted = {"type": "redacted_thinking", "data": "opaque"}
    for told, text in ((False, ""), (True, "[15]")):
        body = {"type": "message", "content": [dict(block), redacted, {"type": "text", "text": "yes"}]}
        assert withholding("messages", told=told).edit(body)
        assert body["content"] == [block | {"thinking": text}, redacted, {"type": "text", "text": "yes"}]
        answer = ANTHROPIC.parse(orjson.dumps(body))
        assert (answer.text, answer.reasoning) == ("yes", text or None)


def response_events() -> list[dict[str, Any]]:
    item = {"type": "reasoning", "id": "rs_1", "encrypted_content": "opaque"}
    summary = [{"type": "summary_text", "text": "SECRET summary"}]
    content = [{"type": "reasoning_text", "text": SECRET}]
    full = item | {"summary": summary, "content": content}
    message = {"type": "message", "id": "m_1", "content": [{"type": "output_text", "text": "yes", "annotations": []}]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"summary": []}},
        {"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}},
        {"type": "response.reasoning_summary_text.delta", "delta": "SECRET summary"},
        {"type": "response.reasoning_summary_text.done", "text": "SECRET summary"},
        {"type": "response.reasoning_summary_part.done", "part": summary[0]},
        {"type": "response.reasoning_text.delta", "delta": SECRET},
        {"type": "response.reasoning_text.done", "text": SECRET},
        {"type": "response.content_part.done", "part": content[0]},
        {"type": "response.output_item.done", "output_index": 0, "item": full},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "yes", "logprobs": []},
        {"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "yes", "logprobs": []},
        {"type": "response.output_item.done", "output_index": 1, "item": message},
        {"type": "response.completed", "response": {"output": [full, message]}},
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def test_reasoning_items_of_responses_keep_their_place_and_their_handle() -> None:
    events = response_events()
    after = sent(withholding("responses"), events)

    assert b"SECRET" not in orjson.dumps(after)
    assert [event["type"] for event in after] == [event["type"] for event in events]
    assert [event["sequence_number"] for event in after] == list(range(len(events)))
    kept = {"type": "reasoning", "id": "rs_1", "encrypted_content": "opaque", "summary": [], "content": []}
    assert after[-1]["response"]["output"][0] == after[9]["item"] == kept
    assert after[10:13] == events[10:13]


def test_a_summary_that_the_upstream_made_stays_and_one_that_is_missing_is_made() -> None:
    after = sent(withholding("responses", told=True), response_events())
    assert SECRET not in orjson.dumps(after).decode()
    assert after[4]["text"] == after[9]["item"]["summary"][0]["text"] == "SECRET summary"

    events = response_events()
    events[9]["item"]["summary"] = []
    body = events[-1]["response"]
    body["output"][0]["summary"] = []
    assert sent(withholding("responses", told=True), events)[9]["item"]["summary"] == [
        {"type": "summary_text", "text": "[15]"}
    ]
    assert withholding("responses", told=True).edit(body)
    assert body["output"][0]["summary"] == [{"type": "summary_text", "text": "[15]"}]


@given(tagged, cuts)
def test_output_text_of_responses_is_kept_from_thinking_in_tags(text: str, at: list[int]) -> None:
    text, where = OPEN + text, {"output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", "delta": piece, **where} for piece in pieces(text, at)]
    part = {"type": "output_text", "text": text}
    events: list[dict[str, Any]] = [
        *deltas,
        {"type": "response.output_text.done", "text": text, **where},
        {"type": "response.content_part.done", "part": part},
        {"type": "response.completed", "response": {"output": [{"type": "message", "content": [part]}]}},
    ]
    after = sent(withholding("responses"), [event | {"sequence_number": at} for at, event in enumerate(events)])

    answer = split_think(text)[0]
    assert "".join(event.get("delta", "") for event in after) == after[-3]["text"] == answer
    assert after[-2]["part"]["text"] == after[-1]["response"]["output"][0]["content"][0]["text"] == answer


def test_text_of_a_response_that_was_held_back_goes_ahead_and_later_events_are_numbered_on() -> None:
    place = {"output_index": 0, "content_index": 0, "item_id": "m"}
    events: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "delta": "<th", "sequence_number": 7, **place},
        {"type": "response.output_text.done", "text": "<th", "sequence_number": 8, **place},
        {"type": "response.completed", "response": {"output": []}, "sequence_number": 9},
    ]
    after = sent(withholding("responses"), events)

    assert [event["sequence_number"] for event in after] == [7, 8, 9, 10]
    assert after[1] == {
        "type": "response.output_text.delta", "delta": "<th", "sequence_number": 8, "logprobs": [], **place
    }  # fmt: skip
    assert after[2] == events[1] | {"sequence_number": 9}


def test_an_edited_answer_of_chat_still_reads() -> None:
    body = {"choices": [{"message": {"content": "<think>SECRET</think>yes"}, "finish_reason": "stop"}]}
    withholding("chat").edit(body)

    answer = CHAT.parse(orjson.dumps(body))
    assert (answer.text, answer.reasoning) == ("yes", None)
