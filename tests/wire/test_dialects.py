"""Every built-in dialect keeps every promise, on fixed examples and on whatever hypothesis thinks of."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.checks.dialect import (
    GARBAGE,
    check_answer_survives,
    check_dialect,
    check_error,
    check_parse,
    check_request_survives,
)
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message, Request, Sampling, Usage
from spiritsafe.wire import DIALECTS
from spiritsafe.wire.base import Answer, Dialect

every_dialect = pytest.mark.parametrize("dialect", list(DIALECTS), ids=lambda d: d.name)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = (
    "choices message content text finish_reason stop_reason usage error code type refusal reasoning logprobs "
    "reasoning_content prompt_tokens completion_tokens top_logprobs token logprob bytes id model detail msg thinking"
)
answer_like = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=6),
    max_leaves=12,
)
texts = st.text(max_size=40).filter(lambda text: "think>" not in text)
counts = st.none() | st.integers(0, 10**9)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    asked = draw(counts)
    cached = None if asked is None else draw(st.none() | st.integers(0, asked))
    return Usage(asked, draw(counts), None, cached)


answers = st.builds(
    Answer,
    text=texts,
    reasoning=st.none() | texts.filter(bool),
    finish_reason=st.sampled_from(["stop", "length", "content_filter", "tool_calls", "pause_turn"]),
    usage=usages(),
    version=st.none() | texts.filter(bool),
)
parts = st.dictionaries(st.text(max_size=5), json_values, max_size=2).map(lambda rest: rest | {"type": "image"})
turns = st.builds(Message, st.sampled_from(["user", "assistant"]), texts, st.lists(parts, max_size=2).map(tuple))
numbers = st.none() | st.floats(0, 2)
requests = st.builds(
    Request,
    st.lists(turns, min_size=1, max_size=4).map(tuple),
    st.builds(
        Sampling, numbers, numbers, st.none() | st.integers(1, 10**6), stop=st.lists(texts, max_size=3).map(tuple)
    ),
)


@every_dialect
def test_a_built_in_dialect_keeps_its_promises(dialect: Dialect) -> None:
    check_dialect(dialect)


@every_dialect
@given(st.binary(max_size=80) | json_values.map(lambda v: orjson.dumps(v, default=str)))
def test_whatever_comes_is_an_answer_or_an_upstream_error(dialect: Dialect, body: bytes) -> None:
    check_parse(dialect, body)


@every_dialect
@given(answer_like)
def test_whatever_looks_like_an_answer_is_one_or_an_upstream_error(dialect: Dialect, value: object) -> None:
    check_parse(dialect, orjson.dumps(value))
    check_parse(dialect, orjson.dumps({"choices": [{"message": value}], "content": [value], "usage": value}))


@every_dialect
@given(st.integers(-1, 999), answer_like, st.none() | st.text(max_size=12))
def test_whatever_goes_wrong_has_an_error(
    dialect: Dialect, status: int, value: object, retry_after: str | None
) -> None:
    check_error(dialect, status, orjson.dumps(value), retry_after)
    check_error(dialect, status, orjson.dumps(value)[1:], retry_after)


@every_dialect
@given(answers)
def test_reading_what_was_written_gives_the_same_answer(dialect: Dialect, answer: Answer) -> None:
    check_answer_survives(dialect, answer)


@every_dialect
@given(requests)
def test_reading_what_was_sent_gives_the_same_request(dialect: Dialect, request: Request) -> None:
    check_request_survives(dialect, request)


@every_dialect
@pytest.mark.parametrize("body", [*GARBAGE[:8], b'{"messages": [{"content": "no role"}]}', b'{"messages": {"a": 1}}'])
def test_a_customer_who_sends_no_request_is_told_so(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(InputError, match=r"wanted"):
        dialect.read(body)


def test_a_dialect_is_found_by_its_name_and_an_unknown_one_names_the_known() -> None:
    assert DIALECTS.get("anthropic").name == "anthropic"
    with pytest.raises(InputError, match=r"unknown dialect 'soap'; known: chat, openai, anthropic, responses"):
        DIALECTS.get("soap")
