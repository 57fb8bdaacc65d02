"""What an upstream may send, by mistake or on purpose: it reaches no other customer, and nothing passes by an edit."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.guard.gateway.gateways import (
    ASK,
    EVENTS,
    OPEN,
    STREAM,
    STREAM_HEAD,
    RawUpstream,
    chunk,
    gateway,
    raw_upstream,
)
from tests.guard.gateway.wires import Transport, Wired, interpreted

from spiritsafe.guard.gateway.edits import Edits, edits_for
from spiritsafe.guard.gateway.shaping import StreamShaper, Unreadable, edited_body
from spiritsafe.guard.gateway.tee import FOLD_BYTES, StreamTee, WholeTee
from spiritsafe.guard.hygiene import Hygiene, editor_for
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.models.replies import Reply, served_in_thread
from spiritsafe.wire.chat_fold import ChatFold

GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def first_then_good(first: bytes) -> Callable[[socket.socket, RawUpstream], None]:
    """`first` for the first request of all, then an ordinary answer for each."""

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(first if len(up.requests) == 1 else GOOD)

    return script


@pytest.mark.parametrize(
    "surplus",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen",
        b"HTTP/1.1 200 OK\r\nx-poison: ",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"H",
        b"\x00\x00",
        b"more of the body",
    ],
)
@pytest.mark.parametrize(
    "head", [b"content-length: 2\r\n\r\n{}", b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
)
def test_what_comes_behind_an_answer_reaches_nobody(tmp_path: Path, surplus: bytes, head: bytes) -> None:
    script = first_then_good(b"HTTP/1.1 200 OK\r\n" + head + surplus)
    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        first = guard.post(ASK)
        assert (first.status, first.body, first.is_whole) == (200, b"{}", True)
        second = guard.post(ASK)
        assert (second.status, second.body) == (200, b"{}")
        assert not {"x-poison", "stolen"} & set(second.headers)
        records = [record for record in guard.records() if record["k"] != "received"]
    assert [record["outcome"] for record in records] == ["completed"] * 2


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"407 Proxy Authentication Required"])
def test_what_is_said_of_the_operators_key_is_not_said_to_a_customer(tmp_path: Path, status: bytes) -> None:
    said = b'{"error":{"message":"Incorrect API key provided: sk-oper***tor","code":"invalid_api_key"}}'
    script = first_then_good(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(said), said))
    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        answer = guard.post(ASK)
        assert answer.status == 502
        assert b"upstream_refused" in answer.body
        assert b"sk-oper" not in answer.body
        assert guard.post(ASK).body == b"{}"
        [record] = [record for record in guard.records() if record.get("outcome", "completed") != "completed"]
    assert (record["outcome"], record["refusal"]["code"]) == ("upstream_failed", "upstream_refused")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified\r\ncontent-length: 5"])
def test_an_answer_without_a_body_has_nothing_behind_its_head(tmp_path: Path, status: bytes) -> None:
    script = first_then_good(b"HTTP/1.1 " + status + b"\r\n\r\n")
    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        data = guard.send(guard.request(ASK, headers={"connection": "keep-alive"}) + guard.request(ASK))
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status[:3])
    assert b"transfer-encoding" not in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\ncontent-length: 2",
        b"content-length: 2\r\ncontent-length: 3",
        b"content-length: 2\r\ncontent-encoding: gzip\r\ncontent-encoding: identity",
        b"content-length: 2\r\ncontent-type: text/event-stream\r\ncontent-type: application/json",
        b"content-length: 2\r\ncontent-encoding: br",
        b"content-length: 2\r\nx: a\r\n b",
    ],
)
def test_an_answer_that_can_be_read_in_two_ways_does_not_pass(tmp_path: Path, headers: bytes) -> None:
    script = first_then_good(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        assert guard.post(ASK).status == 502
        assert guard.post(ASK).body == b"{}"


@interpreted
@pytest.mark.parametrize("unsent_bytes", [0, 1])
def test_an_answer_that_comes_before_the_request_was_sent_ends_its_connection(
    tmp_path: Path, unsent_bytes: int
) -> None:
    """What is still unsent of the body would be read as the next request by a server that does not wait for it."""
    wired = Wired(tmp_path)
    customer, _ = wired.connected()
    customer.data_received(wired.ask())
    [connection] = wired.pool.open
    upstream = connection.transport
    assert isinstance(upstream, Transport)
    upstream.unsent_bytes = unsent_bytes
    connection.data_received(GOOD)
    assert (connection in wired.pool.kept, upstream.is_closed) == (unsent_bytes == 0, unsent_bytes > 0)


# --- edits -----------------------------------------------------------------------------------------------------------

THINKING: dict[str, Any] = {"choices": [{"index": 0, "delta": {"reasoning_content": "SECRET", "content": "blue"}}]}


def withholding() -> Edits:
    edits = edits_for(editor_for(Hygiene(reasoning="withheld", max_top_logprobs=0), "chat", "allow"), None)
    assert edits is not None
    return edits


def event_with(text: bytes = b"", **more: Any) -> bytes:
    """An event with thinking in it, and `text` for HERE as it stands."""
    return b"data: " + orjson.dumps(THINKING | more).replace(b"HERE", text) + b"\n\n"


@pytest.mark.parametrize(
    "text",
    [b"\\ud83d", b"\\udc00", b"\xff", b"\xc3", b"\x01"],
    ids=["half a character", "the other half", "no UTF-8", "half of UTF-8", "control"],
)
def test_thinking_is_withheld_beside_what_only_lenient_clients_read(text: bytes) -> None:
    shaped = StreamShaper(withholding()).feed(event_with(text, x="HERE") + b"data: [DONE]\n\n")
    assert b"SECRET" not in shaped
    assert (b'"content":"blue"' in shaped) == (text != b"\x01")  # nobody reads that one
    assert shaped.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "Infinity", "-1e999", "9" * 400, "1" * 5000])
def test_log_probabilities_that_are_no_numbers_do_not_carry_others_past(number: str) -> None:
    whole = (
        b'{"choices":[{"index":0,"logprobs":{"content":[{"token":"a","logprob":%b,"top_logprobs":[{"token":"SECRET",\
"logprob":-1}]}]},"message":{"content":"a"}}]}'
        % number.encode()
    )
    assert b"SECRET" not in edited_body(withholding(), whole)
    assert b"SECRET" not in StreamShaper(withholding()).feed(b"data: %b\n\n" % whole)


@pytest.mark.parametrize(
    "event",
    [
        b"\xef\xbb\xbf" + event_with(),
        b"data: " + b"[" * 2000 + b'"SECRET"' + b"]" * 2000 + b"\n\n",
        b"data: SECRET reasoning_content\n\n",
        event_with().replace(b"data: ", b"data:").replace(b"\n", b"\r"),
        event_with().replace(b"\n", b"\r\n"),
        event_with().replace(b'"choices"', b'\ndata: "choices"'),
        b"event: x\nid: 1\n" + event_with(),
    ],
)
def test_an_event_that_cannot_be_edited_does_not_pass(event: bytes) -> None:
    shaper = StreamShaper(withholding())
    assert b"SECRET" not in b"".join(shaper.feed(event[at : at + 1]) for at in range(len(event))) + shaper.rest()


@pytest.mark.parametrize(
    "beside", [b"data: {no JSON\n\n", b"\xef\xbb\xbfdata: {}\n\n", b"data: [1]\n\n", b": ping\n\n"]
)
def test_an_event_that_no_edit_concerns_passes_as_it_came_wherever_the_stream_is_cut(beside: bytes) -> None:
    edits = edits_for(editor_for(Hygiene(strip_logprobs=True), "chat", "allow"), None)
    assert edits is not None
    listed = b'data: {"choices":[{"logprobs":{"content":["SECRET"]}}]}\n\n'
    stream = beside + listed + beside
    for at in range(len(stream)):
        shaper = StreamShaper(edits)
        shaped = shaper.feed(stream[:at]) + shaper.feed(stream[at:]) + shaper.rest()
        assert shaped == beside + b'data: {"choices":[{"logprobs":null}]}\n\n' + beside


def test_an_answer_nested_too_deeply_to_be_written_is_still_edited() -> None:
    body = b'{"choices":[{"message":{"content":"4","reasoning_content":"SECRET"}}],"x":%b}'
    written = b"[" * 600 + b"]" * 600
    edited = edited_body(withholding(), body % written)
    assert b"SECRET" not in edited
    assert orjson.loads(edited)["choices"][0]["message"]["content"] == "4"


@pytest.mark.parametrize("body", [b"SECRET", b'{"reasoning":"SECRET"', b"<html>SECRET</html>", b"data: SECRET\n\n"])
def test_an_answer_that_has_to_be_edited_and_is_no_json_does_not_pass(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(Unreadable):
        edited_body(withholding(), body)
    policy = Policy("enforce", dict.fromkeys(OPEN.segments, Segment(hygiene=Hygiene(reasoning="withheld"))))
    with served_in_thread(lambda asked: Reply(body)) as up, gateway(up.base_url, tmp_path, policy=policy) as guard:
        answer = guard.post(ASK)
        assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreadable")
        assert b"SECRET" not in answer.body
        assert guard.only_record()["response_text"] == body.decode()


def test_a_stream_is_one_however_its_type_is_written(tmp_path: Path) -> None:
    policy = Policy("enforce", dict.fromkeys(OPEN.segments, Segment(hygiene=Hygiene(reasoning="withheld"))))
    head = STREAM_HEAD.replace(b"text/event-stream", b"Text/Event-Stream; charset=utf-8")

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(head + chunk(event_with() + b"".join(EVENTS)) + b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path, policy=policy) as guard:
        answer = guard.post(STREAM)
    assert answer.is_whole
    assert b"Bl" in answer.body
    assert b"SECRET" not in answer.body


# --- the record ------------------------------------------------------------------------------------------------------


def test_what_only_lenient_clients_read_is_on_record_too(tmp_path: Path) -> None:
    half = b'data: {"choices":[{"index":0,"delta":{"content":"half \\ud83d and "},"x":NaN}]}\n\n'

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(STREAM_HEAD + chunk(half + b"".join(EVENTS)) + b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        assert guard.post(STREAM).body == half + b"".join(EVENTS)
        assert guard.only_record()["response"]["choices"][0]["message"]["content"] == "half ? and Blue"


def test_a_stream_without_end_is_kept_up_to_a_size() -> None:
    tee = StreamTee(ChatFold(), FOLD_BYTES * 4)
    for _ in range(10_000):
        tee.add(EVENTS[0])
    [choice] = orjson.loads(tee.response() or b"")["choices"]
    kept = len(choice["message"]["content"]) // len("Bl") * len(EVENTS[0])
    assert FOLD_BYTES * 3 < kept < FOLD_BYTES * 6
    assert choice["finish_reason"] is None


@pytest.mark.parametrize("count", [2**64 - 1, 2**63, -1, 1e300, "7", None, [1]])
def test_counts_that_cannot_be_are_not_charged(tmp_path: Path, count: Any) -> None:
    """Added up they would outgrow the numbers' 64 bits, and whoever publishes them would fail."""
    body = orjson.dumps({"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": count}})
    tee = WholeTee(1 << 20)
    tee.add(body)
    assert tee.tokens() is None
    with served_in_thread(lambda asked: Reply(body)) as up, gateway(up.base_url, tmp_path) as guard:
        assert [guard.post(ASK).status for _ in range(3)] == [200] * 3
        guard.do(lambda: guard.desk.sweep(guard._loop))
        assert guard.do(lambda: guard.desk.counters.now["tokens_in"]) < 1000
