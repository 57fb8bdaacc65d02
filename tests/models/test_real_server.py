"""The real thing once: SmolLM2 behind llama.cpp's server, asked over HTTP with log-probabilities and ids."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from spiritsafe.checks.model import check_model
from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling
from spiritsafe.models.api import ApiModel
from spiritsafe.models.embedded import get, is_cached
from spiritsafe.models.endpoints import endpoint_for

pytestmark = pytest.mark.slow

VOCABULARY = 49_152

# In a process of its own: the server's threads end with it, and its log stays out of the test's.
SERVER = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup = 1024, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    if not is_cached("smollm2-135m"):
        pytest.skip("the model is not here; run  spiritsafe models get smollm2-135m")
    pytest.importorskip("xllamacpp")
    command = [sys.executable, "-c", SERVER, str(get("smollm2-135m"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip() + "/v1"
        server.communicate()


def model_at(base_url: str) -> ApiModel:
    return ApiModel(endpoint_for("embedded", base_url), "smollm2-135m")


def asked(base_url: str, *requests: Request) -> list[Exchange]:
    async def main() -> list[Exchange]:
        model = model_at(base_url)
        try:
            return [await model.ask(request) for request in requests]
        finally:
            await model.close()

    return asyncio.run(main())


def test_a_served_model_keeps_a_models_promises(base_url: str) -> None:
    asyncio.run(check_model(lambda: model_at(base_url), at_once=2))


def test_top_log_probabilities_come_with_the_vocabularys_ids(base_url: str) -> None:
    request = Request(
        (Message("user", "Name five colours and say where each is found."),),
        Sampling(temperature=0.0, max_tokens=40, seed=1, top_logprobs=20),
    )
    first, second = asked(base_url, request, request)

    packed = first.logprobs
    assert packed is not None
    assert (packed.has_ids, packed.k) == (True, 20)
    assert packed.tokens == first.usage.output_tokens == 40
    assert len(packed.packed) <= 80 * packed.tokens
    plain = unpack(packed)
    assert max(plain.ids) < VOCABULARY
    best = [plain.ids[at * packed.k] for at in range(packed.tokens)]
    assert list(plain.chosen_ids) == best, "at temperature 0 the likeliest token is chosen"
    mass = sum(2.718281828**logprob for logprob in plain.logprobs[: packed.k])
    assert 0.5 < mass <= 1.01
    assert (first.answer, first.finish_reason) == (second.answer, "length")
    assert packed.packed == (second.logprobs or packed).packed


def test_terms_and_cost_of_ones_own_server_are_known(base_url: str) -> None:
    (exchange,) = asked(base_url, Request((Message("user", "Hi"),), Sampling(max_tokens=4)))

    assert (exchange.source.terms, exchange.source.licence) == ("open_weights", "Apache-2.0")
    assert (exchange.dollars, exchange.price_version) == (0.0, "own hardware")
    assert exchange.usage.input_tokens


def test_a_prompt_beyond_the_context_is_refused_for_good(base_url: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        asked(base_url, Request((Message("user", "word " * 3000),), Sampling(max_tokens=4)))

    assert (raised.value.kind, raised.value.retryable) == ("refused", False)
