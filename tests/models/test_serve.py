"""Serving: what is refused before anything starts, and the real thing (slow)."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.models import embedded
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
