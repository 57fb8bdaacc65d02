from typing import Any

import orjson
import pytest

from spiritsafe.checks.dialect import GARBAGE
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.record import Message, Sampling, Usage
from spiritsafe.wire.embeddings import EMBEDDINGS

ANSWER = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}


@pytest.mark.parametrize(
    ("given", "turns"),
    [
        ("tree", [Message("user", "tree")]),
        (["tree", ""], [Message("user", "tree"), Message("user", "")]),
        ([1, 2], [Message("user", "", ({"type": "tokens", "tokens": [1, 2]},))]),
        ([[1], [2, 3]], [Message("user", "", ({"type": "tokens", "tokens": one},)) for one in ([1], [2, 3])]),
        ([{"type": "image_url"}], [Message("user", "", ({"type": "image_url"},))]),
    ],
)
def test_each_input_is_a_user_turn(given: Any, turns: list[Message]) -> None:
    model, request = EMBEDDINGS.read(orjson.dumps({"model": "m", "input": given, "dimensions": 8}))

    assert (model, request.messages, request.sampling) == ("m", tuple(turns), Sampling(other=(("dimensions", 8),)))


@pytest.mark.parametrize("body", [*GARBAGE[:8], b'{"input": 7}', b'{"input": []}', b'{"input": [1, "a"]}'])
def test_a_customer_who_sends_no_input_is_told_so(body: bytes) -> None:
    with pytest.raises(InputError, match="wanted"):
        EMBEDDINGS.read(body)


def test_an_answer_has_no_text_but_its_usage_and_model() -> None:
    answer = EMBEDDINGS.parse(orjson.dumps(ANSWER))

    assert (answer.text, answer.usage, answer.version) == ("", Usage(5), "text-embedding-3-small")


def test_an_error_inside_a_success_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="slow down") as raised:
        EMBEDDINGS.parse(orjson.dumps({**ANSWER, "error": {"message": "slow down", "code": 429}}))

    assert raised.value.kind == "rate_limited"


@pytest.mark.parametrize("body", GARBAGE)
def test_a_success_without_embeddings_is_an_upstream_error(body: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        EMBEDDINGS.parse(body)

    assert raised.value.maybe_billed
