"""Budget: what may still be spent. The worst case is reserved before sending and settled with what it really cost.

Pure: `Budget` is told of each step and never sends, stores or waits. Money is counted in whole nanodollars, rounded up,
so that no sum drifts. A request that failed but may have been billed keeps its reservation as spent.

Limit: the bound holds as long as no upstream bills more than the worst case of `worst_case`; one that does is counted
in full, and nothing is sent after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import orjson

from spiritsafe.errors import BudgetError, InputError
from spiritsafe.exchanges.entries import NANO, nanodollars
from spiritsafe.exchanges.record import Message, Request, Usage
from spiritsafe.models.prices import Prices

MESSAGE_TOKENS = 16
"""Upper bound of what a chat template adds around one message (role, separators)."""

REQUEST_TOKENS = 64
"""Upper bound of what a chat template adds around a conversation (a default system prompt, the head of the reply)."""

PART_TOKENS = 4096
"""Upper bound of one content part beside its JSON: an image given by its address has no bytes of its own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount of money and of tokens (input and output together)."""

    nanodollars: int = 0
    tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.nanodollars + other.nanodollars, self.tokens + other.tokens)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.nanodollars - other.nanodollars, self.tokens - other.tokens)

    @property
    def dollars(self) -> float:
        """The money in dollars."""
        return self.nanodollars / NANO


def most_input_tokens(messages: Sequence[Message]) -> int:
    """An upper bound of the tokens of `messages`: no byte-level vocabulary uses more than one token a byte."""
    text = sum(len(m.content) if m.content.isascii() else len(m.content.encode()) for m in messages)
    parts = sum(len(orjson.dumps(part)) + PART_TOKENS for m in messages for part in m.parts)
    return text + parts + MESSAGE_TOKENS * len(messages) + REQUEST_TOKENS


def worst_case(request: Request, prices: Prices | None, share: float = 1.0) -> Cost:
    """The most that `request` can cost; with an unknown price only its tokens are bounded.

    Args:
        request: what is to be asked.
        prices: of the model asked.
        share: what is charged of the list price, e.g. 0.5 in a batch.

    Raises:
        InputError: the request sets no `max_tokens`, so that its answer has no bound.
    """
    most_output = request.sampling.max_tokens
    if most_output is None:
        raise InputError("got a request without max_tokens under a budget; set teacher.sampling.max_tokens")
    most_input = most_input_tokens(request.messages)
    if prices is None:
        return Cost(0, most_input + most_output)
    # Dollars per million tokens are 1,000 nanodollars a token.
    money = share * 1_000 * (most_input * prices.input_per_million + most_output * prices.output_per_million)
    return Cost(ceil(money - 1e-9), most_input + most_output)


def actual_cost(usage: Usage, dollars: float | None, reserved: Cost) -> Cost:
    """What an answer cost: as the upstream counted, or as `reserved` where it said nothing."""
    money = reserved.nanodollars if dollars is None else nanodollars(dollars)
    if usage.input_tokens is None or usage.output_tokens is None:
        return Cost(money, reserved.tokens)
    return Cost(money, usage.input_tokens + usage.output_tokens)


class Budget:
    """A hard limit in dollars and in tokens, for all sittings of one run together.

    At every moment `spent + reserved` is within the limits, and so what is billed in the end is too.

    Args:
        dollars: limit in dollars; None for none.
        tokens: limit in tokens, input and output together; None for none.
        spent: what was spent in earlier sittings.
    """

    def __init__(self, dollars: float | None, tokens: int | None, spent: Cost = Cost()) -> None:
        self.limit_nanodollars = None if dollars is None else int(dollars * NANO)
        self.limit_tokens = tokens
        self.in_flight = 0
        # Plain numbers: they change twice a request, where an object each time would be seen in the profile.
        self._spent_nanodollars, self._spent_tokens = spent.nanodollars, spent.tokens
        self._reserved_nanodollars = self._reserved_tokens = 0

    @property
    def spent(self) -> Cost:
        """What was spent, in this sitting and before."""
        return Cost(self._spent_nanodollars, self._spent_tokens)

    @property
    def reserved(self) -> Cost:
        """The worst case of all that is in flight."""
        return Cost(self._reserved_nanodollars, self._reserved_tokens)

    def fits(self, cost: Cost) -> bool:
        """Whether `cost` can be reserved on top of what is spent and reserved."""
        return not self._over_dollars(cost) and not self._over_tokens(cost)

    def _over_dollars(self, cost: Cost) -> bool:
        limit = self.limit_nanodollars
        return limit is not None and self._spent_nanodollars + self._reserved_nanodollars + cost.nanodollars > limit

    def _over_tokens(self, cost: Cost) -> bool:
        limit = self.limit_tokens
        return limit is not None and self._spent_tokens + self._reserved_tokens + cost.tokens > limit

    def try_reserve(self, cost: Cost) -> bool:
        """Set `cost` aside for one request, if it fits; says whether it did."""
        if not self.fits(cost):
            return False
        self._reserved_nanodollars += cost.nanodollars
        self._reserved_tokens += cost.tokens
        self.in_flight += 1
        return True

    def reserve(self, cost: Cost) -> None:
        """Set `cost` aside for one request.

        Raises:
            BudgetError: it does not fit; use `try_reserve` where waiting for requests in flight can help.
        """
        if not self.try_reserve(cost):
            raise self.exhausted(cost)

    def settle(self, reserved: Cost, actual: Cost) -> None:
        """The request that `reserved` was set aside for was answered and cost `actual`."""
        self.release(reserved)
        self._spent_nanodollars += actual.nanodollars
        self._spent_tokens += actual.tokens

    def keep(self, reserved: Cost) -> None:
        """The request failed and may have been billed: its reservation counts as spent."""
        self.settle(reserved, reserved)

    def release(self, reserved: Cost) -> None:
        """The request failed and was certainly not billed."""
        self._reserved_nanodollars -= reserved.nanodollars
        self._reserved_tokens -= reserved.tokens
        self.in_flight -= 1

    def exhausted(self, cost: Cost) -> BudgetError:
        """The error for a request of worst case `cost` that does not fit."""
        if self._over_dollars(cost):
            limit = (self.limit_nanodollars or 0) / NANO
            return BudgetError(
                f"budget of ${limit:.6g} reached: ${self.spent.dollars:.6g} spent, the next request could cost "
                f"${cost.dollars:.6g}; raise budget.dollars and run again: nothing is asked twice"
            )
        return BudgetError(
            f"budget of {self.limit_tokens:,} tokens reached: {self.spent.tokens:,} spent, the next request could "
            f"take {cost.tokens:,}; raise budget.tokens and run again: nothing is asked twice"
        )


def require_price(prices: Prices | None, dollars: float | None, teacher: str) -> None:
    """Check that a budget in dollars can be kept.

    Raises:
        InputError: there is one and the teacher's price is unknown.
    """
    if dollars is not None and prices is None:
        raise InputError(
            f"price of {teacher} is unknown: give teacher.prices or budget.tokens instead of budget.dollars"
        )
