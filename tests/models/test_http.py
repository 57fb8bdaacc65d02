import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from spiritsafe.errors import InputError, StoreError, UpstreamError
from spiritsafe.models.http import Came, Http, wait_text
from spiritsafe.models.replies import Asked, Reply, ReplyServer, serve_scripted

T = TypeVar("T")


def over(
    script: Callable[[Asked], Reply | Awaitable[Reply]],
    use: Callable[[Http], Awaitable[T]],
    *,
    timeout_s: float = 20.0,
    max_body_bytes: int = 1 << 20,
) -> tuple[T, ReplyServer]:
    """What `use` makes of a client whose upstream is `script`."""

    async def main() -> tuple[T, ReplyServer]:
        async with serve_scripted(script) as server:
            http = Http(server.base_url, {"x-ours": "yes"}, timeout_s, max_body_bytes)
            try:
                return await use(http), server
            finally:
                await http.close()

    return asyncio.run(main())


def post(http: Http) -> Awaitable[Came]:
    return http.post("/x", b"{}")


def failing(script: Callable[[Asked], Reply | Awaitable[Reply]], **limits: float) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        over(script, post, **limits)  # type: ignore[arg-type]
    return raised.value


def test_bytes_go_out_and_come_back() -> None:
    came, server = over(lambda asked: Reply(b"ok" + asked.body), post)

    assert came == Came(200, b"ok{}")
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.headers["x-ours"]) == ("POST", "/v1/x", "yes")
    assert asked.headers["user-agent"].startswith("spiritsafe/")


def test_a_connection_is_kept() -> None:
    async def thrice(http: Http) -> None:
        for _ in range(3):
            await http.post("/x", b"")

    _, server = over(lambda asked: Reply(b""), thrice)

    assert (len(server.asked), server.connections) == (3, 1)


def test_a_redirect_is_not_followed() -> None:
    came, server = over(lambda asked: Reply(status=302, headers={"location": "/elsewhere"}), post)

    assert came.status == 302
    assert len(server.asked) == 1


def test_a_compressed_body_is_read() -> None:
    came, _ = over(lambda asked: Reply(gzip.compress(b"x" * 5000), headers={"content-encoding": "gzip"}), post)

    assert came.body == b"x" * 5000


@pytest.mark.parametrize("cut", [0, 20, 150, 60_000])
def test_an_answer_that_breaks_off_may_have_been_charged(cut: int) -> None:
    error = failing(lambda asked: Reply(b"x" * 100_000, cut=cut))

    assert (error.kind, error.retryable, error.maybe_billed) == ("broken_off", True, True)


def test_an_answer_that_never_comes_may_have_been_charged() -> None:
    async def never(asked: Asked) -> Reply:
        await asyncio.Event().wait()
        return Reply()

    error = failing(never, timeout_s=0.05)

    assert (error.kind, error.retryable, error.maybe_billed) == ("timeout", True, True)
    assert "did not answer within 0.05 s" in str(error)


def test_a_host_that_is_not_there_has_charged_nothing() -> None:
    async def main() -> UpstreamError:
        async with serve_scripted(lambda asked: Reply()) as server:
            gone = server.base_url
        http = Http(gone, {}, 20.0)
        with pytest.raises(UpstreamError) as raised:
            await http.post("/x", b"")
        await http.close()
        return raised.value

    error = asyncio.run(main())

    assert (error.kind, error.retryable, error.maybe_billed) == ("unreachable", True, False)
    assert str(error).startswith("cannot reach 127.0.0.1:")
    assert "is it running?" in str(error)


def test_a_body_that_cannot_be_decompressed_is_malformed() -> None:
    error = failing(lambda asked: Reply(b"not gzip", headers={"content-encoding": "gzip"}))

    assert (error.kind, error.maybe_billed) == ("malformed", True)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"x" * 3000),
        Reply(gzip.compress(b"x" * 3000), headers={"content-encoding": "gzip"}),
        Reply(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n0\r\n\r\n", headers={"transfer-encoding": "chunked"}),
    ],
)
def test_more_than_the_cap_is_not_read(reply: Reply) -> None:
    error = failing(lambda asked: reply, max_body_bytes=2999)

    assert (error.kind, error.retryable, error.maybe_billed) == ("malformed", False, True)


def test_exactly_the_cap_is_read() -> None:
    came, _ = over(lambda asked: Reply(b"x" * 3000), post, max_body_bytes=3000)

    assert len(came.body) == 3000


@pytest.mark.parametrize(
    ("retry_after", "retry_after_ms", "wait"),
    [
        (None, None, None),
        ("3", None, "3"),
        (" 3.5 ", None, "3.5"),
        ("3", "250", "0.25"),
        ("3", "soon", "3"),
        ("Tue, 24 Nov 2026 12:00:30 GMT", None, "30"),
        ("Tue, 24 Nov 2026 11:59:30 GMT", None, "0"),
        ("Wed, 99 Foo 2026", None, "Wed, 99 Foo 2026"),
    ],
)
def test_the_wait_is_in_seconds_however_it_was_said(
    retry_after: str | None, retry_after_ms: str | None, wait: str | None
) -> None:
    noon_s = 1_795_521_600.0

    assert wait_text(retry_after, retry_after_ms, noon_s) == wait


def test_the_wait_is_looked_for_in_failures() -> None:
    came, _ = over(lambda asked: Reply(status=429, headers={"Retry-After": "7"}), post)

    assert came.wait == "7"


def test_a_file_is_uploaded_as_a_form(tmp_path: Path) -> None:
    file = tmp_path / "batch.jsonl"
    file.write_bytes(b'{"a": 1}\n' * 1000)
    came, server = over(lambda asked: Reply(b"{}"), lambda http: http.upload("/files", file, {"purpose": "batch"}))

    asked = server.asked[0]
    assert came.status == 200
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="purpose"\r\n\r\nbatch\r\n' in asked.body
    assert b'name="file"; filename="batch.jsonl"' in asked.body
    assert file.read_bytes() in asked.body


def test_a_file_that_is_not_there_is_not_uploaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        over(lambda asked: Reply(), lambda http: http.upload("/files", tmp_path / "gone", {}))


def test_a_download_goes_to_a_file_whatever_the_cap(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    came, _ = over(lambda asked: Reply(b"x" * 300_000), lambda http: http.download("/f", target), max_body_bytes=10)

    assert came == Came(200, b"")
    assert target.read_bytes() == b"x" * 300_000


def test_a_download_that_fails_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    came, _ = over(lambda asked: Reply(b"gone", 404), lambda http: http.download("/f", target))

    assert (came.status, came.body, target.exists()) == (404, b"gone", False)


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write"):
        over(lambda asked: Reply(b"x"), lambda http: http.download("/f", tmp_path / "no" / "folder"))


def test_what_is_asked_after_closing_is_a_mistake() -> None:
    async def main() -> None:
        http = Http("http://127.0.0.1:9/v1", {}, 20.0)
        await http.close()
        with pytest.raises(RuntimeError, match="closed"):
            await http.post("/x", b"")

    asyncio.run(main())
