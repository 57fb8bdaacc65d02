import asyncio
import os
from typing import Any

import orjson
import pytest

from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.exchanges.record import Message, Request, Sampling
from spiritsafe.models.api import ApiModel
from spiritsafe.models.endpoints import Endpoint
from spiritsafe.models.parsing import LARGE_BYTES, Parsers
from spiritsafe.models.replies import Asked, Reply, serve_scripted
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat import CHAT, ChatDialect


def large_answer(tokens: int = 60, k: int = 20) -> bytes:
    top = [{"id": rank, "token": f"t{rank}", "bytes": [116], "logprob": -0.1 - rank} for rank in range(k)]
    content = [top[at % k] | {"top_logprobs": top} for at in range(tokens)]
    choice = {"message": {"content": "hi"}, "finish_reason": "stop", "logprobs": {"content": content}}
    return orjson.dumps({"choices": [choice]})


def test_a_large_answer_is_parsed_in_another_process_and_a_small_one_here() -> None:
    async def script(asked: Asked) -> Reply:
        return Reply(large_answer() if asked.text == "large" else large_answer(1))

    async def main() -> list[bool]:
        async with serve_scripted(script) as server:
            model = ApiModel(Endpoint("lab", server.base_url), "big")
            started = []
            for text in ("small", "large"):
                exchange = await model.ask(Request((Message("user", text),), Sampling(top_logprobs=20)))
                assert exchange.logprobs is not None
                assert exchange.logprobs.k == 20
                assert unpack(exchange.logprobs).chosen_ids[0] == 0
                started.append(model._parsers.started)
            await model.close()
            return [*started, model._parsers.started]

    assert len(large_answer()) > LARGE_BYTES > len(large_answer(1))
    assert asyncio.run(main()) == [False, True, False]


def test_errors_come_back_whole() -> None:
    async def main() -> UpstreamError:
        parsers = Parsers()
        with pytest.raises(UpstreamError) as raised:
            await parsers.parse(CHAT, b"<html>")
        parsers.close()
        return raised.value

    error = asyncio.run(main())

    assert (error.kind, error.maybe_billed) == ("malformed", True)
    assert "wanted a chat completion" in str(error)


class Deadly(ChatDialect):
    """Ends the process that unpickles it, as the kernel does when memory runs out."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_an_answer_is_not_lost_when_the_other_process_is_killed() -> None:
    async def main() -> list[Answer]:
        parsers = Parsers()
        deadly = Deadly("deadly", "max_tokens")
        survived = await asyncio.gather(*(parsers.parse(deadly, large_answer()) for _ in range(3)))
        answers = [*survived, await parsers.parse(CHAT, large_answer())]
        parsers.close()
        return answers

    assert asyncio.run(main()) == [CHAT.parse(large_answer())] * 4
