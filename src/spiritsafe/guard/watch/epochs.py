"""Epochs: exchanges put together by ten minutes of their own time, each once, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.watch.accounts import EPOCH_S


def epoch_of(at: float) -> int:
    """The number of the epoch of unix seconds `at`."""
    return int(at // EPOCH_S)


def epochs(exchanges: Iterable[Exchange]) -> Iterator[tuple[int, list[Exchange]]]:
    """(number, exchanges) of each epoch of a log whose epochs come one after the other."""
    number, held = None, []
    for exchange in exchanges:
        own = epoch_of(exchange.at)
        if own != number and number is not None:
            yield number, in_order(held)
            held = []
        number = own
        held.append(exchange)
    if number is not None:
        yield number, in_order(held)


def in_order(exchanges: list[Exchange]) -> list[Exchange]:
    """By time and id, each id once."""
    once: dict[str, Exchange] = {}
    for _, name, exchange in sorted(((one.at, _name(one), one) for one in exchanges), key=itemgetter(0, 1)):
        once.setdefault(name, exchange)
    return list(once.values())


def _name(exchange: Exchange) -> str:
    """Its id; of one without, all that it says."""
    return exchange.id or dumps(exchange).decode()
