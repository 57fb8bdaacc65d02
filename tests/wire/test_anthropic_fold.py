from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.streams import body_of, cuts, event_like, folded, lengths, named_events, pieces_of

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.anthropic import ANTHROPIC
from spiritsafe.wire.anthropic_fold import AnthropicFold

START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1, "service_tier": "standard"},
    },
}
STOP = {"type": "message_stop"}


def begin(index: int, **block: Any) -> Any:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> Any:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def end(index: int) -> Any:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, **usage: Any) -> Any:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


SPOT = {"type": "char_location", "cited_text": "Grün", "document_index": 0, "start_char_index": 0, "end_char_index": 4}
PLAIN = named_events(
    START,
    begin(0, type="text", text=""),
    {"type": "ping"},
    delta(0, "text_delta", text="Grün "),
    delta(0, "text_delta", text="ist die 🌲."),
    delta(0, "citations_delta", citation=SPOT),
    end(0),
    ended("end_turn", output_tokens=15, input_tokens=None),
    STOP,
)
TOOLS = named_events(
    START,
    begin(0, type="thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="Two "),
    delta(0, "thinking_delta", thinking="towns."),
    delta(0, "signature_delta", signature="EqQBCgIYAhIM"),
    end(0),
    begin(1, type="redacted_thinking", data="EmwK"),
    end(1),
    begin(2, type="text", text=""),
    delta(2, "text_delta", text="Let me look."),
    end(2),
    begin(3, type="tool_use", id="toolu_1", name="weather", input={}),
    delta(3, "input_json_delta", partial_json=""),
    delta(3, "input_json_delta", partial_json='{"town": '),
    delta(3, "input_json_delta", partial_json='"Köln"}'),
    end(3),
    begin(4, type="tool_use", id="toolu_2", name="clock", input={}),
    delta(4, "input_json_delta", partial_json=""),
    end(4),
    ended("tool_use", output_tokens=89),
    STOP,
)
STREAMS = {"plain": PLAIN, "tools": TOOLS}


def test_a_stream_folds_into_the_message_without_a_stream() -> None:
    assert body_of(AnthropicFold, PLAIN) == {
        **START["message"],
        "content": [{"type": "text", "text": "Grün ist die 🌲.", "citations": [SPOT]}],
        "stop_reason": "end_turn",
        "usage": {**START["message"]["usage"], "output_tokens": 15},
    }


def test_thinking_tools_and_their_input_come_out_as_blocks() -> None:
    body = body_of(AnthropicFold, TOOLS)

    assert body["content"] == [
        {"type": "thinking", "thinking": "Two towns.", "signature": "EqQBCgIYAhIM"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Köln"}},
        {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    ]
    assert ANTHROPIC.parse(orjson.dumps(body)).finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_cut_at_any_offset_folds_into_the_same_body(stream: bytes) -> None:
    expected = body_of(AnthropicFold, stream)

    for pieces in cuts(stream):
        fold = folded(AnthropicFold, *pieces)
        assert orjson.loads(fold.body()) == expected
        assert (fold.finished, fold.unreadable) == (True, 0)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_of_a_stream_that_broke_off_what_came_can_be_read(stream: bytes) -> None:
    whole = ANTHROPIC.parse(folded(AnthropicFold, stream).body())
    for at in range(len(stream) - 1):
        fold = folded(AnthropicFold, stream[:at])
        answer = ANTHROPIC.parse(fold.body())
        assert whole.text.startswith(answer.text)
        assert (whole.reasoning or "").startswith(answer.reasoning or "")
        assert not fold.finished


def test_counts_at_the_end_replace_those_of_the_start_unless_they_are_null() -> None:
    assert folded(AnthropicFold, PLAIN).usage() == Usage(30, 15, None, 5)
    assert folded(AnthropicFold, named_events(START)).usage() == Usage(30, 1, None, 5)
    assert AnthropicFold().usage() == Usage()


def test_input_that_broke_off_is_kept_as_its_text() -> None:
    stream = TOOLS[: TOOLS.index(b'\\"K')]
    block = body_of(AnthropicFold, stream)["content"][-1]

    assert block == {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "weather",
        "input": {},
        "partial_json": '{"town": ',
    }


def test_an_error_in_the_stream_is_kept_and_raised_when_read() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    event = {"type": "error", "error": error}
    fold = folded(AnthropicFold, named_events(START, begin(0, type="text", text="So"), event))

    assert orjson.loads(fold.body())["content"] == [{"type": "text", "text": "So"}]
    for stream in (named_events(event), named_events(START, event)):
        with pytest.raises(UpstreamError, match="Overloaded") as raised:
            ANTHROPIC.parse(folded(AnthropicFold, stream).body())
        assert raised.value.status == 529


def test_deltas_of_a_block_whose_start_was_missed_make_one() -> None:
    stream = named_events(
        delta(0, "thinking_delta", thinking="hm"),
        delta(1, "text_delta", text="So"),
        delta(2, "input_json_delta", partial_json="{}"),
        delta(3, "new_delta", news=1),
    )

    assert body_of(AnthropicFold, stream)["content"] == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "So"},
        {"type": "tool_use", "input": {}},
        {"news": 1},
    ]


def test_what_comes_after_the_end_is_not_read() -> None:
    late = named_events(delta(0, "text_delta", text="late"))

    for pieces in ((PLAIN + late,), (PLAIN, late)):
        assert body_of(AnthropicFold, *pieces) == body_of(AnthropicFold, PLAIN)


def test_what_is_no_event_is_counted_and_passed_over() -> None:
    junk = b'data: {broken\n\ndata: []\n\ndata: {}\n\nevent: x\ndata: {"type": 5}\n\n: ping\n\nevent: alone\n\n'
    fold = folded(AnthropicFold, junk + PLAIN)

    assert fold.unreadable == 4
    assert orjson.loads(fold.body()) == body_of(AnthropicFold, PLAIN)


texts = st.lists(st.text(max_size=12), max_size=5)
json_texts = st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(0, 9), max_size=3)


@given(
    st.lists(st.tuples(st.booleans(), texts) | st.tuples(st.none(), json_texts), max_size=4), lengths, st.integers(1, 9)
)
def test_whatever_is_streamed_comes_out_whole(blocks: list[Any], sizes: list[int], step: int) -> None:
    events: list[Any] = [START]
    content: list[Any] = []
    for index, (is_text, said) in enumerate(blocks):
        if is_text is None:
            written = orjson.dumps(said).decode()
            parts = [written[at : at + step] for at in range(0, len(written), step)]
            events += [begin(index, type="tool_use", id="t", name="n", input={})]
            events += [delta(index, "input_json_delta", partial_json=part) for part in parts]
            content.append({"type": "tool_use", "id": "t", "name": "n", "input": said})
            continue
        kind = "text" if is_text else "thinking"
        events += [
            begin(index, type=kind, **{kind: ""}),
            *(delta(index, f"{kind}_delta", **{kind: one}) for one in said),
        ]
        content.append({"type": kind, kind: "".join(said)})

    assert body_of(AnthropicFold, *pieces_of(named_events(*events, STOP), sizes))["content"] == content


@given(st.lists(event_like(), max_size=6), lengths)
def test_whatever_comes_nothing_is_raised_and_cuts_do_not_matter(events: list[Any], sizes: list[int]) -> None:
    deltas = ({"type": "content_block_delta", "index": 0, "delta": event} for event in events)
    stream = b"".join(b"data: %b\n\n" % orjson.dumps(event) for event in (*events, *deltas))
    fold = folded(AnthropicFold, stream)
    other = folded(AnthropicFold, *pieces_of(stream, sizes))

    assert orjson.loads(fold.body()) == orjson.loads(other.body())
    assert (fold.usage(), fold.unreadable, fold.finished) == (other.usage(), other.unreadable, other.finished)
