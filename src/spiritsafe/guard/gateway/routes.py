"""Which upstream answers a request, and the bytes that it is sent.

A head is written anew for each request: the path from a fixed table, the headers from a list, Host and key from the
configuration. So nothing that a customer writes can choose where a request goes or whose key pays for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spiritsafe.guard.gateway.answers import Header
from spiritsafe.guard.gateway.heads import Head
from spiritsafe.guard.gateway.upstream import Pool
from spiritsafe.guard.settings import UpstreamSettings
from spiritsafe.wire.surfaces import Surface

FORWARDED = (
    b"accept",
    b"content-type",
    b"user-agent",
    b"anthropic-version",
    b"anthropic-beta",
    b"openai-beta",
    b"x-client-request-id",
    b"x-stainless-helper-method",
)
"""Headers of a customer that an upstream gets: what the formats give a meaning to, and nothing that tells who asks."""


@dataclass(frozen=True, slots=True)
class Route:
    """One upstream.

    Attributes:
        settings: what the configuration says of it.
        pool: the connections to it.
        base: the path before "/chat/completions", in bytes.
        fixed: the headers that are the same for every request, as lines.
    """

    settings: UpstreamSettings
    pool: Pool
    base: bytes
    fixed: bytes

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.settings.name

    def start_of(self, head: Head, more: Iterable[Header] = ()) -> bytes:
        """The beginning of a request with that head, and `more` headers: what does not depend on its body."""
        fields = head.fields
        lines = [b"%b %b%b%b HTTP/1.1\r\n" % (head.method, self.base, head.path, head.query), self.fixed]
        lines += [b"%b: %b\r\n" % (name, fields[name]) for name in FORWARDED if name in fields]
        lines += [b"%b: %b\r\n" % header for header in more]
        return b"".join(lines)


def rendered(start: bytes, surface: Surface, body: bytes, more: Iterable[Header]) -> bytes:
    """The bytes of a request that begins with `start`; the body as it came."""
    if more:
        start += b"".join([b"%b: %b\r\n" % header for header in more])
    if surface.method == "POST":
        return b"%bcontent-length: %d\r\n\r\n%b" % (start, len(body), body)
    return b"%b\r\n%b" % (start, body)


def fixed_headers(settings: UpstreamSettings, host: str, key: str | None) -> bytes:
    """The lines for `host` and the operator's `key`; compressed answers could not be read on their way."""
    lines = [f"host: {host}", "accept-encoding: identity"]
    if key is not None:
        lines.append(f"x-api-key: {key}" if settings.api == "anthropic" else f"authorization: Bearer {key}")
    return "".join(f"{line}\r\n" for line in lines).encode()


class Routes:
    """All upstreams, asked in their order."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = list(routes)
        self._prices = {route.name: route.settings for route in self._routes}
        self._found: dict[tuple[str, str], Route] = {}

    def route(self, api: str, model: str) -> Route | None:
        """The first that speaks `api` and serves `model`; without a model the first that speaks it."""
        found = self._found.get((api, model))
        if found is not None:
            return found
        found = next((one for one in self._routes if _serves(one.settings, api, model)), None)
        if found is not None and len(self._found) < 4096:
            self._found[(api, model)] = found
        return found

    def dollars(self, name: str, read: int, written: int) -> float | None:
        """What so many tokens cost at the upstream `name`; None where its prices are not known."""
        price = self._prices[name]
        if price.input_dollars is None or price.output_dollars is None:
            return None
        return (read * price.input_dollars + written * price.output_dollars) / 1e6

    def sweep(self) -> None:
        """Close connections that nobody has used for a while."""
        for route in self._routes:
            route.pool.sweep()

    def close(self) -> None:
        """Close all that carry no request."""
        for route in self._routes:
            route.pool.close()


def _serves(settings: UpstreamSettings, api: str, model: str) -> bool:
    return settings.api == api if not model else settings.serves(api, model)
