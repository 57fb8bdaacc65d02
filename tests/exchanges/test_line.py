"""The exchange line: inverse both ways, nothing unknown lost, nothing wrong let in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import exchanges, json_objects, json_values

from spiritsafe.errors import InputError
from spiritsafe.exchanges.line import dumps, from_json, loads, to_json
from spiritsafe.exchanges.record import Exchange, Message, Sampling, Source, Timing, Usage

MINIMAL: dict[str, Any] = {"v": 1, "account": "", "at": 5.0, "messages": []}

DOCUMENTED = {
    "v": 1,
    "id": "e1",
    "account": "acme",
    "at": 1790000000.25,
    "dialect": "chat",
    "model": "big-1",
    "messages": [{"role": "user", "content": "Hi"}],
    "sampling": {
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 9,
        "n": 2,
        "logprobs": True,
        "stop": ["\n"],
        "tools": [],
    },
    "answer": "Hello",
    "reasoning": None,
    "finish_reason": "stop",
    "usage": {"input_tokens": 3, "output_tokens": 1},
    "timing": {"first_byte_s": 0.1, "last_byte_s": 0.2},
    "client": {"ip": "10.0.0.1", "ja4": "t13d", "country": "NO"},
    "segment": "batch",
}


@given(exchanges())
def test_an_exchange_comes_back_from_its_line(exchange: Exchange) -> None:
    assert loads(dumps(exchange)) == exchange


@given(exchanges())
def test_a_line_comes_back_from_its_exchange(exchange: Exchange) -> None:
    row = json.loads(dumps(exchange))

    assert json.loads(dumps(from_json(row))) == row


@given(exchanges())
def test_reading_leaves_the_row_as_it_is(exchange: Exchange) -> None:
    row = json.loads(dumps(exchange))
    before = json.dumps(row)

    from_json(row)

    assert json.dumps(row) == before


def test_the_documented_line_is_read() -> None:
    exchange = from_json(DOCUMENTED)

    assert exchange == Exchange(
        id="e1",
        account="acme",
        at=1790000000.25,
        dialect="chat",
        source=Source(model="big-1"),
        messages=(Message("user", "Hi"),),
        sampling=Sampling(
            temperature=0.5, top_p=1.0, max_tokens=9, stop=("\n",), other=(("logprobs", True), ("n", 2), ("tools", []))
        ),
        answer="Hello",
        usage=Usage(3, 1),
        timing=Timing(0.1, 0.2),
        client={"ip": "10.0.0.1", "ja4": "t13d", "country": "NO"},
        segment="batch",
    )
    assert to_json(exchange) == {
        **{name: value for name, value in DOCUMENTED.items() if name != "reasoning"},
        "sampling": {**DOCUMENTED["sampling"], "stop": ("\n",)},  # type: ignore[dict-item]
    }


def test_four_keys_are_enough() -> None:
    assert from_json(MINIMAL) == Exchange(id="", at=5.0, dialect="", messages=())


@pytest.mark.parametrize("missing", ["v", "account", "at", "messages"])
def test_each_of_the_four_is_needed(missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        from_json({name: value for name, value in MINIMAL.items() if name != missing})


@given(json_objects(), json_objects(), json_objects(), json_objects())
def test_unknown_keys_are_kept_wherever_they_stand(
    top: dict[str, Any], usage: dict[str, Any], turn: dict[str, Any], source: dict[str, Any]
) -> None:
    row = {
        **MINIMAL,
        **top,
        "usage": {"input_tokens": 1, **usage},
        "source": {"licence": "MIT", **source},
        "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b", **turn}],
    }

    again = json.loads(dumps(from_json(row)))

    assert {name: again.get(name) for name in row} == row


def test_content_may_be_parts_and_text_in_them_is_the_content() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    content = [{"type": "text", "text": "What is "}, image, {"type": "text", "text": "this?"}]

    exchange = from_json({**MINIMAL, "messages": [{"role": "user", "content": content}]})

    assert exchange.messages == (Message("user", "What is this?", (image,)),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("at", "yesterday"),
        ("at", True),
        ("id", 7),
        ("answer", ["a"]),
        ("messages", {}),
        ("messages", [{"content": "no role"}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", ["hi"]),
        ("usage", {"input_tokens": 1.5}),
        ("usage", []),
        ("timing", {"first_byte_s": "fast"}),
        ("sampling", {"stop": [1]}),
        ("sampling", {"temperature": "hot"}),
        ("source", {"terms": "whatever"}),
        ("logprobs", {"tokens": 1, "k": 1}),
        ("logprobs", {"tokens": -1, "k": 1, "packed": ""}),
        ("logprobs", {"tokens": 1, "k": 1, "packed": "ü"}),
        ("logprobs", {"tokens": 1, "k": 1, "packed": "", "table": [3]}),
        ("dollars", "1"),
        ("client", "x"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name.removesuffix("s")):
        from_json({**MINIMAL, name: value})


@given(st.sampled_from(sorted({*DOCUMENTED, "logprobs", "source", "sample"})), json_values(12))
def test_any_json_is_an_exchange_or_an_input_error(name: str, value: object) -> None:
    try:
        exchange = from_json({**MINIMAL, name: value})
    except InputError:
        return
    assert loads(dumps(exchange)) == exchange


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"3", b"\xff"])
def test_what_is_no_json_object_is_an_input_error(line: bytes) -> None:
    with pytest.raises(InputError, match="wanted"):
        loads(line)


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match="version 2, wanted at most 1; upgrade"):
        from_json({**MINIMAL, "v": 2})


def test_what_json_cannot_hold_is_replaced_and_never_loses_the_answer() -> None:
    exchange = from_json({**MINIMAL, "answer": "a\ud800b \ud83d\ude00", "x_big": 10**30, "dollars": float("nan")})

    again = loads(dumps(exchange))

    assert again.answer == "a�b 😀"
    assert again.other == {"x_big": 1e30}
    assert again.dollars is None


def test_what_is_no_json_value_is_an_input_error() -> None:
    with pytest.raises(InputError, match="only JSON values"):
        dumps(from_json({**MINIMAL, "x_set": {1, 2}}))


def test_other_may_not_hold_a_field_of_the_exchange() -> None:
    exchange = Exchange(id="", at=0.0, dialect="", messages=(), other={"answer": "another"})

    with pytest.raises(InputError, match="answer"):
        to_json(exchange)
