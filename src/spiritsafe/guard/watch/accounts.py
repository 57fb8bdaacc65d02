"""Accounts: everything that is remembered of each account, and the largest score each detector has given it.

Time goes in epochs of ten minutes of exchange time. Within an epoch exchanges are taken in the order of time, whatever
order they came in, and an exchange that comes twice counts once. Habits are looked at when an epoch ends, and only of
accounts that have grown by half since the last look. So nothing depends on how a log was cut or shared out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.detectors import DETECTORS
from spiritsafe.guard.detectors.base import Detector, Sign
from spiritsafe.guard.habits import HABITS
from spiritsafe.guard.habits.base import Ordinary
from spiritsafe.guard.watch.reading import Batch, read
from spiritsafe.guard.watch.sketches import STATE_BYTES, Sketches
from spiritsafe.guard.watch.space import Space

EPOCH_S = 600
FIRST_LOOK, GROWTH = 8, 1.5
"""An account's habits are looked at after 8 exchanges, and again whenever it has half as many more."""

BATCH = 1_024

READERS: tuple[Detector[Any], ...] = tuple(DETECTORS)
NAMES: tuple[str, ...] = (*(one.name for one in READERS), *(one.name for one in HABITS))
"""All detectors of accounts, in the order of their scores."""

MOST_STATE_BYTES = STATE_BYTES + sum(one.state_bytes for one in READERS)
"""What is remembered of an account at most, in bytes."""

Hook = Callable[[int, int, Sign], None]
"""Called with an account's slot, a detector's number, and a sign that is its strongest so far."""


@dataclass(slots=True)
class Account:
    """What is not in columns: the sketches of request detectors, the newest exchange's id, the next look."""

    states: list[Any]
    segment: str
    newest: str = ""
    next_look: int = FIRST_LOOK


class Accounts:
    """All accounts.

    Args:
        space: in which prompts are placed.
        usual: what is ordinary, by request detector; without it a detector has nothing to compare with.

    Attributes:
        sketches: of all accounts.
        known: by slot.
        maxima: largest scores so far, a row an account, in the order of `NAMES`.
    """

    def __init__(self, space: Space, usual: Mapping[str, Any] | None = None) -> None:
        self.space = space
        self.sketches = Sketches()
        self.known: list[Account] = []
        self.models_at: dict[int, float] = {}
        self._usual = [(usual or {}).get(one.name) or one.fresh() for one in READERS]
        self._maxima = np.zeros((64, len(NAMES)), dtype=np.float32)

    @property
    def maxima(self) -> NDArray[np.float32]:
        """Largest scores so far, a row an account."""
        return self._maxima[: len(self.known)]

    def take(self, exchanges: Sequence[Exchange], on_sign: Hook) -> NDArray[np.int64]:
        """Take in the exchanges of one epoch, in the order of time; gives the slots of their accounts, rising."""
        slots = self._slots(exchanges)
        for start in range(0, len(exchanges), BATCH):
            piece = slice(start, start + BATCH)
            batch = read(exchanges[piece], self.space)
            self.sketches.take(batch, slots[piece])
            self._meet_models(batch)
            self._look_at_requests(batch, slots[piece], on_sign)
        return np.unique(slots)

    def _slots(self, exchanges: Sequence[Exchange]) -> NDArray[np.int64]:
        slots = self.sketches.slots([one.account for one in exchanges])
        while len(self.known) < len(self.sketches):
            self.known.append(Account([one.fresh() for one in READERS], ""))
        if len(self._maxima) < len(self.known):
            more = np.zeros((len(self.known) + len(self.known) // 2, len(NAMES)), dtype=np.float32)
            more[: len(self._maxima)] = self._maxima
            self._maxima = more
        for slot, one in zip(slots, exchanges, strict=True):
            self.known[slot].segment = one.segment or "ordinary"
            self.known[slot].newest = one.id
        return slots

    def _meet_models(self, batch: Batch) -> None:
        for model in np.unique(batch.models_N):
            first = float(batch.at_N[batch.models_N == model].min())
            self.models_at[int(model)] = min(first, self.models_at.get(int(model), first))

    def _look_at_requests(self, batch: Batch, slots: NDArray[np.int64], on_sign: Hook) -> None:
        for view, slot in zip(batch.views, slots, strict=True):
            states, best = self.known[slot].states, self._maxima[slot]
            for number, detector in enumerate(READERS):
                sign = detector.look(view, states[number], self._usual[number])
                detector.observe(view, states[number])
                if sign is not None and sign.score > best[number]:
                    best[number] = sign.score
                    on_sign(int(slot), number, sign)

    def look(self, touched: NDArray[np.int64], mean_F: NDArray[np.float64]) -> NDArray[np.int64]:
        """Look at the habits of the accounts among `touched` that are due; gives their slots."""
        seen = self.sketches.columns["seen"]
        due = np.array([slot for slot in touched if seen[slot] >= self.known[slot].next_look], dtype=np.int64)
        if len(due):
            ordinary = Ordinary(mean_F, self.models_at)
            for number, habit in enumerate(HABITS, len(READERS)):
                self._maxima[due, number] = np.maximum(
                    self._maxima[due, number], habit.scores(self.sketches, due, ordinary).astype(np.float32)
                )
            for slot in due:
                self.known[slot].next_look = int(int(seen[slot]) * GROWTH) + 1
        return due


def nothing(slot: int, detector: int, sign: Sign) -> None:
    """The hook of who only wants the scores."""
