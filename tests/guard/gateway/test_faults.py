"""What goes wrong on either side: nobody waits for ever, no part is taken for the whole, all of it is on record."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.guard.gateway.gateways import (
    ASK,
    EVENTS,
    STREAM,
    STREAM_HEAD,
    RawUpstream,
    Running,
    answer_in,
    chunk,
    gateway,
    raw_upstream,
    read_all,
)

from spiritsafe.errors import StoreError
from spiritsafe.guard.settings import Bounds, UpstreamSettings
from spiritsafe.models.replies import Asked, Reply, served_in_thread

LENGTH_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"


def code_of(answer: object) -> object:
    return answer.json["error"]["code"]  # type: ignore[attr-defined]


# --- the upstream ----------------------------------------------------------------------------------------------------


def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with gateway(f"http://127.0.0.1:{port}/v1", tmp_path) as guard:
        answer = guard.post(ASK)
        assert (answer.status, code_of(answer)) == (502, "upstream_unreachable")
        record = guard.only_record()
    assert (record["outcome"], record["status"]) == ("upstream_failed", 502)


def test_an_upstream_that_never_answers(tmp_path: Path) -> None:
    silent = threading.Event()

    def script(connection: socket.socket, up: RawUpstream) -> None:
        silent.wait(20)
        raise EOFError

    with (
        raw_upstream(script) as up,
        gateway(up.url, tmp_path, bounds=Bounds(first_byte_s=0.2)) as guard,
    ):
        answer = guard.post(ASK)
        silent.set()
        assert (answer.status, code_of(answer)) == (504, "upstream_timeout")
        assert guard.only_record()["outcome"] == "timed_out"


@pytest.mark.parametrize("stops_after", [0, 1, 2])
def test_an_upstream_that_stalls_in_its_stream(tmp_path: Path, stops_after: int) -> None:
    stalled = threading.Event()

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(STREAM_HEAD + b"".join(map(chunk, EVENTS[:stops_after])))
        stalled.wait(20)
        raise EOFError

    bounds = Bounds(first_byte_s=0.3, stall_s=0.3)
    with raw_upstream(script) as up, gateway(up.url, tmp_path, bounds=bounds) as guard:
        answer = guard.post(STREAM)
        stalled.set()
        assert not answer.is_whole
        assert answer.body == b"".join(EVENTS[:stops_after])
        record = guard.only_record()
    assert record["outcome"] == "timed_out"
    text = record["response"]["choices"][0]["message"]["content"] if stops_after else ""
    assert text == ["", "Bl", "Blue"][stops_after]


@pytest.mark.parametrize("durability", ["interval", "strict"])
@pytest.mark.parametrize("head", [STREAM_HEAD, LENGTH_HEAD], ids=["stream", "whole"])
def test_an_upstream_that_breaks_off_in_the_middle(tmp_path: Path, durability: str, head: bytes) -> None:
    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(head + (chunk(EVENTS[0]) if head is STREAM_HEAD else b'{"half":'))
        raise EOFError

    with raw_upstream(script) as up, gateway(up.url, tmp_path, durability=durability) as guard:
        answer = guard.post(STREAM)
        assert not answer.is_whole
        assert guard.only_record()["outcome"] == "upstream_broke_off"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 nothing of HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_an_upstream_that_sends_garbage(tmp_path: Path, garbage: bytes) -> None:
    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(garbage)
        raise EOFError

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        answer = guard.post(ASK)
        assert answer.status in (200, 502)
        assert answer.status == 502 or not answer.is_whole
        assert guard.only_record()["outcome"] in ("upstream_failed", "upstream_broke_off")


def test_events_that_are_none_pass_and_the_rest_is_put_together(tmp_path: Path) -> None:
    sent = EVENTS[0] + b"data: {broken\n\n: comment\n\ndata: [1]\n\n\xff\xfe\n\n" + b"".join(EVENTS[1:])

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(STREAM_HEAD + chunk(sent) + b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        assert guard.post(STREAM).body == sent
        assert guard.only_record()["response"]["choices"][0]["message"]["content"] == "Blue"


def test_an_error_of_the_upstream_passes_with_its_status(tmp_path: Path) -> None:
    said = Reply(b'{"error":{"message":"no"}}', status=429, headers={"retry-after": "7"})
    with served_in_thread(lambda asked: said) as up, gateway(up.base_url, tmp_path) as guard:
        answer = guard.post(ASK)
        assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, said.body, "7")
        assert (guard.only_record()["status"], guard.only_record()["outcome"]) == (429, "completed")


def test_an_answer_that_is_no_json_passes_and_is_kept_as_text(tmp_path: Path) -> None:
    page = Reply(b"<html>\xff</html>", status=503, headers={"content-type": "text/html"})
    with served_in_thread(lambda asked: page) as up, gateway(up.base_url, tmp_path) as guard:
        assert guard.post(ASK).body == page.body
        record = guard.only_record()
    assert record["response"] is None
    assert record["response_text"] == "<html>�</html>"


def test_a_compressed_answer_does_not_pass_unseen(tmp_path: Path) -> None:
    packed = Reply(b"\x1f\x8b", headers={"content-encoding": "gzip"})
    with served_in_thread(lambda asked: packed) as up, gateway(up.base_url, tmp_path) as guard:
        answer = guard.post(ASK)
        assert (answer.status, code_of(answer)) == (502, "upstream_compressed")


def test_a_long_answer_passes_whole_and_the_log_keeps_its_beginning(tmp_path: Path) -> None:
    long = b'{"a":"' + b"x" * (3 << 20) + b'"}'
    bounds = Bounds(answer_mb=1)
    with served_in_thread(lambda asked: Reply(long)) as up, gateway(up.base_url, tmp_path, bounds=bounds) as guard:
        assert guard.post(ASK).body == long
        record = guard.only_record()
    assert record["response"] is None
    assert record["outcome"] == "completed"


def test_a_connection_that_an_upstream_has_closed_meanwhile_is_replaced(tmp_path: Path) -> None:
    def script(connection: socket.socket, up: RawUpstream) -> None:
        if len(up.requests) == 2:
            raise EOFError  # as a server does that has just closed an idle connection
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        assert [guard.post(ASK).status for _ in range(2)] == [200, 200]
        assert len(up.requests) == 3


def test_an_answer_without_any_framing_ends_with_its_connection(tmp_path: Path) -> None:
    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        raise EOFError

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        answer = guard.post(ASK)
        assert (answer.body, answer.is_whole) == (b"{}", True)
        assert guard.only_record()["outcome"] == "completed"


# --- the customer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_customer_that_leaves_frees_the_upstream_and_is_on_record(tmp_path: Path, has_begun: bool) -> None:
    came = threading.Event()

    def script(connection: socket.socket, up: RawUpstream) -> None:
        if has_begun:
            connection.sendall(STREAM_HEAD + chunk(EVENTS[0]))
        came.set()
        connection.recv(1)
        raise EOFError

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard:
        with guard.connect() as connection:
            connection.sendall(guard.request(STREAM))
            assert came.wait(10)
            if has_begun:
                while EVENTS[0] not in connection.recv(1 << 16):
                    pass
        assert up.left.wait(10)
        record = guard.only_record()
    assert record["outcome"] == "customer_left"
    if has_begun:
        assert record["response"]["choices"][0]["message"]["content"] == "Bl"


def test_a_customer_that_stops_reading_holds_the_upstream_back(tmp_path: Path) -> None:
    """64 MB are offered; what is under way is a small part of it, and in the end all of it arrives."""
    piece = chunk(b"x" * (1 << 16))
    total, sent, full = 1024, [0], threading.Event()

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(total):
            connection.settimeout(0.5 if not full.is_set() else 20)
            left = memoryview(piece)
            while left:
                try:
                    left = left[connection.send(left) :]
                except TimeoutError:
                    full.set()
                    connection.settimeout(20)
            sent[0] += 1
        connection.sendall(b"0\r\n\r\n")

    with raw_upstream(script) as up, gateway(up.url, tmp_path) as guard, guard.connect() as connection:
        # Else the kernel may hold as much for it as tcp_rmem allows, on some machines 32 MB.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        connection.sendall(guard.request(ASK))
        assert full.wait(20)
        assert sent[0] < total // 2
        assert len(read_all(connection)) > total << 16


@pytest.mark.parametrize("piece", [b"GET /v1/mod", b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(tmp_path: Path, piece: bytes) -> None:
    with gateway("http://127.0.0.1:9/v1", tmp_path, bounds=Bounds(head_s=0.1)) as guard:
        assert answer_in(guard.send(piece)).status == 408
        assert guard.records() == []


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:9/v1", tmp_path, bounds=Bounds(body_s=0.1)) as guard:
        assert answer_in(guard.send(guard.request(ASK)[:-5])).status == 408


def test_a_connection_without_a_request_is_closed(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:9/v1", tmp_path, bounds=Bounds(idle_s=0.1)) as guard:
        assert guard.send() == b""


def test_too_many_connections_are_told_so(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:9/v1", tmp_path, bounds=Bounds(connections=3)) as guard:
        kept = [guard.connect() for _ in range(3)]
        guard.until(lambda: len(guard.desk.customers) == 3)
        assert answer_in(guard.send()).status == 503
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, is_chunked: bool) -> None:
    with gateway("http://127.0.0.1:9/v1", tmp_path, bounds=Bounds(body_mb=0.5)) as guard:
        if is_chunked:
            head = guard.request(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
            sent = head + chunk(b"x" * (1 << 20))
        else:
            sent = guard.request(b"", headers={"content-length": str(1 << 40)})
        answer = answer_in(guard.send(sent))
        assert answer.status == 413
        assert guard.do(lambda: guard.desk.counters.now["malformed"]) == 1


def test_curl_may_ask_whether_its_body_is_welcome(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        head, _, body = guard.request(ASK, headers={"expect": "100-continue"}).partition(b"\r\n\r\n")
        with guard.connect() as connection:
            connection.sendall(head + b"\r\n\r\n")
            assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            assert answer_in(read_all(connection)).status == 200


def test_300_keys_at_once_are_each_answered(tmp_path: Path) -> None:
    with served_in_thread(lambda asked: "blue") as up, gateway(up.base_url, tmp_path) as guard:
        connections = [guard.connect() for _ in range(300)]
        for connection in connections:
            connection.sendall(guard.request(ASK))
        answers = [answer_in(read_all(connection)) for connection in connections]
        for connection in connections:
            connection.close()
        assert {answer.status for answer in answers} == {200}
        records = [record for record in guard.records() if record["k"] != "received"]
    assert len({record["id"] for record in records}) == 300


# --- the disk --------------------------------------------------------------------------------------------------------


class FullDisk:
    """Takes nothing until there is room."""

    def __init__(self) -> None:
        self.has_room = threading.Event()
        self.records: list[bytes] = []

    def append(self, records: Sequence[bytes]) -> None:
        if not self.has_room.is_set():
            raise StoreError("cannot append: No space left on device; make room")
        self.records += records


def with_full_disk(tmp_path: Path, durability: str, test: Callable[[Running, FullDisk], None]) -> None:
    disk = FullDisk()
    with (
        served_in_thread(lambda asked: "blue") as up,
        gateway(up.base_url, tmp_path, durability=durability, append=disk.append) as guard,
    ):
        test(guard, disk)
        disk.has_room.set()


def test_strict_serves_nothing_unlogged_on_a_full_disk_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    def run(guard: Running, disk: FullDisk) -> None:
        with guard.connect() as connection:
            connection.sendall(guard.request(ASK))
            guard.until(lambda: guard.desk.journal.is_failing)
            refused = guard.post(ASK)
            assert (refused.status, code_of(refused)) == (503, "unavailable")
            assert answer_in(guard.send(b"GET /readyz HTTP/1.0\r\n\r\n")).status == 503
            disk.has_room.set()
            assert answer_in(read_all(connection)).status == 200
        guard.until(lambda: not guard.desk.journal.is_failing)
        assert guard.post(ASK).status == 200

    with_full_disk(tmp_path, "strict", run)


def test_interval_serves_on_a_full_disk_and_loses_nothing_that_fits_in_memory(tmp_path: Path) -> None:
    def run(guard: Running, disk: FullDisk) -> None:
        assert [guard.post(ASK).status for _ in range(5)] == [200] * 5
        assert disk.records == []
        disk.has_room.set()
        guard.until(lambda: guard.desk.journal.durable == 5)
        assert guard.desk.journal.dropped == 0

    with_full_disk(tmp_path, "interval", run)


def test_strict_holds_the_end_of_a_stream_until_it_is_on_disk(tmp_path: Path) -> None:
    disk = FullDisk()

    def script(connection: socket.socket, up: RawUpstream) -> None:
        connection.sendall(STREAM_HEAD)
        for event in EVENTS:
            connection.sendall(chunk(event))
        connection.sendall(b"0\r\n\r\n")

    with (
        raw_upstream(script) as up,
        gateway(up.url, tmp_path, durability="strict", append=disk.append) as guard,
        guard.connect() as connection,
    ):
        connection.sendall(guard.request(STREAM))
        data = b""
        while EVENTS[2] not in data:
            data += connection.recv(1 << 16)
        guard.until(lambda: guard.desk.journal.is_failing and not guard.desk.flows)
        assert EVENTS[3] not in data
        disk.has_room.set()
        assert answer_in(data + read_all(connection)).is_whole


def test_what_came_in_equals_what_is_on_disk_whatever_happens(tmp_path: Path) -> None:
    """The invariant, over a mixture of all that can happen."""

    def script(asked: Asked) -> Reply | str:
        kinds: list[Reply | str] = ["blue", Reply(b"{}", cut=3), Reply(b"no", status=500), Reply(b"x" * 10, cut=90)]
        return kinds[asked.number % len(kinds)]

    with served_in_thread(script) as up, gateway(up.base_url, tmp_path) as guard:
        for number in range(40):
            guard.post([ASK, b"{broken", ASK | {"model": 3}, STREAM][number % 4])
        records = [record for record in guard.records() if record["k"] != "received"]
        assert guard.do(lambda: guard.desk.counters.now["requests"]) == 40
        assert guard.desk.journal.durable == 40
    assert len({record["id"] for record in records}) == len(records) == 40


def test_a_hundred_connections_are_a_hundred_and_one_more_is_refused(tmp_path: Path) -> None:
    """What is being made, in use, idle or just swept is counted once each: an upstream's limit is met exactly."""
    most, go_on = 100, threading.Event()

    def script(connection: socket.socket, up: RawUpstream) -> None:
        assert go_on.wait(20)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with raw_upstream(script) as up:
        limited = [UpstreamSettings("up", "openai", up.url, most_connections=most)]
        with gateway("", tmp_path, upstreams=limited) as guard:
            connections = [guard.connect() for _ in range(most)]
            for connection in connections:
                connection.sendall(guard.request(ASK))
            guard.until(lambda: len(up.requests) == most)
            refused = guard.post(ASK)
            assert (refused.status, code_of(refused)) == (502, "upstream_unreachable")
            go_on.set()
            assert {answer_in(read_all(connection)).status for connection in connections} == {200}
            for connection in connections:
                connection.close()
            assert guard.post(ASK).status == 200
