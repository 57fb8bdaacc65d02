"""From a record to the exchange that it tells of."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.log.logged import AT, DECISION, RESPONSE, ended, received, whole
from tests.strategies import json_objects, json_values

from spiritsafe.errors import InputError
from spiritsafe.exchanges.line import dumps, loads
from spiritsafe.exchanges.record import Message, Timing, Usage
from spiritsafe.guard.log.reading import FACTS, READERS, exchange_from, exchange_of
from spiritsafe.guard.log.records import BODIES, Record, decode, split


def test_a_whole_record_is_an_exchange_with_all_that_is_known() -> None:
    exchange = exchange_of(decode(whole("a1")))

    assert (exchange.id, exchange.at, exchange.account, exchange.segment) == ("a1", AT, "acme", "ordinary")
    assert exchange.dialect == "chat"
    assert exchange.messages == (Message("system", "Be kind."), Message("user", "2 + 2?"))
    assert exchange.sampling.temperature == 0.7
    assert (exchange.answer, exchange.finish_reason, exchange.usage) == ("4", "stop", Usage(12, 1))
    assert (exchange.source.endpoint, exchange.source.model, exchange.source.version) == ("main", "big-1", "big-1-2025")
    assert (exchange.timing, exchange.dollars) == (Timing(0.25, 1.0), 0.01)
    assert exchange.client == {"ip": "192.0.2.1", "org": "Acme"}
    assert exchange.other == {
        "surface": "chat",
        "outcome": "completed",
        "status": 200,
        "decision": DECISION,
        "upstream": "main",
        "stream": False,
        "ended_at": AT + 1,
    }


def test_messages_are_read_by_their_own_dialect() -> None:
    request = {"model": "m", "max_tokens": 9, "system": "Be kind.", "messages": [{"role": "user", "content": "hi"}]}
    response = {"type": "message", "content": [{"type": "text", "text": "ho"}], "stop_reason": "end_turn"}

    exchange = exchange_of(decode(whole("a1", request, response, surface="messages")))

    assert exchange.dialect == "anthropic"
    assert exchange.messages == (Message("system", "Be kind."), Message("user", "hi"))
    assert (exchange.answer, exchange.finish_reason) == ("ho", "stop")
    assert exchange.usage == Usage(12, 1)  # the record's own count, since the answer has none


def test_a_request_without_an_end_is_unfinished() -> None:
    exchange = exchange_of(decode(received("a1")))

    assert (exchange.finish_reason, exchange.other["outcome"], exchange.answer) == ("error", "unfinished", "")
    assert len(exchange.messages) == 2


def test_an_end_without_a_request_has_its_time_at_least() -> None:
    exchange = exchange_of(decode(ended("a1")))

    assert (exchange.at, exchange.messages, exchange.other["status"]) == (AT + 1, (), 200)


@pytest.mark.parametrize("surface", ["chat", "messages", "models", "unknown"])
def test_bodies_that_cannot_be_read_are_kept_as_they_came(surface: str) -> None:
    exchange = exchange_of(decode(whole("a1", {"messages": 7}, {"choices": 7}, surface=surface)))

    assert exchange.messages == ()
    assert exchange.other["request"] == {"messages": 7}
    assert exchange.other["response"] == {"choices": 7}
    assert exchange.finish_reason == "error"


def test_the_body_of_an_error_is_kept_and_is_no_answer() -> None:
    complaint = {"error": {"message": "slow down", "type": "rate_limit_error"}}

    exchange = exchange_of(decode(whole("a1", response=complaint, status=429, outcome="upstream_failed")))

    assert (exchange.answer, exchange.finish_reason) == ("", "error")
    assert exchange.other["response"] == complaint
    assert len(exchange.messages) == 2


def test_further_choices_are_kept() -> None:
    second = {"index": 1, "message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"}
    response = RESPONSE | {"choices": [*RESPONSE["choices"], second]}

    exchange = exchange_of(decode(whole("a1", response=response)))

    assert exchange.answer == "4"
    assert exchange.other["choices"] == [second]


def test_a_body_that_is_no_json_is_kept_as_text() -> None:
    exchange = exchange_from(Record("whole", {"id": "a1", "surface": "chat"}, b"<html>", b"\xff"))

    assert (exchange.other["request"], exchange.other["response"]) == ("<html>", "\ufffd")


def test_a_body_that_is_nested_too_deeply_is_kept_as_text() -> None:
    deep = b"[" * 900 + b"]" * 900

    exchange = exchange_from(Record("whole", {"id": "a1", "surface": "unknown"}, deep, None))

    assert exchange.other["request"] == deep.decode()
    assert loads(dumps(exchange)) == exchange


def test_parts_that_no_line_can_hold_are_left_out() -> None:
    request = {"messages": [{"role": "user", "content": ["hi", 7, {"type": "image_url", "image_url": {"url": "u"}}]}]}

    exchange = exchange_of(decode(whole("a1", request)))

    assert exchange.messages == (Message("user", "hi", ({"type": "image_url", "image_url": {"url": "u"}},)),)


NAMES = sorted(
    {"at", "account", "segment", "model", "client", "tokens", "dollars", "first_byte_s", *FACTS} - {"surface"}
)
TURNS = st.lists(
    st.fixed_dictionaries({"role": st.text(max_size=3) | json_values(1)}, optional={"content": json_values(4)})
    | json_values(2),
    max_size=2,
)
BODY = json_values() | st.dictionaries(
    st.sampled_from(["model", "messages", "system", "choices", "content", "usage", "stop", "tools", "n", "error"]),
    TURNS | json_values(),
    max_size=4,
)


@given(
    kind=st.sampled_from(sorted(BODIES)),
    surface=st.sampled_from([*READERS, "unknown"]),
    fields=st.dictionaries(st.sampled_from(NAMES), json_values()),
    unknown=json_objects(),
    request=BODY,
    response=BODY,
)
def test_every_record_is_an_exchange_that_can_be_stored(
    kind: str, surface: str, fields: dict[str, Any], unknown: dict[str, Any], request: Any, response: Any
) -> None:
    row = {"k": kind, "v": 1, **unknown, **fields, "id": "a1", "surface": surface}

    exchange = exchange_of(row | {"request": request, "response": response})

    assert loads(dumps(exchange)) == exchange


@given(st.sampled_from([*READERS, "unknown"]), st.binary(max_size=80), st.binary(max_size=80))
def test_bodies_of_any_bytes_are_an_exchange_too(surface: str, request: bytes, response: bytes) -> None:
    exchange = exchange_from(Record("whole", {"id": "a1", "surface": surface}, request, response))

    assert loads(dumps(exchange)) == exchange


def test_what_is_no_record_is_an_input_error() -> None:
    with pytest.raises(InputError, match="wanted a record"):
        exchange_of({"id": "a1"})


def test_a_record_read_whole_and_one_read_from_bytes_give_the_same_exchange() -> None:
    data = whole("a1")

    assert (
        exchange_of(decode(data)) == exchange_from(split(data)) == exchange_of(orjson.loads(orjson.dumps(decode(data))))
    )
