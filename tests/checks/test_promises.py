"""A check that nothing can fail is no check: each is shown an extension that breaks one promise."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from spiritsafe.checks.dialect import check_dialect
from spiritsafe.checks.model import check_model
from spiritsafe.checks.promise import BrokenPromise
from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.record import Exchange, Request, Source
from spiritsafe.models.scripted import ScriptedModel
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat import ChatDialect


@dataclass(frozen=True)
class Broken(ChatDialect):
    """Chat completions with one thing wrong."""

    name: str = "broken"
    limit_field: str = "max_tokens"


class SendsDefaults(Broken):
    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"temperature": 1.0} | orjson.loads(super().render(model, request, extra_body)))


class LosesTheModel(Broken):
    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        return super().render("another", request, extra_body)


class IgnoresExtraFields(Broken):
    def render(self, model: str, request: Request, extra_body: Mapping[str, Any]) -> bytes:
        return super().render(model, request, {})


class RaisesWhatItLikes(Broken):
    def parse(self, body: bytes) -> Answer:
        return replace(super().parse(body), text=orjson.loads(body)["choices"][0]["message"]["content"].strip())


class ForgetsTheBill(Broken):
    def parse(self, body: bytes) -> Answer:
        try:
            return super().parse(body)
        except UpstreamError as error:
            raise UpstreamError(str(error), kind=error.kind, retryable=True) from None


class RetriesARefusedKey(Broken):
    def error(self, status: int, body: bytes, retry_after: str | None) -> UpstreamError:
        error = super().error(status, body, retry_after)
        return UpstreamError(str(error), **error.facts | {"retryable": True})


class QuotesWholeBodies(Broken):
    def error(self, status: int, body: bytes, retry_after: str | None) -> UpstreamError:
        return UpstreamError(repr(body) + "\n", **super().error(status, body, retry_after).facts)


class PutsTheKeyInTwoHeaders(Broken):
    def headers(self, key: str | None) -> dict[str, str]:
        return super().headers(key) | {"x-api-key": key or ""}


class DropsReasoning(Broken):
    def parse(self, body: bytes) -> Answer:
        return replace(super().parse(body), reasoning=None)


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (SendsDefaults, "sampling that is not set is not sent"),
        (LosesTheModel, "the body names the model"),
        (IgnoresExtraFields, "the endpoint's fields are sent"),
        (RaisesWhatItLikes, "parse raises nothing but UpstreamError"),
        (ForgetsTheBill, "may have been billed"),
        (RetriesARefusedKey, "HTTP 401 is final"),
        (QuotesWholeBodies, "one printable line"),
        (PutsTheKeyInTwoHeaders, "one header holds the key"),
        (DropsReasoning, "the reasoning survives"),
    ],
)
def test_a_dialect_that_breaks_a_promise_is_caught(broken: type[Broken], promise: str) -> None:
    with pytest.raises(BrokenPromise, match=promise):
        check_dialect(broken())


class Fills(ScriptedModel):
    """A scripted model whose exchanges have `changes` made to them."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(lambda request: "hi")
        self.changes = changes

    async def ask(self, request: Request) -> Exchange:
        return replace(await super().ask(request), **self.changes)


class Immortal(ScriptedModel):
    async def close(self) -> None:
        """Stays open."""


@pytest.mark.parametrize(
    ("changes", "promise"),
    [
        ({"id": "abc"}, "left to the ledger"),
        ({"charged_to": "me"}, "left to the ledger"),
        ({"messages": ()}, "holds the messages"),
        ({"sample": 0}, "which sample"),
        ({"dialect": "chat"}, "names the dialect"),
        ({"source": Source("scripted", "scripted")}, "carries the model's terms"),
        ({"dollars": None}, "whose price"),
        ({"dollars": -1.0}, "not negative"),
    ],
)
def test_a_model_that_breaks_a_promise_is_caught(changes: dict[str, Any], promise: str) -> None:
    with pytest.raises(BrokenPromise, match=promise):
        asyncio.run(check_model(lambda: Fills(**changes)))


def test_a_model_that_answers_after_it_was_closed_is_caught() -> None:
    with pytest.raises(BrokenPromise, match="a closed model does not answer"):
        asyncio.run(check_model(lambda: Immortal(lambda request: "hi")))
