from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.streams import body_of, cuts, event_like, folded, lengths, named_events, pieces_of

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.responses import RESPONSES
from spiritsafe.wire.responses_fold import ResponsesFold

BEGUN: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1769000000,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-5-2026-01-01",
    "output": [],
    "usage": None,
}
THINKING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
MESSAGE = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "in_progress",
    "call_id": "c1",
    "name": "weather",
    "arguments": "",
}
PART = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
LINK = {"type": "url_citation", "url": "https://example.org", "title": "T", "start_index": 0, "end_index": 4}


def odds(text: str) -> Any:
    return {"token": text, "logprob": -0.5, "top_logprobs": []}


def about(kind: str, at: int, **fields: Any) -> Any:
    return {"type": f"response.{kind}", "sequence_number": 7, "item_id": "x", "output_index": at, **fields}


def thought(text: str, part: int = 0) -> Any:
    return about("reasoning_summary_text.delta", 0, summary_index=part, delta=text, obfuscation="aB3")


def said(text: str, *logprobs: Any) -> Any:
    return about("output_text.delta", 1, content_index=0, delta=text, logprobs=list(logprobs), obfuscation="aB3")


DONE_MESSAGE = {
    **MESSAGE,
    "status": "completed",
    "content": [{**PART, "text": "Grün ist die 🌲.", "annotations": [LINK], "logprobs": [odds("Grün "), odds("ist")]}],
}
DONE_THINKING = {
    **THINKING,
    "summary": [{"type": "summary_text", "text": "Trees. "}, {"type": "summary_text", "text": "Colours."}],
}
DONE_CALL = {**CALL, "status": "completed", "arguments": '{"town": "Köln"}'}
WHOLE = {
    **BEGUN,
    "status": "completed",
    "output": [DONE_THINKING, DONE_MESSAGE, DONE_CALL],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 21,
    },
}
ALL_BUT_END: list[Any] = [
    {"type": "response.created", "sequence_number": 0, "response": BEGUN},
    {"type": "response.in_progress", "sequence_number": 1, "response": BEGUN},
    about("output_item.added", 0, item=THINKING),
    about("reasoning_summary_part.added", 0, summary_index=0, part={"type": "summary_text", "text": ""}),
    thought("Tre"),
    thought("es. "),
    about("reasoning_summary_text.done", 0, summary_index=0, text="Trees. "),
    about("reasoning_summary_part.done", 0, summary_index=0, part=DONE_THINKING["summary"][0]),
    about("reasoning_summary_part.added", 0, summary_index=1, part={"type": "summary_text", "text": ""}),
    thought("Colours.", 1),
    about("output_item.done", 0, item=DONE_THINKING),
    about("output_item.added", 1, item=MESSAGE),
    about("content_part.added", 1, content_index=0, part=PART),
    said("Grün ", odds("Grün ")),
    said("ist", odds("ist")),
    said(" die 🌲."),
    about("output_text.annotation.added", 1, content_index=0, annotation_index=0, annotation=LINK),
    about("output_text.done", 1, content_index=0, text="Grün ist die 🌲."),
    about("output_item.added", 2, item=CALL),
    about("function_call_arguments.delta", 2, delta='{"town": '),
    about("function_call_arguments.delta", 2, delta='"Köln"}'),
    about("function_call_arguments.done", 2, arguments='{"town": "Köln"}'),
    about("output_item.done", 2, item=DONE_CALL),
]
END = {"type": "response.completed", "sequence_number": 30, "response": WHOLE}
STREAM = named_events(*ALL_BUT_END, END)


def test_the_last_event_carries_the_body() -> None:
    assert body_of(ResponsesFold, STREAM) == WHOLE
    assert folded(ResponsesFold, STREAM).usage() == Usage(9, 12, 5, 4)


def test_a_stream_cut_at_any_offset_folds_into_the_same_body() -> None:
    for pieces in cuts(STREAM):
        fold = folded(ResponsesFold, *pieces)
        assert (fold.finished, fold.unreadable) == (True, 0)
        assert orjson.loads(fold.body()) == WHOLE


def test_a_stream_without_its_last_event_is_put_together_from_the_parts() -> None:
    body = body_of(ResponsesFold, named_events(*ALL_BUT_END))

    assert body["output"] == [DONE_THINKING, {**DONE_MESSAGE, "status": "in_progress"}, DONE_CALL]
    assert (body["status"], body["model"]) == ("in_progress", "gpt-5-2026-01-01")


def test_a_last_event_without_output_leaves_the_parts() -> None:
    end = {"type": "response.completed", "response": {**WHOLE, "output": []}}

    assert body_of(ResponsesFold, named_events(*ALL_BUT_END, end))["output"][2] == DONE_CALL


def test_of_a_stream_that_broke_off_what_came_can_be_read() -> None:
    for at in range(len(STREAM) - 1):
        fold = folded(ResponsesFold, STREAM[:at])
        answer = RESPONSES.parse(fold.body())
        assert "Grün ist die 🌲.".startswith(answer.text)
        assert "Trees. \n\nColours.".startswith(answer.reasoning or "")
        assert (fold.finished, answer.finish_reason) == (False, "in_progress")


@pytest.mark.parametrize(("status", "word"), [("completed", "tool_calls"), ("incomplete", "length"), ("failed", None)])
def test_each_of_the_three_ends_is_an_end(status: str, word: str | None) -> None:
    why = {"incomplete": {"incomplete_details": {"reason": "max_output_tokens"}}}
    failed = {"failed": {"error": {"code": "server_error", "message": "it broke"}}}
    response = {**WHOLE, "status": status, **why.get(status, {}), **failed.get(status, {})}
    fold = folded(ResponsesFold, named_events(*ALL_BUT_END, {"type": f"response.{status}", "response": response}))

    assert fold.finished
    if word is None:
        with pytest.raises(UpstreamError, match="it broke"):
            RESPONSES.parse(fold.body())
    else:
        assert RESPONSES.parse(fold.body()).finish_reason == word


@pytest.mark.parametrize("nested", [True, False])
def test_an_error_in_the_stream_is_kept_and_raised_when_read(nested: bool) -> None:
    error = {"code": "rate_limit_exceeded", "message": "slow down", "param": None}
    event = {"type": "error", "error": error} if nested else {"type": "error", **error}
    body = folded(ResponsesFold, named_events(*ALL_BUT_END, event)).body()

    assert orjson.loads(body)["error"] == error
    with pytest.raises(UpstreamError, match="slow down") as raised:
        RESPONSES.parse(body)
    assert raised.value.status == 429


def test_deltas_of_items_whose_start_was_missed_make_them() -> None:
    stream = named_events(
        about("reasoning_text.delta", 0, content_index=0, delta="hm"),
        about("refusal.delta", 1, content_index=0, delta="I "),
        about("refusal.delta", 1, content_index=0, delta="cannot."),
        about("custom_tool_call_input.delta", 2, delta="ls"),
        about("code_interpreter_call_code.delta", 3, delta="1+1"),
        about("mcp_call_arguments.delta", 4, delta="{}"),
    )

    assert body_of(ResponsesFold, stream)["output"] == [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
        {"type": "custom_tool_call", "input": "ls"},
        {"type": "code_interpreter_call", "code": "1+1"},
        {"type": "mcp_call", "arguments": "{}"},
    ]


def test_what_is_no_event_is_counted_and_passed_over() -> None:
    fold = folded(ResponsesFold, b'data: {broken\n\ndata: []\n\ndata: {}\n\ndata: {"type": "new"}\n\n', STREAM)

    assert fold.unreadable == 3
    assert orjson.loads(fold.body()) == WHOLE


texts = st.lists(st.text(max_size=12), max_size=6)


@given(st.dictionaries(st.integers(0, 3), texts, min_size=1), lengths)
def test_whatever_text_is_streamed_comes_out_whole(contents: dict[int, list[str]], sizes: list[int]) -> None:
    events = [
        about("output_text.delta", 1, content_index=index, delta=one) for index in contents for one in contents[index]
    ]
    parts = [
        {"type": "output_text", "text": "".join(contents[index]), "annotations": []}
        for index in sorted(contents)
        if contents[index]
    ]
    output = body_of(ResponsesFold, *pieces_of(named_events(*events), sizes))["output"]

    assert output == ([{"type": "message", "role": "assistant", "content": parts}] if parts else [])


@given(st.lists(event_like(), max_size=6), lengths)
def test_whatever_comes_nothing_is_raised_and_cuts_do_not_matter(events: list[Any], sizes: list[int]) -> None:
    items = ({"type": "response.output_item.added", "output_index": 0, "item": event} for event in events)
    stream = b"".join(b"data: %b\n\n" % orjson.dumps(event) for event in (*items, *events))
    fold = folded(ResponsesFold, stream)
    other = folded(ResponsesFold, *pieces_of(stream, sizes))

    assert orjson.loads(fold.body()) == orjson.loads(other.body())
    assert (fold.usage(), fold.unreadable, fold.finished) == (other.usage(), other.unreadable, other.finished)
