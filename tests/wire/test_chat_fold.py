import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.streams import body_of, cuts, data_events, event_like, folded, lengths, pieces_of

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Usage
from spiritsafe.wire.chat import CHAT
from spiritsafe.wire.chat_fold import ChatFold

HEAD = {
    "id": "chatcmpl-123",
    "object": "chat.completion.chunk",
    "created": 1769000000,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_44709d6fcb",
}
WHOLE = {name: value for name, value in HEAD.items() if name != "object"} | {"object": "chat.completion"}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 12,
    "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def chunk(delta: Any = None, index: int = 0, finish_reason: Any = None, logprobs: Any = None, **top: Any) -> Any:
    choice = {"index": index, "delta": delta or {}, "logprobs": logprobs, "finish_reason": finish_reason}
    return {**HEAD, "choices": [choice], "usage": None, "obfuscation": "aB3x", **top}


def call(index: int, arguments: str, **first: Any) -> Any:
    function = {"arguments": arguments} | ({"name": first.pop("name")} if "name" in first else {})
    return {"tool_calls": [{"index": index, **first, "function": function}]}


def token(text: str, logprob: float) -> Any:
    best = [{"token": text, "logprob": logprob, "bytes": list(text.encode())}]
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": best}


PLAIN = data_events(
    chunk({"role": "assistant", "content": "", "refusal": None}),
    chunk({"content": "Grün "}),
    chunk({"content": "ist die 🌲."}),
    chunk(finish_reason="stop"),
    {**HEAD, "choices": [], "usage": USAGE, "obfuscation": ""},
)
TWO = data_events(
    chunk({"role": "assistant", "content": ""}, 1),
    chunk({"role": "assistant", "content": "A"}, 0),
    chunk({"content": "B"}, 1, logprobs={"content": [token("B", -0.5)], "refusal": None}),
    chunk({"content": "a"}, 0),
    chunk({"content": "b"}, 1, logprobs={"content": [token("b", -0.25)], "refusal": None}),
    chunk({}, 1, "length"),
    chunk({}, 0, "stop"),
)
CALLS = data_events(
    chunk({"role": "assistant", "content": None, "reasoning_content": "Two "}),
    chunk({"reasoning_content": "towns."}),
    chunk(call(0, "", id="call_1", type="function", name="weather")),
    chunk(call(0, '{"town": ')),
    chunk(call(0, '"Ulm"}')),
    chunk(call(1, "", id="call_2", type="function", name="weather")),
    chunk(call(1, '{"town": "Köln"}')),
    chunk(finish_reason="tool_calls"),
)
STREAMS = {"plain": PLAIN, "two choices": TWO, "calls": CALLS}


def test_a_stream_folds_into_the_body_without_a_stream() -> None:
    message = {"role": "assistant", "content": "Grün ist die 🌲."}

    assert body_of(ChatFold, PLAIN) == {
        **WHOLE,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def test_choices_are_folded_apart_with_their_log_probabilities() -> None:
    first, second = body_of(ChatFold, TWO)["choices"]

    assert (first["message"]["content"], first["finish_reason"], first["logprobs"]) == ("Aa", "stop", None)
    assert (second["message"]["content"], second["finish_reason"]) == ("Bb", "length")
    assert second["logprobs"] == {"content": [token("B", -0.5), token("b", -0.25)]}


def test_tool_calls_are_merged_by_index_and_thinking_is_joined() -> None:
    choice = body_of(ChatFold, CALLS)["choices"][0]
    calls = [
        {"id": name, "type": "function", "function": {"name": "weather", "arguments": f'{{"town": "{town}"}}'}}
        for name, town in (("call_1", "Ulm"), ("call_2", "Köln"))
    ]

    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Two towns.",
        "tool_calls": calls,
    }
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_cut_at_any_offset_folds_into_the_same_body(stream: bytes) -> None:
    expected = body_of(ChatFold, stream)

    for pieces in cuts(stream):
        fold = folded(ChatFold, *pieces)
        assert orjson.loads(fold.body()) == expected
        assert (fold.finished, fold.unreadable) == (True, 0)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_of_a_stream_that_broke_off_what_came_can_be_read(stream: bytes) -> None:
    whole = CHAT.parse(folded(ChatFold, stream).body())
    begun = stream.index(b"\n\n") + 2
    for at in range(begun, len(stream) - 1):
        fold = folded(ChatFold, stream[:at])
        answer = CHAT.parse(fold.body())
        assert whole.text.startswith(answer.text)
        assert (whole.reasoning or "").startswith(answer.reasoning or "")
        assert not fold.finished


def test_the_usage_is_what_the_last_chunk_counted() -> None:
    assert folded(ChatFold, PLAIN).usage() == Usage(9, 12, 5, 4)
    running = [chunk({"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": n}) for n in (1, 2)]
    assert folded(ChatFold, data_events(*running, chunk())).usage() == Usage(3, 2)
    assert folded(ChatFold, TWO).usage() == Usage()


def test_an_error_inside_a_stream_is_kept_and_raised_when_read() -> None:
    error = {"code": 502, "message": "the provider went away"}
    fold = folded(ChatFold, data_events(chunk({"content": "So"}), {**HEAD, "error": error, "choices": []}))

    assert orjson.loads(fold.body())["error"] == error
    with pytest.raises(UpstreamError, match="the provider went away"):
        CHAT.parse(fold.body())
    assert orjson.loads(folded(ChatFold, data_events({"error": error})).body())["error"] == error


def test_what_imitators_add_is_kept() -> None:
    stream = data_events(
        chunk({"role": "assistant", "content": "x", "annotations": [1]}, x_groq={"id": "r1"}),
        {**HEAD, "choices": [{"index": 0, "delta": {"reasoning": "hm"}, "stop_reason": None, "matched_stop": 7}]},
        chunk({"function_call": {"name": "f", "arguments": "{"}}),
        chunk({"function_call": {"arguments": "}"}}),
        chunk({"audio": {"id": "a", "data": "QU", "transcript": "A"}}),
        chunk({"audio": {"data": "JD", "transcript": "BC", "expires_at": 5}}),
        chunk({"refusal": "No"}, logprobs={"refusal": [token("No", -1.0)]}),
        chunk({"refusal": "."}, logprobs={"refusal": [token(".", -2.0)]}),
    )
    body = body_of(ChatFold, stream)
    message = body["choices"][0]["message"]

    assert (body["x_groq"], body["choices"][0]["matched_stop"]) == ({"id": "r1"}, 7)
    assert message == {
        "role": "assistant",
        "content": "x",
        "annotations": [1],
        "reasoning": "hm",
        "function_call": {"name": "f", "arguments": "{}"},
        "audio": {"id": "a", "data": "QUJD", "transcript": "ABC", "expires_at": 5},
        "refusal": "No.",
    }
    assert [entry["token"] for entry in body["choices"][0]["logprobs"]["refusal"]] == ["No", "."]


def test_content_in_parts_is_kept_before_the_text() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    stream = data_events(chunk({"content": [thinking]}), chunk({"content": "Yes"}), chunk({"content": "."}))

    assert body_of(ChatFold, stream)["choices"][0]["message"]["content"] == [thinking, {"type": "text", "text": "Yes."}]
    assert CHAT.parse(folded(ChatFold, stream).body()).reasoning == "hm"


def test_tool_calls_without_an_index_begin_with_an_id() -> None:
    def piece(arguments: str, **first: Any) -> Any:
        return chunk({"tool_calls": [{**first, "function": {"arguments": arguments}}]})

    stream = data_events(piece("{", id="a"), piece("}"), piece("[", id="b"), piece("]"))
    calls = body_of(ChatFold, stream)["choices"][0]["message"]["tool_calls"]

    assert [(one["id"], one["function"]["arguments"]) for one in calls] == [("a", "{}"), ("b", "[]")]


def test_other_line_ends_comments_names_and_no_space_are_read_too() -> None:
    expected = body_of(ChatFold, PLAIN)

    for stream in (
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"data: ", b"data:"),
        PLAIN.replace(b"data: ", b": OPENROUTER PROCESSING\n\ndata: "),
        PLAIN.replace(b"data: ", b"event: message\ndata: "),
        b"\xef\xbb\xbf" + PLAIN,
    ):
        assert body_of(ChatFold, stream) == expected


def test_what_is_no_chunk_is_counted_and_passed_over() -> None:
    junk = b"data: {broken\n\ndata: 7\n\ndata: {}\n\ndata: {},{}\n\ndata: \xff\n\n"
    fold = folded(ChatFold, junk + PLAIN + b"data: late\n\n")

    assert fold.unreadable == 5
    assert orjson.loads(fold.body()) == body_of(ChatFold, PLAIN)


def test_two_objects_in_one_event_are_none() -> None:
    pair = b'data: {"choices": []},{"choices": []}\n\n'

    assert folded(ChatFold, pair).unreadable == 1
    assert folded(ChatFold, pair + data_events(chunk(), done=False)).unreadable == 1


def test_a_null_takes_nothing_back() -> None:
    choice = body_of(ChatFold, data_events(chunk({"role": "assistant"}, finish_reason="stop"), chunk({"role": None})))[
        "choices"
    ][0]

    assert (choice["finish_reason"], choice["message"]) == ("stop", {"role": "assistant", "content": None})


def test_what_comes_after_the_end_is_not_read() -> None:
    expected = body_of(ChatFold, PLAIN)

    assert body_of(ChatFold, PLAIN + PLAIN) == expected
    assert body_of(ChatFold, PLAIN, data_events(chunk({"content": "late"}), done=False)) == expected


def test_what_is_nested_too_deeply_to_be_written_becomes_null() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    stream = b'data: {"choices": [{"delta": {"content": "x"}}], "deep": ' + deep + b"}\n\n"

    assert CHAT.parse(folded(ChatFold, stream).body()).text == "x"


def test_a_stream_of_small_chunks_takes_little_more_room_than_its_text() -> None:
    chunks = [data_events(chunk({"content": f"{at:05d} "}), done=False) for at in range(3000)]
    odds = [data_events(chunk(logprobs={"content": [token(" x", -0.5)]}), done=False) for _ in range(300)]
    fold = ChatFold()
    tracemalloc.start()
    for piece in chunks:
        fold.feed(piece)
    text_size, _ = tracemalloc.get_traced_memory()
    for piece in odds:
        fold.feed(piece)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert text_size < 2 * 6 * len(chunks)
    assert size - text_size < 300 * len(odds)
    body = orjson.loads(fold.body())
    assert body["choices"][0]["message"]["content"].split() == [f"{at:05d}" for at in range(3000)]


texts = st.text(max_size=12)
pieces = st.lists(texts, min_size=1, max_size=6)
calls = st.lists(st.tuples(texts, pieces), max_size=3)
choices = st.lists(st.tuples(pieces, pieces, calls, st.lists(st.floats(-9, 0), max_size=5)), min_size=1, max_size=3)


@given(choices, st.randoms(use_true_random=False), lengths)
def test_whatever_is_streamed_in_whatever_order_of_choices_comes_out_whole(
    said: list[Any], random: Any, sizes: list[int]
) -> None:
    queues = []
    for index, (contents, thoughts, called, odds) in enumerate(said):
        deltas = [chunk({"reasoning_content": thought}, index) for thought in thoughts]
        deltas += [chunk({"content": content}, index) for content in contents]
        for at, (name, arguments) in enumerate(called):
            deltas += [chunk(call(at, "", id=name, name=name), index), *(chunk(call(at, a), index) for a in arguments)]
        deltas += [chunk(index=index, logprobs={"content": [token("t", odd)]}) for odd in odds]
        queues.append(deltas)
    events = []
    while any(queues):
        events.append(random.choice([queue for queue in queues if queue]).pop(0))

    body = body_of(ChatFold, *pieces_of(data_events(*events), sizes))

    for choice, (contents, thoughts, called, odds) in zip(body["choices"], said, strict=True):
        message = choice["message"]
        assert (message["content"], message["reasoning_content"]) == ("".join(contents), "".join(thoughts))
        assert [(one["id"], one["function"]["arguments"]) for one in message.get("tool_calls", [])] == [
            (name, "".join(arguments)) for name, arguments in called
        ]
        assert [entry["logprob"] for entry in (choice["logprobs"] or {"content": []})["content"]] == odds


@given(st.lists(event_like(), max_size=5), lengths)
def test_whatever_comes_nothing_is_raised_and_cuts_do_not_matter(events: list[Any], sizes: list[int]) -> None:
    stream = data_events(
        *events, *({"choices": [event]} for event in events), *({"choices": [{"delta": event}]} for event in events)
    )
    fold = folded(ChatFold, stream)
    other = folded(ChatFold, *pieces_of(stream, sizes))

    assert orjson.loads(fold.body()) == orjson.loads(other.body())
    assert (fold.usage(), fold.unreadable, fold.finished) == (other.usage(), other.unreadable, True)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_bytes_that_are_no_stream_fold_into_a_body_too(pieces: list[bytes]) -> None:
    assert (
        orjson.loads(folded(ChatFold, *pieces, b"\n\ndata: ", *pieces, b"\n\n").body())["object"] == "chat.completion"
    )
