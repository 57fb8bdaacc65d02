"""What must not pass as a request's head, since two programs could read it in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.guard.gateway.heads import MOST_HEADERS, BadRequest, checked_head

HOST = (b"host", b"127.0.0.1:8080")
KEY = (b"authorization", b"Bearer ss-key")


def checked(*headers: tuple[bytes, bytes], target: bytes = b"/v1/chat/completions", version: str = "1.1"):
    return checked_head(b"POST", target, version, list(headers))


def test_an_ordinary_head_is_read() -> None:
    head = checked(HOST, KEY, (b"content-length", b"17"), target=b"/v1/messages?beta=true")
    assert (head.path, head.query, head.key, head.content_length) == (b"/messages", b"?beta=true", b"ss-key", 17)
    assert head.keep_alive
    assert head.is_versioned


def test_white_space_behind_a_value_is_no_part_of_it() -> None:
    head = checked((b"host", b"a \t"), (b"x-api-key", b"ss-key "), (b"content-length", b"17\t"))
    assert (head.fields[b"host"], head.key, head.content_length) == (b"a", b"ss-key", 17)


def test_the_key_may_come_as_anthropics_clients_send_it() -> None:
    assert checked(HOST, (b"x-api-key", b"ss-key")).key == b"ss-key"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], id="two TE"),
        pytest.param([HOST, (b"transfer-encoding", b"chunked"), (b"content-length", b"3")], id="TE and length"),
        pytest.param([HOST, (b"transfer-encoding", b"gzip, chunked")], id="two codings"),
        pytest.param([HOST, (b"transfer-encoding", b"identity")], id="identity"),
        pytest.param([HOST, (b"content-length", b"3"), (b"content-length", b"3")], id="two lengths"),
        pytest.param([HOST, (b"content-length", b"+3")], id="signed length"),
        pytest.param([HOST, (b"content-length", b"9" * 40)], id="huge length"),
        pytest.param([], id="no host"),
        pytest.param([HOST, HOST], id="two hosts"),
        pytest.param([(b"host", b"a/b?c")], id="host with a path"),
        pytest.param([(b"host", b"user@a")], id="host with a user"),
        pytest.param([(b"host", b"a b")], id="host with a space"),
        pytest.param([(b"host", b"")], id="empty host"),
        pytest.param([HOST, KEY, KEY], id="two keys"),
        pytest.param([HOST, KEY, (b"x-api-key", b"ss-key")], id="both kinds of key"),
        pytest.param([HOST, (b"connection", b"upgrade"), (b"upgrade", b"websocket")], id="upgrade"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadRequest) as refused:
        checked(*headers)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "target",
    [
        b"http://elsewhere/v1/models",
        b"*",
        b"",
        b"v1/models",
        b"//elsewhere/v1/models",
        b"/v1/../admin",
        b"/v1/models/%2e%2e%2fadmin",
        b"/v1//models",
        b"/v1/models#a",
        b"/v1/models\\a",
        b"/v1/mod\xc3\xa9ls",
        b"/v1/models?a b",
    ],
)
def test_a_target_that_is_no_plain_path_is_refused(target: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        checked(HOST, target=target)
    assert refused.value.status == 400


def test_http_1_0_has_no_chunks_and_closes_unless_asked() -> None:
    with pytest.raises(BadRequest):
        checked(HOST, (b"transfer-encoding", b"chunked"), version="1.0")
    assert not checked(version="1.0").keep_alive
    assert checked((b"connection", b"keep-alive"), version="1.0").keep_alive


def test_compressed_bodies_and_too_many_headers_are_refused_by_name() -> None:
    with pytest.raises(BadRequest) as compressed:
        checked(HOST, (b"content-encoding", b"gzip"))
    assert compressed.value.status == 415
    with pytest.raises(BadRequest) as many:
        checked(HOST, *[(b"x-%d" % at, b"") for at in range(MOST_HEADERS)])
    assert many.value.status == 431


@given(st.binary(max_size=40), st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=6))
def test_whatever_comes_is_read_or_refused(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    try:
        head = checked(HOST, *headers, target=target)
    except BadRequest as error:
        status = error.status
    else:
        status = 400
        assert head.path.startswith(b"/")
        assert b"\n" not in head.path + head.query
    assert 400 <= status < 500
