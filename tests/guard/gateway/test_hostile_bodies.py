"""Bodies and headers made to be misread, to lead elsewhere, to meddle with the log or to reach another customer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.guard.clocks import still
from tests.guard.gateway.gateways import (
    ASK,
    OPEN,
    STREAM,
    Running,
    answer_in,
    gateway,
    raw_upstream,
    read_all,
)

from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.keys import digest_of
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.models.replies import Reply, ReplyServer, served_in_thread

STRICT = Hygiene(
    max_top_logprobs=2,
    logprob_decimals=2,
    max_n=2,
    refuse_logit_bias_with_logprobs=True,
    reasoning="withheld",
    bind_handles=True,
)
"""Every check of a body is on."""

PATHS = ("/chat/completions", "/completions", "/responses", "/embeddings", "/messages", "/messages/count_tokens")

ODD = (None, True, -1, 2**63, 2**70, 0.5, 1e308, "", "x", [], [None], [[]], [{}], {}, {"a": {}}, "\ud83d\ude00" * 9)

FIELDS = (
    "model",
    "stream",
    "n",
    "messages",
    "input",
    "prompt",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "stop",
    "tools",
    "include",
    "best_of",
    "reasoning",
    "thinking",
    "stream_options",
    "system",
    "max_tokens",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, ReplyServer]]:
    policy = Policy("enforce", dict.fromkeys(OPEN.segments, Segment(hygiene=STRICT)))
    with (
        served_in_thread(lambda asked: Reply(b'{"id":"a","choices":[],"content":[],"output":[]}')) as up,
        gateway(up.base_url, tmp_path_factory.mktemp("bodies"), policy=policy) as guard,
    ):
        yield guard, up


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_a_wrong_type_is_refused_or_passes_as_it_came(
    served: tuple[Running, ReplyServer], field: str
) -> None:
    guard, up = served
    asks = [
        guard.request(
            json.dumps(ASK | {field: value}).encode(), path=f"/v1{path}", headers={"connection": "keep-alive"}
        )
        for path in PATHS
        for value in ODD
    ]
    with guard.connect() as connection:
        for sent in asks:
            before = len(up.asked)
            connection.sendall(sent)
            answer = answer_in(one_answer(connection))
            passed = [asked.body for asked in up.asked[before:]]
            assert (answer.status, passed) in ((400, []), (200, [sent.partition(b"\r\n\r\n")[2]]))


def one_answer(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or not answer_in(data).is_whole:
        piece = connection.recv(1 << 16)
        assert piece
        data += piece
    return data


DEEP = 100_000

HOSTILE: dict[str, bytes] = {
    "the model twice": b'{"model":"m","model":"x","messages":[]}',
    "the model twice, once in escapes": b'{"model":"m","mod\\u0065l":"x","messages":[]}',
    "stream twice": b'{"model":"m","stream":false,"messages":[],"stream":true}',
    "a key twice, deep down": b'{"model":"m","messages":[{"a":[{"b":{"c":1,"\\u0063":2}}]}]}',
    "a key twice behind escaped quotation marks": b'{"model":"m","a":"\\\\\\"","a":"\\"\\\\","messages":[]}',
    "NUL": b'{"model":"m","messages":"\\u0000"}',
    "NUL in a key": b'{"model":"m","\\u0000":1}',
    "NUL itself": b'{"model":"m","messages":"\x00"}',
    "NUL behind a backslash": b'{"model":"m","messages":"\\\\\\u0000"}',
    "half a character": b'{"model":"m","messages":"\\ud800"}',
    "the other half": b'{"model":"m","messages":"\\udc00x"}',
    "half a character in a key": b'{"model":"m","\\ud800":1}',
    "bytes that are no UTF-8": b'{"model":"m","messages":"\xff"}',
    "UTF-8 of a half": b'{"model":"m","messages":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"model":"m","messages":"\xc0\xaf"}',
    "a byte order mark": b'\xef\xbb\xbf{"model":"m"}',
    "UTF-16": '{"model":"m"}'.encode("utf-16"),
    "no number": b'{"model":"m","temperature":NaN}',
    "infinity": b'{"model":"m","temperature":-Infinity}',
    "too large a number": b'{"model":"m","temperature":1e999}',
    "lists in lists": b'{"model":"m","messages":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "objects in objects": b'{"model":"m","messages":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "lists that do not end": b"[" * DEEP,
    "a comment": b'{"model":"m"/**/}',
    "a comma too many": b'{"model":"m",}',
    "single quotation marks": b"{'model':'m'}",
    "two objects": b'{"model":"m"}{"model":"x"}',
    "an object and more": b'{"model":"m"}GET /v1/models HTTP/1.1\r\n\r\n',
    "a list": b'[{"model":"m"}]',
    "a string": b'"model"',
    "null": b"null",
    "nothing": b"",
    "white space": b" \r\n\t ",
    "a form": b"model=m&messages=hi",
    "a model of a megabyte": b'{"model":"' + b"m" * (1 << 20) + b'"}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_body_that_is_no_plain_object_is_refused_with_400(served: tuple[Running, ReplyServer], body: bytes) -> None:
    guard, up = served
    before = len(up.asked)
    for path in PATHS:
        answer = guard.post(body, path=f"/v1{path}")
        assert answer.status == 400
        assert len(answer.body) < 1000
    assert up.asked[before:] == []


def test_five_megabytes_of_keys_pass_as_they_came(served: tuple[Running, ReplyServer]) -> None:
    guard, up = served
    body = orjson.dumps(ASK | {f"key {number}": number for number in range(270_000)})
    assert len(body) > 5_000_000
    assert guard.post(body).status == 200
    assert up.asked[-1].body == body


# --- elsewhere -------------------------------------------------------------------------------------------------------


def test_nothing_in_a_request_sends_it_elsewhere(tmp_path: Path) -> None:
    """A second listener stands where every field and header points to, and nobody comes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        served_in_thread(lambda asked: Reply(b"{}")) as up,
        gateway(up.base_url, tmp_path) as guard,
    ):
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/v1"
        host = url.removeprefix("http://").removesuffix("/v1")
        body = ASK | dict.fromkeys(("api_base", "base_url", "url", "endpoint", "api_url", "proxy", "callback"), url)
        headers = {"host": host, "x-forwarded-host": host, "forwarded": f"host={host}", "x-original-url": url}
        headers |= {
            "x-rewrite-url": url,
            "location": url,
            "referer": url,
            "origin": url,
            "x-api-base": url,
            "via": host,
        }
        assert guard.post(body, headers=headers).status == 200
        assert guard.post(body | {"model": url}).status == 200
        assert guard.post(body, path=f"/v1/chat/completions?api_base={url}").status == 200
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
        assert {asked.headers["host"] for asked in up.asked} == {
            up.base_url.removeprefix("http://").removesuffix("/v1")
        }
        assert url not in str([asked.headers for asked in up.asked])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_passed_on_and_followed_by_nobody(tmp_path: Path, status: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        moved = Reply(b"{}", status=status, headers={"location": url})
        with served_in_thread(lambda asked: moved) as up, gateway(up.base_url, tmp_path) as guard:
            answer = guard.post(ASK)
            assert (answer.status, answer.headers["location"]) == (status, url)
            assert len(up.asked) == 1
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_what_a_customer_writes_in_a_header_is_one_line_to_the_upstream(tmp_path: Path) -> None:
    def script(connection: socket.socket, up: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    values = {"user-agent": "a\tb: c; d", "openai-beta": "x, y: z", "accept": "*/*\xff", "anthropic-beta": ""}
    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        request = guard.request(ASK, headers={}).replace(
            b"host:", "".join(f"{name}: {value}\r\n" for name, value in values.items()).encode("latin-1") + b"host:"
        )
        assert answer_in(guard.send(request)).status == 200
        lines = up.requests[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert len(lines) == len({line.partition(b":")[0] for line in lines})
    for name, value in values.items():
        assert f"{name}: {value}".encode("latin-1") in lines


# --- others ----------------------------------------------------------------------------------------------------------


def other_account(folder: Path) -> str:
    """An account that is there before the gateway starts."""
    with Accounts.open(folder) as accounts:
        return accounts.add("other")


def test_two_customers_who_send_the_same_idempotency_key_are_two_to_the_upstream(tmp_path: Path) -> None:
    other = other_account(tmp_path)
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        headers = {"idempotency-key": "1"}
        guard.post(ASK, headers=headers)
        guard.post(ASK, headers=headers)
        guard.post(ASK, headers=headers | {"authorization": f"Bearer {other}"})
        keys = [asked.headers["idempotency-key"] for asked in up.asked]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]
    assert "1" not in keys


def test_two_keys_on_one_connection_are_two_accounts_each_with_its_own_limits(tmp_path: Path) -> None:
    other = other_account(tmp_path)
    policy = Policy("enforce", {**OPEN.segments, "ordinary": Segment(limits=Limits(requests_per_minute=2))})
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path, policy=policy, now_s=still()) as guard,
    ):
        keep = {"connection": "keep-alive"}
        own = guard.request(ASK, headers=keep)
        others = guard.request(ASK, headers=keep | {"authorization": f"Bearer {other}"})
        last = guard.request(ASK, headers={"authorization": f"Bearer {other}"})
        data = guard.send(own + others + own + own, last)
        statuses = [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [200, 200, 200, 429, 200]
        accounts = [record["account"] for record in guard.records() if record["k"] != "ended"]
    assert sorted(accounts) == ["acme"] * 3 + ["other"] * 2


def test_an_unknown_a_revoked_and_an_ended_key_are_told_the_same(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        revoked = accounts.add("revoked")
        accounts.revoke("revoked")
    with gateway("http://127.0.0.1:9/v1", tmp_path) as guard:
        keys = [revoked, "ss-unknown", guard.key[:-1], guard.key + "x", guard.key.upper(), "sk-operator"]
        answers = [guard.post(ASK, headers={"authorization": f"Bearer {key}"}) for key in keys]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}


class Watched(bytes):
    """A key that must not be compared, in whole or in part."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __hash__(self) -> int:
        raise AssertionError("looked up as it is")

    def __getitem__(self, at: object) -> bytes:  # type: ignore[override]
        raise AssertionError("read in part")

    def startswith(self, *args: object) -> bool:  # type: ignore[override]
        raise AssertionError("compared in part")


def test_keys_are_compared_by_their_digests_alone(tmp_path: Path) -> None:
    """What a look-up compares is HMAC of a secret: how much of a guess is right makes no difference in time."""
    with Accounts.open(tmp_path) as accounts:
        key = accounts.add("acme").encode()
        book = Book(accounts)
        pepper = accounts.pepper
    found = book.find(Watched(key), 0.0)
    assert found is not None
    assert found.name == "acme"
    assert book.find(Watched(key[:-1] + b"x"), 0.0) is None
    assert digest_of(pepper, key)[:4] != digest_of(pepper, key[:-1] + b"x")[:4]


# --- the log ---------------------------------------------------------------------------------------------------------

FORGED = '","account":"other","k":"whole","outcome":"completed","request":{"a":1},"x":"'


def test_nothing_that_a_customer_writes_forges_a_record(tmp_path: Path) -> None:
    lines = 'm\n{"k":"whole"}\r\n\u2028\u0085\x1b[2J' + FORGED
    with (
        served_in_thread(lambda asked: Reply(b'{"a":"' + b"\\n" + b'"}')) as up,
        gateway(up.base_url, tmp_path) as guard,
    ):
        asked = {"model": lines, "messages": [{"role": FORGED, "content": lines}], FORGED: lines}
        guard.post(asked, headers={"user-agent": FORGED})
        record = guard.only_record()
    assert (record["account"], record["model"], record["request"]) == ("acme", lines, asked)
    assert (record["client"]["user_agent"], record["outcome"]) == (FORGED, "completed")
    assert set(record) - {"k", "v", "raw"} == {
        *("id", "at", "account", "segment", "client", "surface", "model", "stream", "upstream", "request"),
        *("ended_at", "status", "outcome", "first_byte_s", "last_byte_s", "response", "tokens", "dollars"),
    }


def test_headers_that_only_a_proxy_may_send_are_not_believed(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        guard.post(ASK, headers={"x-forwarded-for": "1.2.3.4", "x-ja4": "t13d", "x-real-ip": "1.2.3.4"})
        assert set(guard.only_record()["client"]) == {"ip", "user_agent"}


# --- the clock -------------------------------------------------------------------------------------------------------


def test_a_clock_that_steps_neither_frees_nor_locks_an_account_nor_breaks_a_stream(tmp_path: Path) -> None:
    now_s = [1_800_000_010.0]
    policy = Policy("enforce", {**OPEN.segments, "ordinary": Segment(limits=Limits(requests_per_minute=3))})
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path, policy=policy) as guard:
        guard.do(lambda: setattr(guard.desk, "now_s", lambda: now_s[0]))

        def after(step_s: float) -> int:
            now_s[0] += step_s
            return guard.post(ASK).status

        assert [after(0) for _ in range(4)] == [200, 200, 200, 429]
        assert after(-3600) == 429  # a step back gives no credit
        assert after(121) == 200  # and passes with the window
        assert after(10 * 365 * 86_400) == 200
        assert after(-10 * 365 * 86_400) in (200, 429)
        assert after(121) == 200
        with guard.connect() as connection:
            connection.sendall(guard.request(STREAM))
            now_s[0] -= 86_400
            assert answer_in(read_all(connection)).is_whole
        records = [record for record in guard.records() if record["k"] != "received"]
    assert len({record["id"] for record in records}) == len(records) == 10
    assert all(record.get("last_byte_s", 0.0) >= 0.0 for record in records)
