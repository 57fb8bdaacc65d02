"""Model: whatever answers a prompt. "Teacher" is a role a model plays."""

from __future__ import annotations

from typing import Protocol

from spiritsafe.exchanges.record import Exchange, Request, Source


class Model(Protocol):
    """Something that can be asked.

    A model does one attempt a call: retries, pacing, the ledger and the budget belong to whoever asks.
    """

    @property
    def source(self) -> Source:
        """Who this is and on what terms it answers; copied onto every exchange."""
        ...

    @property
    def dialect(self) -> str:
        """The name of the API format spoken, or "local" / "scripted"."""
        ...

    async def ask(self, request: Request) -> Exchange:
        """Ask once.

        The exchange's `id` is "" and `charged_to` is "": the ledger fills them in.

        Raises:
            UpstreamError: no answer, or an error instead of one.
        """
        ...

    async def close(self) -> None:
        """Let go of connections or weights. Asking afterwards is an error."""
        ...
