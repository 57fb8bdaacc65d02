"""What every model promises, whatever it is: an API, local weights, a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spiritsafe.checks.promise import promise
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling
from spiritsafe.models.base import Model

REQUEST = Request((Message("system", "Be brief."), Message("user", "Say hi.")), Sampling(max_tokens=16), sample=2)


async def check_model(make_model: Callable[[], Model], request: Request = REQUEST, at_once: int = 4) -> None:
    """Everything a model promises about an answer, about asking at once, and about being closed.

    Args:
        make_model: makes a fresh model that answers `request`.
        request: what is asked.
        at_once: how many requests are in flight together.

    Raises:
        BrokenPromise: the first promise that is not kept.
    """
    model = make_model()
    try:
        exchanges = await asyncio.gather(*(model.ask(request) for _ in range(at_once)))
        for exchange in exchanges:
            check_exchange(model, request, exchange)
    finally:
        await model.close()
    await _check_closed(model, request)


def check_exchange(model: Model, request: Request, exchange: Exchange) -> None:
    """What an exchange says of the request, of the model, and of what it cost."""
    promise(exchange.messages == request.messages, "the exchange holds the messages asked", exchange.messages)
    promise(exchange.sampling == request.sampling, "the exchange holds the sampling asked", exchange.sampling)
    promise(exchange.sample == request.sample, "the exchange says which sample it is", exchange.sample)
    promise(exchange.id == "" and exchange.charged_to == "", "id and charged_to are left to the ledger")
    promise(exchange.dialect == model.dialect, "the exchange names the dialect", exchange.dialect)
    promise(exchange.at > 0, "the exchange says when it was asked", exchange.at)
    promise(bool(exchange.finish_reason), "the exchange has a finish reason")
    for name in ("endpoint", "model", "terms", "licence", "permission", "terms_as_of"):
        said, own = getattr(exchange.source, name), getattr(model.source, name)
        promise(said == own, f"the exchange carries the model's {name}", said)
    promise(exchange.dollars is None or exchange.dollars >= 0, "a cost is not negative", exchange.dollars)
    promise((exchange.dollars is None) == (exchange.price_version is None), "a known cost says whose price it is")
    last_byte_s = exchange.timing.last_byte_s
    promise(last_byte_s is None or last_byte_s >= 0, "time does not run backwards", last_byte_s)


async def _check_closed(model: Model, request: Request) -> None:
    try:
        await model.ask(request)
    except Exception:
        return
    promise(False, "a closed model does not answer")
