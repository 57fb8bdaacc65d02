"""Who asks and for what, as far as a request's head tells."""

from __future__ import annotations

from typing import Any

from spiritsafe.guard.gateway.answers import Header
from spiritsafe.guard.gateway.book import Known
from spiritsafe.guard.gateway.heads import Head
from spiritsafe.guard.gateway.routes import Route
from spiritsafe.wire.surfaces import Surface


class Caller:
    """What follows from a head alone: found once for all requests of a connection that repeat it.

    Attributes:
        head: the head.
        account: whose key it has.
        api: whose clients send such a head: an error must come in the shape that they read.
        surface: what it asks for; None where there is no such thing.
        client: what is known of the client, for the record.

    Args:
        more: headers for the upstream, beside those of the head that are passed on.
    """

    __slots__ = ("_more", "_route", "_start", "account", "api", "client", "head", "surface")

    def __init__(
        self,
        head: Head,
        account: Known,
        api: str,
        surface: Surface | None,
        client: dict[str, Any],
        more: tuple[Header, ...] = (),
    ) -> None:
        self.head = head
        self.account = account
        self.api = api
        self.surface = surface
        self.client = client
        self._more = more
        self._route: Route | None = None
        self._start = b""

    def start(self, route: Route) -> bytes:
        """The beginning of the request to `route`: that of the last request, if it went there too."""
        if self._route is not route:
            self._route, self._start = route, route.start_of(self.head, self._more)
        return self._start
