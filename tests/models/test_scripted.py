import asyncio

import pytest

from spiritsafe.checks.model import check_model
from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling, Source, Usage
from spiritsafe.models.scripted import ScriptedModel
from spiritsafe.wire.base import Answer

HELLO = Request((Message("user", "hello there"),))


def asked(model: ScriptedModel, request: Request = HELLO) -> Exchange:
    return asyncio.run(model.ask(request))


def test_a_scripted_model_keeps_a_models_promises() -> None:
    asyncio.run(check_model(lambda: ScriptedModel(lambda request: "hi")))


def test_it_says_what_it_is_told_and_counts_words() -> None:
    model = ScriptedModel(lambda request: request.messages[-1].content.upper() + " YOU", dollars_per_token=0.5)
    exchange = asked(model)

    assert (exchange.answer, exchange.usage, exchange.dollars) == ("HELLO THERE YOU", Usage(2, 3), 2.5)
    assert model.asked == [HELLO]


def test_an_answer_beyond_the_limit_is_cut_and_says_so() -> None:
    exchange = asked(ScriptedModel(lambda request: "one two three"), Request(HELLO.messages, Sampling(max_tokens=2)))

    assert (exchange.answer, exchange.finish_reason) == ("one two", "length")


def test_a_whole_answer_is_passed_on_with_what_it_says_of_itself() -> None:
    said = Answer("4", "2 + 2", "content_filter", version="v2", fingerprint="fp", dollars=0.25)
    exchange = asked(ScriptedModel(lambda request: said, source=Source("lab", "m")))

    assert (exchange.reasoning, exchange.finish_reason, exchange.dollars) == ("2 + 2", "content_filter", 0.25)
    assert exchange.source == Source("lab", "m", "v2", "fp")
    assert exchange.usage == Usage(2, 4, 3)


def test_it_fails_when_told_to() -> None:
    error = UpstreamError("no", kind="server", retryable=True)
    with pytest.raises(UpstreamError) as raised:
        asked(ScriptedModel(lambda request: error))

    assert raised.value is error


def test_an_unknown_price_stays_unknown() -> None:
    exchange = asked(ScriptedModel(lambda request: "hi", dollars_per_token=None))

    assert (exchange.dollars, exchange.price_version) == (None, None)


def test_a_script_decides_when_the_answer_comes() -> None:
    async def main() -> list[str]:
        order: list[str] = []
        second_done = asyncio.Event()

        async def script(request: Request) -> str:
            if request.sample == 0:
                await second_done.wait()
            order.append(f"sample {request.sample}")
            return "hi"

        model = ScriptedModel(script)
        first = asyncio.create_task(model.ask(HELLO))
        await model.ask(Request(HELLO.messages, sample=1))
        second_done.set()
        await first
        return order

    assert asyncio.run(main()) == ["sample 1", "sample 0"]
