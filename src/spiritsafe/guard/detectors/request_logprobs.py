"""Log-probabilities handed out: what trains a student on more of the teacher than its text.

The score is log₂(1 + their number in the account's answers). Evaluation harnesses are given many as well, often for
answers of one token; so it is for calibration within the segment to say how many are strange.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.detectors.base import Scope, Sign
from spiritsafe.guard.detectors.view import View

_COUNTS = struct.Struct("<4Q")


def asks_logprobs(view: View) -> bool:
    """Whether the request asks for log-probabilities."""
    return view.exchange.sampling.top_logprobs is not None


class Harvest:
    """How many log-probabilities an account was given.

    Attributes:
        seen, asked: exchanges; those that ask for log-probabilities.
        short: those of them that limit the answer to one token.
        given: log-probabilities in answers.
    """

    __slots__ = ("asked", "given", "seen", "short")

    def __init__(self, seen: int = 0, asked: int = 0, short: int = 0, given: int = 0) -> None:
        self.seen, self.asked, self.short, self.given = seen, asked, short, given

    def merge(self, other: Harvest) -> Harvest:
        """Those of both."""
        return Harvest(
            self.seen + other.seen, self.asked + other.asked, self.short + other.short, self.given + other.given
        )

    def pack(self) -> bytes:
        """The counts for `LogprobHarvest.unpack`."""
        return _COUNTS.pack(self.seen, self.asked, self.short, self.given)


@dataclass(frozen=True, slots=True)
class LogprobHarvest:
    """The detector of log-probabilities given out."""

    name: str = "logprob_harvest"
    says: str = "log-probabilities handed out"
    scope: Scope = "account"
    state_bytes: int = _COUNTS.size

    def fresh(self) -> Harvest:
        """No exchange."""
        return Harvest()

    def unpack(self, data: bytes) -> Harvest:
        """The counts that were packed.

        Raises:
            StoreError: there are none in `data`.
        """
        if len(data) != _COUNTS.size:
            raise StoreError(f"got {len(data)} bytes that are no counts of log-probabilities: replay the log again")
        return Harvest(*_COUNTS.unpack(data))

    def look(self, view: View, state: Harvest, ordinary: Harvest) -> Sign | None:
        """How many there were, where the request asks for more."""
        if not asks_logprobs(view):
            return None
        given = state.given + _given(view.exchange)
        reasons = (
            f"log-probabilities in its answers so far: {given:,}",
            f"of its {state.seen + 1:,} exchanges {state.asked + 1:,} ask for them, "
            f"{state.short + _is_short(view.exchange):,} in an answer of one token",
        )
        return Sign(self.name, math.log2(1 + given), reasons, (view.exchange.id,))

    def observe(self, view: View, state: Harvest) -> None:
        """Count what the exchange asks for and what its answer gives."""
        asks = asks_logprobs(view)
        state.seen += 1
        state.asked += asks
        state.short += asks and _is_short(view.exchange)
        state.given += _given(view.exchange)

    def learn(self, view: View, ordinary: Harvest) -> None:
        """Count it among the ordinary ones."""
        self.observe(view, ordinary)


def _given(exchange: Exchange) -> int:
    return 0 if exchange.logprobs is None else exchange.logprobs.tokens * max(1, exchange.logprobs.k)


def _is_short(exchange: Exchange) -> bool:
    return exchange.sampling.max_tokens is not None and exchange.sampling.max_tokens <= 1


LOGPROB_HARVEST = LogprobHarvest()
