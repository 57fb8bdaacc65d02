"""Lease: what keeps a budget hard across `kill -9`.

Requests in flight may be billed although their answers never reach the ledger. So before a request is sent, the most
that all requests in flight may cost is on disk as the level of a lease. A process that ends well settles its lease; the
left-over lease of one that was killed is charged in full when the ledger is next opened. The level grows by doubling,
so it is written a few times a run and not once a request.
"""

from __future__ import annotations

from collections.abc import Callable

from spiritsafe.errors import StoreError, shown
from spiritsafe.exchanges.entries import LeaseLevel


class Lease:
    """The durable bound of what one budget has in flight; made by `Ledger.lease`.

    Args:
        charged_to: whose budget.
        write: makes a level durable; raises StoreError where it cannot.

    Limits: one thread at a time.
    """

    def __init__(self, charged_to: str, write: Callable[[LeaseLevel], None]) -> None:
        self._write = write
        self.level = LeaseLevel(charged_to)
        self.is_settled = False

    def raise_to(
        self,
        dollars: float | None,
        tokens: int,
        most_dollars: float | None = None,
        most_tokens: int | None = None,
    ) -> None:
        """Make sure that at least `dollars` and `tokens` are on disk; call it before a request is sent.

        Args:
            dollars: worst case of all requests in flight, that request included; None where the price is unknown.
            tokens: the same in tokens, input and output together.
            most_dollars, most_tokens: what is left of the budget: the level does not grow past it by doubling, so a
                crash does not charge more than the budget.

        Raises:
            StoreError: the level could not be written, or the lease is settled; the request must not be sent.
        """
        if self.is_settled:
            raise StoreError(f"the lease of {shown(self.level.charged_to)} is settled; take a new one from the ledger")
        level = self.level
        enough_dollars = level.dollars is None or (dollars is not None and dollars <= level.dollars)
        if enough_dollars and tokens <= level.tokens:
            return
        unknown = level.dollars is None or dollars is None
        grown = LeaseLevel(
            level.charged_to,
            None if unknown else _grown(level.dollars or 0.0, dollars or 0.0, most_dollars),
            int(_grown(level.tokens, tokens, most_tokens)),
        )
        self._write(grown)
        self.level = grown

    def settle(self) -> None:
        """Give the lease up: nothing is in flight any more, and all that was is in the ledger.

        Raises:
            StoreError: it could not be written; the lease will be charged when the ledger is next opened.
        """
        nothing = LeaseLevel(self.level.charged_to)
        if self.level != nothing:
            self._write(nothing)
            self.level = nothing
        self.is_settled = True


def _grown(level: float, wanted: float, most: float | None) -> float:
    """`level` where it is enough, else twice as much, within `most` where that is enough."""
    if wanted <= level:
        return level
    return max(wanted, 2 * level if most is None else min(2 * level, most))
