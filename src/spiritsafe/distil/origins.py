"""Origins: who answered, when, on what terms, and what it took, read off the stored exchanges of a run.

One pass over the exchange lines; memory does not grow with their number. Dollars of which one part is unknown are
unknown: a sum never takes an unknown price for zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from spiritsafe.exchanges.record import Exchange, Source


@dataclass(slots=True)
class Origins:
    """What a set of exchanges says about itself.

    Attributes:
        source: of the first exchange; None where there is none.
        versions, fingerprints, permissions, terms: the distinct ones, in order of appearance.
        first_at, last_at: unix seconds of the first and the last asking.
        exchanges: how many.
        input_tokens, output_tokens: as far as the upstream counted them.
        dollars: what they cost, whoever's budget paid; None as soon as one price is unknown.
        unpriced: exchanges whose price is unknown.
        price_versions: versions of the price tables used.
    """

    source: Source | None = None
    versions: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    first_at: float | None = None
    last_at: float | None = None
    exchanges: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = 0.0
    unpriced: int = 0
    price_versions: list[str] = field(default_factory=list)

    def add(self, exchange: Exchange) -> None:
        """Count one exchange."""
        source = exchange.source
        self.source = self.source or source
        _note(self.versions, source.version)
        _note(self.fingerprints, source.fingerprint)
        _note(self.permissions, source.permission)
        _note(self.terms, source.terms)
        _note(self.price_versions, exchange.price_version)
        self.first_at = exchange.at if self.first_at is None else min(self.first_at, exchange.at)
        self.last_at = exchange.at if self.last_at is None else max(self.last_at, exchange.at)
        self.exchanges += 1
        self.input_tokens += exchange.usage.input_tokens or 0
        self.output_tokens += exchange.usage.output_tokens or 0
        self.unpriced += exchange.dollars is None
        self.dollars = None if self.dollars is None or exchange.dollars is None else self.dollars + exchange.dollars

    def to_json(self) -> dict[str, Any]:
        """The part a report and a card show as provenance."""
        source = self.source or Source()
        return {
            "endpoint": source.endpoint,
            "model": source.model,
            "versions": self.versions,
            "fingerprints": self.fingerprints,
            "terms": self.terms[0] if len(self.terms) == 1 else "unknown",
            "licence": source.licence,
            "permission": "; ".join(self.permissions) or None,
            "terms_as_of": source.terms_as_of,
            "first_asked": day(self.first_at),
            "last_asked": day(self.last_at),
        }


def origins_of(exchanges: Iterable[Exchange]) -> Origins:
    """The origins of `exchanges`."""
    found = Origins()
    for exchange in exchanges:
        found.add(exchange)
    return found


def day(at: float | None) -> str | None:
    """The UTC date of a unix time."""
    return None if at is None else datetime.fromtimestamp(at, UTC).date().isoformat()


def _note(values: list[str], value: str | None) -> None:
    if value and value not in values:
        values.append(value)
