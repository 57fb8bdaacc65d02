import asyncio
import http.client
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UpstreamError
from spiritsafe.models.replies import Asked, Reply, ReplyServer, serve_scripted, served_in_thread, take_request

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}


def post(server: ReplyServer, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_one_script_answers_in_the_format_that_was_spoken() -> None:
    def script(asked: Asked) -> str:
        return f"{asked.model}: {asked.text}"

    with served_in_thread(script) as server:
        _, _, chat = post(server, "/v1/chat/completions", ASK)
        _, _, anthropic = post(server, "/v1/messages", ASK)

    assert orjson.loads(chat)["choices"][0]["message"]["content"] == "m: Hello"
    assert orjson.loads(anthropic)["content"] == [{"type": "text", "text": "m: Hello"}]
    assert [asked.number for asked in server.asked] == [0, 1]
    assert server.asked[0].request.sampling.max_tokens == 3


def test_an_answer_beyond_the_limit_is_cut() -> None:
    with served_in_thread(lambda asked: "one two three four") as server:
        _, _, body = post(server, "/v1/chat/completions", ASK)

    choice = orjson.loads(body)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two three", "length")


def test_an_error_goes_out_with_its_status_and_its_wait() -> None:
    error = UpstreamError("slow down", kind="rate_limited", retryable=True, retry_after_s=1.5)
    with served_in_thread(lambda asked: error) as server:
        status, headers, body = post(server, "/v1/chat/completions", ASK)

    assert (status, headers["retry-after"]) == (429, "1.5")
    assert orjson.loads(body)["error"]["message"] == "slow down"


def test_a_reply_goes_out_as_it_is() -> None:
    reply = Reply(b"<html>", 502, {"content-type": "text/html", "x-a": "b"})
    with served_in_thread(lambda asked: reply) as server:
        status, headers, body = post(server, "/anything?at=all", {})

    assert (status, headers["content-type"], headers["x-a"], body) == (502, "text/html", "b", b"<html>")


@pytest.mark.parametrize("cut", [0, 10, 100])
def test_a_connection_breaks_off_where_it_is_told_to(cut: int) -> None:
    with (
        served_in_thread(lambda asked: Reply(b"x" * 1000, cut=cut)) as server,
        pytest.raises((http.client.HTTPException, ConnectionError)),
    ):
        post(server, "/v1/chat/completions", ASK)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/elsewhere"])
def test_a_script_that_fails_is_seen_and_not_retried(path: str) -> None:
    def script(asked: Asked) -> str:
        return "text" if path.endswith("elsewhere") else str(1 // 0)

    with served_in_thread(script) as server:
        status, _, body = post(server, path, ASK)

    assert status == 400
    assert b"the script failed" in body


def test_requests_of_one_connection_are_answered_in_order_even_when_sent_at_once() -> None:
    raw = b"POST /a HTTP/1.1\r\ncontent-length: 1\r\n\r\n1POST /b HTTP/1.1\r\nContent-Length: 1\r\n\r\n2"

    async def script(asked: Asked) -> Reply:
        await asyncio.sleep(0)
        return Reply(asked.body, headers={"connection": "close"}, cut=None if asked.path == "/a" else 10**6)

    async def main() -> bytes:
        async with serve_scripted(script) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(raw)
            said = await reader.read()
            writer.close()
            return said

    said = asyncio.run(main())
    assert said.index(b"\r\n\r\n1") < said.index(b"\r\n\r\n2")


def test_a_taken_port_is_an_error_and_not_a_hang() -> None:
    with (
        served_in_thread(lambda asked: "hi") as server,
        pytest.raises(OSError, match="address"),
        served_in_thread(lambda asked: "hi", port=server.port),
    ):
        pass


@given(st.binary(max_size=30), st.booleans(), st.integers(1, 7))
def test_a_request_is_taken_once_it_is_complete_whatever_the_split(body: bytes, chunked: bool, step: int) -> None:
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n" if chunked else body
    length = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    whole = b"PUT /x HTTP/1.1\r\nHost: h\r\n" + length + b"\r\n\r\n" + framed
    received = bytearray()

    taken = []
    for at in range(0, len(whole), step):
        received += whole[at : at + step]
        if (came := take_request(received)) is not None:
            taken.append((at, came))

    assert [came[0::3] for _, came in taken] == [("PUT", body)]
    assert taken[0][0] + step >= len(whole)
    assert not received
