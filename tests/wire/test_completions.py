from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.streams import body_of, cuts, data_events, event_like, folded, lengths, pieces_of

from spiritsafe.checks.dialect import GARBAGE
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.exchanges.record import Message, Sampling, Usage
from spiritsafe.wire.completions import COMPLETIONS, CompletionsFold

HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1769000000, "model": "davinci-002"}


def chunk(text: str, index: int = 0, finish_reason: Any = None, logprobs: Any = None, **top: Any) -> Any:
    choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish_reason}
    return {**HEAD, "choices": [choice], **top}


def odds(token: str, logprob: Any, offset: int) -> Any:
    best = [{token: logprob, "other": -3.0}]
    return {"tokens": [token], "token_logprobs": [logprob], "top_logprobs": best, "text_offset": [offset]}


STREAM = data_events(
    chunk("Gr"),
    chunk("un", 1),
    chunk("ün", logprobs=odds("ün", -0.5, 2)),
    chunk(" 🌲", logprobs=odds(" 🌲", -0.25, 4)),
    chunk("", 1, "length"),
    chunk("", 0, "stop"),
    {**HEAD, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
)
WHOLE = {
    **HEAD,
    "choices": [
        {
            "index": 0,
            "text": "Grün 🌲",
            "finish_reason": "stop",
            "logprobs": {
                "tokens": ["ün", " 🌲"],
                "token_logprobs": [-0.5, -0.25],
                "top_logprobs": [{"ün": -0.5, "other": -3.0}, {" 🌲": -0.25, "other": -3.0}],
                "text_offset": [2, 4],
            },
        },
        {"index": 1, "text": "un", "finish_reason": "length", "logprobs": None},
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


def read(prompt: Any, **fields: Any) -> Any:
    return COMPLETIONS.read(orjson.dumps({"model": "m", "prompt": prompt, **fields}))


@pytest.mark.parametrize(
    ("prompt", "turns"),
    [
        ("Once", [Message("user", "Once")]),
        (["Once", "Twice"], [Message("user", "Once"), Message("user", "Twice")]),
        ([1, 2], [Message("user", "", ({"type": "tokens", "tokens": [1, 2]},))]),
        ([[1], [2]], [Message("user", "", ({"type": "tokens", "tokens": [n]},)) for n in (1, 2)]),
    ],
)
def test_each_prompt_is_a_user_turn(prompt: Any, turns: list[Message]) -> None:
    model, request = read(prompt)

    assert (model, request.messages) == ("m", tuple(turns))


def test_the_sampling_is_read_and_what_is_not_known_kept() -> None:
    fields = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "seed": -1, "stop": "END", "logprobs": 5, "echo": True}

    assert read("x", **fields)[1].sampling == Sampling(0.5, 0.9, 7, -1, ("END",), 5, (("echo", True),))


@pytest.mark.parametrize("body", [*GARBAGE[:8], b'{"prompt": 7}', b'{"prompt": []}', b'{"prompt": [null]}'])
def test_a_customer_who_sends_no_prompt_is_told_so(body: bytes) -> None:
    with pytest.raises(InputError, match="wanted"):
        COMPLETIONS.read(body)


def test_the_first_choice_is_the_answer_with_its_log_probabilities() -> None:
    answer = COMPLETIONS.parse(orjson.dumps(WHOLE))

    assert (answer.text, answer.finish_reason, answer.version) == ("Grün 🌲", "stop", "davinci-002")
    assert answer.usage == Usage(3, 4)
    assert answer.logprobs is not None
    unpacked = unpack(answer.logprobs)
    assert [answer.logprobs.table[at].decode() for at in unpacked.chosen_ids] == ["ün", " 🌲"]
    assert list(unpacked.chosen_logprobs) == pytest.approx([-0.5, -0.25], abs=0.01)
    assert [answer.logprobs.table[at].decode() for at in unpacked.ids] == ["ün", "other", " 🌲", "other"]


def test_thinking_left_in_the_text_is_told_apart() -> None:
    answer = COMPLETIONS.parse(b'{"choices": [{"text": "<think>hm</think>Yes."}]}')

    assert (answer.text, answer.reasoning) == ("Yes.", "hm")


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"tokens": ["a"], "token_logprobs": []}, {"tokens": ["a"], "token_logprobs": [None]}, 7]
)
def test_log_probabilities_that_cannot_be_read_are_left_out(logprobs: Any) -> None:
    body = orjson.dumps({"choices": [{"text": "a", "logprobs": logprobs}]})

    assert COMPLETIONS.parse(body).logprobs is None


@pytest.mark.parametrize("body", GARBAGE)
def test_whatever_comes_is_an_answer_or_an_upstream_error(body: bytes) -> None:
    with suppress(UpstreamError):
        assert isinstance(COMPLETIONS.parse(body).text, str)


def test_a_stream_cut_at_any_offset_folds_into_the_body_without_a_stream() -> None:
    for pieces in cuts(STREAM):
        fold = folded(CompletionsFold, *pieces)
        assert orjson.loads(fold.body()) == WHOLE
        assert (fold.finished, fold.unreadable, fold.usage()) == (True, 0, Usage(3, 4))


def test_of_a_stream_that_broke_off_what_came_can_be_read() -> None:
    for at in range(STREAM.index(b"\n\n") + 2, len(STREAM) - 1):
        assert "Grün 🌲".startswith(COMPLETIONS.parse(folded(CompletionsFold, STREAM[:at]).body()).text)


@given(st.dictionaries(st.integers(0, 3), st.lists(st.text(max_size=9)), min_size=1), lengths)
def test_whatever_is_streamed_comes_out_whole(said: dict[int, list[str]], sizes: list[int]) -> None:
    stream = data_events(*(chunk(text, index) for index, texts in said.items() for text in ["", *texts]))
    choices = body_of(CompletionsFold, *pieces_of(stream, sizes))["choices"]

    assert {choice["index"]: choice["text"] for choice in choices} == {at: "".join(texts) for at, texts in said.items()}


@given(st.lists(event_like(), max_size=5), lengths)
def test_whatever_comes_nothing_is_raised_and_cuts_do_not_matter(events: list[Any], sizes: list[int]) -> None:
    stream = data_events(*events, *({"choices": [event]} for event in events))
    fold = folded(CompletionsFold, stream)

    assert orjson.loads(fold.body()) == body_of(CompletionsFold, *pieces_of(stream, sizes))
