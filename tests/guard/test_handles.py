"""Reasoning handles: bound, brought back, and brought to where they do not belong."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import json_values

from spiritsafe.guard.handles import PREFIX, Handles, Kind, Replayed, session_of, unwrap, wrap

SECRET = b"s" * 32
OURS = Handles(SECRET, "acme", "session", "model")

names = st.text(min_size=1, max_size=5)
opaque = st.text("AZaz09+/=_-.", max_size=40) | st.text(max_size=5)


def kind_of(wrapped: str, **other: str) -> Kind | None:
    bound = {"account": "acme", "session": "session", "model": "model"} | other
    try:
        unwrap(SECRET, **bound, wrapped=wrapped)
    except Replayed as error:
        return error.kind
    return None


@given(st.binary(min_size=1), names, names, names, opaque)
def test_what_was_wrapped_comes_back_as_it_was(
    secret: bytes, account: str, session: str, model: str, handle: str
) -> None:
    wrapped = wrap(secret, account, session, model, handle)

    assert wrapped.startswith(PREFIX)
    assert wrapped.endswith("." + handle)
    assert unwrap(secret, account, session, model, wrapped) == handle


@pytest.mark.parametrize("kind", ["account", "session", "model"])
def test_what_a_handle_does_not_belong_to_is_named(kind: str) -> None:
    wrapped = wrap(SECRET, "acme", "session", "model", "handle")

    assert kind_of(wrapped) is None
    assert kind_of(wrapped, **{kind: "other"}) == kind
    assert kind_of(wrapped, account="other", session="other", model="other") == "account"
    assert kind_of(wrapped, session="acme", account="session") == "account"


def test_the_tag_of_an_account_is_none_of_a_session() -> None:
    tags, _, handle = wrap(SECRET, "one", "two", "model", "handle").removeprefix(PREFIX).partition(".")
    raw = urlsafe_b64decode(tags + "==")
    swapped = urlsafe_b64encode(raw[:16] + raw[32:48] + raw[16:32] + raw[48:]).rstrip(b"=").decode()

    assert kind_of(f"{PREFIX}{swapped}.{handle}", account="two", session="one") == "account"


@given(st.integers(0, 200), st.sampled_from("AB09_-.=z"))
def test_a_changed_handle_is_forged(at: int, letter: str) -> None:
    wrapped = wrap(SECRET, "acme", "session", "model", "the handle itself")
    at = len(PREFIX) + at % (len(wrapped) - len(PREFIX))
    changed = wrapped[:at] + letter + wrapped[at + 1 :]

    if changed != wrapped:
        # The last letter of the tags has bits to spare, so that two ways to write it are one.
        assert kind_of(changed) in ("forged", "account", "session", "model") or at == len(PREFIX) + 85


@pytest.mark.parametrize(
    "wrapped", [PREFIX, f"{PREFIX}.", f"{PREFIX}x.handle", f"{PREFIX}{'A' * 86}.handle", "ssh1_é.x"]
)
def test_what_was_not_issued_here_is_forged(wrapped: str) -> None:
    assert kind_of(wrapped) == "forged"
    other = wrap(b"other secret", "acme", "session", "model", "handle")
    assert kind_of(other) == "forged"


def test_a_handle_from_before_passes_or_is_refused() -> None:
    assert unwrap(SECRET, "acme", "session", "model", "raw") == "raw"
    with pytest.raises(Replayed) as error:
        unwrap(SECRET, "acme", "session", "model", "raw", foreign="refuse")
    assert error.value.kind == "foreign"


def test_a_complaint_shows_no_secret_and_no_handle() -> None:
    with pytest.raises(Replayed, match="issued by another account; leave that thinking out") as error:
        unwrap(SECRET, "globex", "session", "model", wrap(SECRET, "acme", "session", "model", "handle"))
    assert "acme" not in str(error.value)


def message(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


THINKING = {"type": "thinking", "thinking": "hm", "signature": "sig+/="}
REDACTED = {"type": "redacted_thinking", "data": "data+/="}
IMAGE = {"type": "image", "source": {"type": "base64", "data": "iVBOR"}, "data": "not one"}
ITEM = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "enc+/="}


def wrapped(handle: str) -> str:
    return wrap(SECRET, "acme", "session", "model", handle)


def test_handles_of_whole_answers_are_wrapped_and_nothing_else() -> None:
    body = message(dict(THINKING), dict(REDACTED), dict(IMAGE), {"type": "text", "text": "signature"})
    assert OURS.wrap_in(body)
    assert body["content"] == [
        THINKING | {"signature": wrapped("sig+/=")},
        REDACTED | {"data": wrapped("data+/=")},
        IMAGE,
        {"type": "text", "text": "signature"},
    ]
    body = {"output": [dict(ITEM), {"type": "message", "content": []}, dict(ITEM) | {"encrypted_content": None}]}
    assert OURS.wrap_in(body)
    assert body["output"][0] == ITEM | {"encrypted_content": wrapped("enc+/=")}
    assert not OURS.wrap_in({"content": "text", "output": [ITEM | {"encrypted_content": ""}]})


EVENTS = [
    ("content_block_delta", "delta", {"type": "signature_delta", "signature": "h"}, "signature"),
    ("content_block_start", "content_block", {"type": "redacted_thinking", "data": "h"}, "data"),
    ("content_block_start", "content_block", {"type": "thinking", "signature": "h"}, "signature"),
    ("response.output_item.done", "item", {"type": "reasoning", "encrypted_content": "h"}, "encrypted_content"),
]


@pytest.mark.parametrize(("kind", "part", "held", "name"), EVENTS)
def test_handles_in_streams_are_wrapped(kind: str, part: str, held: dict[str, Any], name: str) -> None:
    event = {"type": kind, "index": 0, part: dict(held)}

    assert OURS.concerns(orjson.dumps(event))
    assert OURS.wrap_event(event)
    assert event == {"type": kind, "index": 0, part: held | {name: wrapped("h")}}


def test_the_end_of_a_response_has_its_handles_wrapped() -> None:
    event = {"type": "response.completed", "response": {"output": [dict(ITEM)]}}

    assert OURS.wrap_event(event)
    assert event["response"] == {"output": [ITEM | {"encrypted_content": wrapped("enc+/=")}]}


def test_events_without_handles_are_left_alone() -> None:
    event = {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": "", "signature": ""}}

    assert not OURS.wrap_event(event)
    assert not OURS.concerns(b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}')


@given(st.lists(opaque.filter(lambda handle: not handle.startswith(PREFIX)), max_size=3), json_values(), st.booleans())
def test_a_request_goes_on_as_if_handles_had_never_been_wrapped(handles: list[str], other: Any, indented: bool) -> None:
    def request(make: Any) -> dict[str, Any]:
        return {
            "x": other,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": make("same")}]},
                message(*({"type": "thinking", "signature": make(handle), "x": [handle]} for handle in handles)),
                message(*({"type": "redacted_thinking", "data": make(handle)} for handle in handles)),
            ],
            "input": [{"type": "reasoning", "encrypted_content": make(handle)} for handle in handles],
        }

    option = orjson.OPT_INDENT_2 if indented else 0
    kept = wrapped("same")
    sent = request(lambda handle: kept if handle == "same" else (wrapped(handle) if handle else ""))
    wanted = request(lambda handle: kept if handle == "same" else handle)
    body = orjson.dumps(sent, option=option)

    if "same" not in handles:
        assert OURS.unwrap_in(body, sent) == orjson.dumps(wanted, option=option)


@pytest.mark.parametrize("escape", [(b"/", b"\\/"), (b"+", b"\\u002b"), (b"ssh1", b"\\u0073sh1")])
def test_a_handle_that_a_client_writes_with_escapes_is_found(escape: tuple[bytes, bytes]) -> None:
    data = {"messages": [message(THINKING | {"signature": wrapped("sig+/=")}, {"type": "text", "text": "a/b+"})]}
    body = orjson.dumps(data).replace(*escape)
    after = OURS.unwrap_in(body, data)

    assert orjson.loads(after)["messages"][0]["content"][0]["signature"] == "sig+/="
    assert after.endswith(b'{"type":"text","text":"a/b+"}]}]}'.replace(*escape))


def test_a_field_whose_name_is_written_with_escapes_is_refused() -> None:
    data = {"messages": [message(THINKING | {"signature": wrapped("x")})]}

    with pytest.raises(Replayed):
        OURS.unwrap_in(orjson.dumps(data).replace(b'"signature"', b'"signatur\\u0065"'), data)


def test_text_that_looks_like_a_field_is_left_alone() -> None:
    handle = wrapped("x")
    text = f'"signature":"{handle}" and "signature": {handle}'
    data = {"messages": [{"role": "user", "content": text}, message(THINKING | {"signature": handle})]}
    body = orjson.dumps(data)

    after = orjson.loads(OURS.unwrap_in(body, data))
    assert after["messages"][0]["content"] == text
    assert after["messages"][1]["content"][0]["signature"] == "x"


def test_a_request_without_handles_is_the_same_bytes() -> None:
    body = b'{ "messages" : [{"role":"user","content":"\\u0041 ssh1_"}] }'

    assert OURS.unwrap_in(body, orjson.loads(body)) is body


@pytest.mark.parametrize("kind", ["account", "session", "model"])
def test_a_replay_in_a_request_is_refused_and_named(kind: str) -> None:
    data = {"input": [ITEM | {"encrypted_content": wrapped("enc")}]}

    with pytest.raises(Replayed) as error:
        replace(OURS, **{kind: "other"}).unwrap_in(orjson.dumps(data), data)
    assert error.value.kind == kind
    data = {"input": [ITEM]}
    assert OURS.unwrap_in(orjson.dumps(data), data) == orjson.dumps(data)
    with pytest.raises(Replayed):
        replace(OURS, foreign="refuse").unwrap_in(orjson.dumps(data), data)


USER = {"role": "user", "content": "hello"}


def test_a_session_goes_on_whatever_comes_after_its_first_message() -> None:
    first = session_of("messages", {"messages": [USER]})

    assert session_of("messages", {"system": "be kind", "messages": [USER, message(), {"role": "user"}]}) == first
    assert session_of("chat", {"messages": [{"role": "system", "content": "be kind"}, USER]}) == first
    cached = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}
    assert session_of("messages", {"messages": [{"role": "user", "content": [cached]}]}) == first
    assert session_of("responses", {"input": "hello"}) == first
    part = {"type": "input_text", "text": "hello"}
    assert session_of("responses", {"input": [{"role": "user", "content": [part]}, ITEM]}) == first
    assert session_of("messages", {"messages": [USER | {"content": "hallo"}]}) != first


@given(json_values(), st.sampled_from(["messages", "responses", "chat", "count_tokens"]))
def test_a_session_is_made_of_whatever_comes(value: Any, surface: str) -> None:
    for turns in (value, [value], [{"role": "user", "content": value}], [{"role": "user", "content": [value]}]):
        assert len(session_of(surface, {"messages": turns, "input": turns})) == 32


@given(json_values(), st.sampled_from(["content", "output", "item", "delta", "response", "messages", "input"]))
def test_nothing_an_upstream_or_a_customer_sends_is_an_error(value: Any, name: str) -> None:
    for body in ({name: value}, {name: [value]}):
        OURS.wrap_in(body)
        OURS.wrap_event(body)
        OURS.unwrap_in(orjson.dumps(body) + rb"\u", body)
