"""Serving: what is refused before anything starts, and the real thing (slow)."""

import asyncio
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling
from spiritsafe.models import embedded
from spiritsafe.models.api import ApiModel
from spiritsafe.models.endpoints import endpoint_for
from spiritsafe.models.front import base_url, listening
from spiritsafe.models.serve import Plan, serving, started


def test_a_missing_file_is_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.gguf"), serving(tmp_path / "nothing.gguf", "x"):
        pass


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"PK\x03\x04 something else")

    with pytest.raises(InputError, match="not a GGUF file"), serving(path, "x"):
        pass


@pytest.mark.parametrize("bad", [{"processes": 0}, {"n_ctx": 0}, {"port": -1}, {"port": 65536}])
def test_numbers_out_of_range_are_refused(bad: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one process"), serving(tmp_path / "m.gguf", "x", **bad):
        pass


def test_a_taken_port_is_named() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(InputError, match=f"port {port}"):
            listening("127.0.0.1", port)


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(InputError, match=r"192\.0\.2\.1"):
        listening("192.0.2.1", 0)


@pytest.mark.parametrize(("host", "wanted"), [("127.0.0.1", "http://127.0.0.1:80/v1"), ("::1", "http://[::1]:80/v1")])
def test_the_address_is_one_a_client_takes(host: str, wanted: str) -> None:
    assert base_url(host, 80) == wanted
    assert urlsplit(base_url(host, 80)).hostname == host


def test_a_key_that_is_not_set_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    plan = Plan(str(path), "x", api_key_env="OUR_KEY")

    with pytest.raises(InputError, match=r"\$OUR_KEY is not set; set it to the API key"), started(plan, environ={}):
        pass


KEY = "sesame-42"


@pytest.fixture(scope="module")
def locked_url(new_gguf: Callable[..., tuple[Path, Any]]) -> Iterator[str]:
    """The base URL of llama.cpp behind a gate that asks for KEY."""
    pytest.importorskip("xllamacpp")
    path, _ = new_gguf()
    plan = Plan(str(path), "tiny", processes=1, n_ctx=128, api_key_env="OUR_KEY")
    with started(plan, environ=os.environ | {"OUR_KEY": KEY}) as served:
        yield served.base_url


def answer_for(url: str, key: str) -> Exchange:
    """What a model of this package is answered when its key is `key`."""

    async def ask() -> Exchange:
        endpoint = endpoint_for("embedded", url, key_env="OUR_KEY")
        model = ApiModel(endpoint, "tiny", environ={"OUR_KEY": key})
        try:
            return await model.ask(Request((Message("user", "a"),), Sampling(max_tokens=3)))
        finally:
            await model.close()

    return asyncio.run(ask())


def test_a_client_with_the_key_is_answered(locked_url: str) -> None:
    assert answer_for(locked_url, KEY).usage.output_tokens >= 1


def test_a_client_with_another_key_is_told_so(locked_url: str) -> None:
    with pytest.raises(UpstreamError, match=r"the key in \$OUR_KEY was refused") as caught:
        answer_for(locked_url, "other")

    assert (caught.value.kind, caught.value.status) == ("auth", 401)


def raw(url: str, data: bytes) -> bytes:
    """All that comes back on one connection for `data`."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_second_request_cannot_follow_the_first_unchecked(locked_url: str) -> None:
    first = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: keep-alive\r\n\r\n"
    second = "GET /props HTTP/1.1\r\nHost: x\r\n\r\n"

    came = raw(locked_url, (first + second).encode())

    assert came.startswith(b"HTTP/1.1 200 ")
    assert came.count(b"HTTP/1.1 ") == 1
    assert raw(locked_url, second.encode()).startswith(b"HTTP/1.1 401 ")


def test_the_health_of_a_locked_server_is_open(locked_url: str) -> None:
    assert raw(locked_url, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_a_damaged_gguf_is_an_upstream_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(UpstreamError, match="could not serve") as caught, serving(path, "x"):
        pass

    assert caught.value.kind == "server"


@pytest.mark.slow
def test_a_taken_port_is_an_input_error_from_the_parent() -> None:
    path = embedded.get("smollm2-135m")
    with listening("127.0.0.1", 0) as taken:
        plan = Plan(str(path), "x", port=taken.getsockname()[1])

        with pytest.raises(InputError, match="another port"), started(plan):
            pass


def completion(url: str, prompt: str) -> dict[str, object]:
    """One chat completion over a connection of its own."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 3,
    }
    connection.request("POST", f"{address.path}/chat/completions", json.dumps(body))
    response = connection.getresponse()
    assert response.status == 200
    answer = json.loads(response.read())
    connection.close()
    return dict(answer)


@pytest.mark.slow
def test_the_real_model_answers_several_at_once_with_logprobs_and_is_gone_afterwards() -> None:
    with serving(embedded.get("smollm2-135m"), "tiny") as url:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda prompt: completion(url, prompt), ["Say hello."] * 4))
        address = urlsplit(url)

    texts = {json.dumps(answer["choices"][0]["message"]) for answer in answers}  # type: ignore[index]
    tops = [token["top_logprobs"] for a in answers for token in a["choices"][0]["logprobs"]["content"]]  # type: ignore[index]
    assert len(texts) == 1
    assert {answer["model"] for answer in answers} == {"tiny"}
    assert {len(top) for top in tops} == {3}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=5)
