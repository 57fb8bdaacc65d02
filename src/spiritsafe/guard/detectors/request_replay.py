"""Reasoning handles brought to where they were not issued, as the gateway found and refused them (`guard.handles`).

The gateway knows for certain; what is open is how often it happens by honest mistake: a client that cuts the beginning
off a conversation brings its handles to another session, and after a key has changed hands they come from before. So
kinds weigh differently, and the score is log₂(1 + the weights of all replays so far): 2.3 for the first handle of
another account, and one more for every doubling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from spiritsafe.guard.detectors.base import Scope, Sign
from spiritsafe.guard.detectors.tally import Tally, prompt_hash, tally_bytes
from spiritsafe.guard.detectors.view import View
from spiritsafe.wire.shapes import dict_of, text_of

KINDS: tuple[tuple[str, float, str], ...] = (
    ("account", 4.0, "issued to another account"),
    ("forged", 2.0, "never issued here, or changed"),
    ("model", 1.0, "issued for another model"),
    ("session", 1.0, "issued in another conversation"),
    ("foreign", 0.5, "from before handles were bound"),
)
"""What `guard.handles` calls it, its weight, and in words."""

_PLACES = {kind: place for place, (kind, _, _) in enumerate(KINDS)}


def _kind_of(view: View) -> int | None:
    other = view.exchange.other
    replayed = text_of(dict_of(other.get("record")).get("replayed")) or text_of(other.get("replayed"))
    return None if replayed is None else _PLACES.get(replayed)


@dataclass(frozen=True, slots=True)
class Replay:
    """The detector."""

    name: str = "replay"
    says: str = "a reasoning handle where it was not issued"
    scope: Scope = "account"
    state_bytes: int = tally_bytes(len(KINDS))

    def fresh(self) -> Tally:
        """No exchange."""
        return Tally(len(KINDS))

    def unpack(self, data: bytes) -> Tally:
        """The tally that was packed."""
        return Tally.unpack(data, len(KINDS))

    def look(self, view: View, state: Tally, ordinary: Tally) -> Sign | None:
        """All replays of the account, where this is one."""
        found = _kind_of(view)
        if found is None:
            return None
        counts = [count + (place == found) for place, count in enumerate(state.counts)]
        weight = sum(count * weight for count, (_, weight, _) in zip(counts, KINDS, strict=True))
        reasons = tuple(
            f"reasoning handles {words}: {count:,}" for count, (_, _, words) in zip(counts, KINDS, strict=True) if count
        )
        return Sign(self.name, math.log2(1 + weight), reasons, (view.exchange.id,))

    def observe(self, view: View, state: Tally) -> None:
        """Count the exchange."""
        kind = _kind_of(view)
        state.add(kind, 0 if kind is None else view.once("prompt hash", prompt_hash))

    def learn(self, view: View, ordinary: Tally) -> None:
        """Count the exchange among the ordinary ones."""
        self.observe(view, ordinary)


REPLAY = Replay()
