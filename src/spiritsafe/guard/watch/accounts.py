"""Accounts: everything that is remembered of each account, and the largest score each detector has given it.

Time goes in epochs of ten minutes of exchange time. Within an epoch exchanges are taken in the order of time, whatever
order they came in, and an exchange that comes twice counts once. Habits are looked at when an epoch ends, and only of
accounts that have grown by half since the last look. So nothing depends on how a log was cut or shared out.

    crowd.epoch(exchanges)              # what it has brought: accounts, due looks, signs

`Accounts` does it all by itself. Other crowds let others take the exchanges in, and hold what is looked at of every
account: `shards` and `shared`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.detectors import DETECTORS
from spiritsafe.guard.detectors.base import Detector, Sign
from spiritsafe.guard.habits import HABITS
from spiritsafe.guard.habits.base import Ordinary
from spiritsafe.guard.watch.reading import Batch, model_of, read
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

Epochs = Iterable[tuple[int, list[Exchange]]]
"""Numbers of epochs and their exchanges, in order."""


@dataclass(slots=True)
class Account:
    """What is not in columns.

    Attributes:
        states: sketches of request detectors, where the exchanges are taken in.
        segment: the newest exchange's.
        newest: its id.
        next_look: habits are looked at when so many exchanges were seen.
    """

    states: list[Any] = field(default_factory=list)
    segment: str = ""
    newest: str = ""
    next_look: int = FIRST_LOOK


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What an epoch has brought.

    Attributes:
        at: unix seconds of its last exchange.
        exchanges: how many.
        touched: slots of the accounts that are other than before, rising.
        due: slots of those whose habits were looked at, rising.
        signs: slot, detector's number and sign, each the strongest of its account until then; by slot, then by time.
    """

    at: float
    exchanges: int
    touched: NDArray[np.int64]
    due: NDArray[np.int64]
    signs: list[tuple[int, int, Sign]]


class Crowd(ABC):
    """What a watch looks at of all accounts.

    Args:
        mean_F: the mean over ordinary accounts of their mean features.

    Attributes:
        sketches: of all accounts.
        known: by slot.
        models_at: unix seconds of each model's first use, by the hash of its name.
        cpu_elsewhere_s: processor seconds that other processes have spent on it.
    """

    def __init__(self, mean_F: NDArray[np.float64]) -> None:
        self.sketches = Sketches()
        self.known: list[Account] = []
        self.models_at: dict[int, float] = {}
        self.cpu_elsewhere_s = 0.0
        self._mean_F = mean_F
        self._maxima = np.zeros((64, len(NAMES)), dtype=np.float32)

    @abstractmethod
    def epoch(self, exchanges: Sequence[Exchange]) -> Seen:
        """Take in the exchanges of one epoch, in the order of time."""

    def epochs(self, held: Epochs) -> Iterator[tuple[int, Seen]]:
        """Take in epoch after epoch; each is asked for when what the one before has brought was looked at."""
        for number, exchanges in held:
            yield number, self.epoch(exchanges)

    @property
    def maxima(self) -> NDArray[np.float32]:
        """Largest scores so far, a row an account, in the order of `NAMES`."""
        return self._maxima[: len(self.known)]

    @property
    def ordinary(self) -> Ordinary:
        """What habits are compared with."""
        return Ordinary(self._mean_F, self.models_at)

    def slots(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The slot of each account; those not met before get one, in the order of their coming."""
        slots = self.sketches.slots(names)
        while len(self.known) < len(self.sketches):
            self.known.append(self._fresh())
        if len(self._maxima) < len(self.known):
            more = np.zeros((len(self.known) + len(self.known) // 2, len(NAMES)), dtype=np.float32)
            more[: len(self._maxima)] = self._maxima
            self._maxima = more
        return slots

    def look(self, touched: NDArray[np.int64]) -> NDArray[np.int64]:
        """Look at the habits of the accounts among `touched` that are due; gives their slots."""
        seen = self.sketches.columns["seen"]
        due = np.array([slot for slot in touched if seen[slot] >= self.known[slot].next_look], dtype=np.int64)
        if len(due):
            ordinary = self.ordinary
            for number, habit in enumerate(HABITS, len(READERS)):
                self._maxima[due, number] = np.maximum(
                    self._maxima[due, number], habit.scores(self.sketches, due, ordinary).astype(np.float32)
                )
            for slot in due:
                self.known[slot].next_look = int(int(seen[slot]) * GROWTH) + 1
        return due

    def _fresh(self) -> Account:
        return Account()


class Accounts(Crowd):
    """All accounts, kept by themselves.

    Args:
        space: in which prompts are placed.
        mean_F: as for `Crowd`.
        usual: what is ordinary, by request detector; without it a detector has nothing to compare with.
    """

    def __init__(self, space: Space, mean_F: NDArray[np.float64], usual: Mapping[str, Any] | None = None) -> None:
        super().__init__(mean_F)
        self.space = space
        self._usual = [(usual or {}).get(one.name) or one.fresh() for one in READERS]

    def epoch(self, exchanges: Sequence[Exchange]) -> Seen:
        """Take in the exchanges of one epoch, in the order of time; look at the habits that are due."""
        signs: list[tuple[int, int, Sign]] = []
        touched = self.take(exchanges, lambda *sign: signs.append(sign))
        signs.sort(key=itemgetter(0))
        return Seen(exchanges[-1].at, len(exchanges), touched, self.look(touched), signs)

    def take(self, exchanges: Sequence[Exchange], on_sign: Hook) -> NDArray[np.int64]:
        """Take in the exchanges of one epoch, in the order of time; gives the slots of their accounts, rising."""
        slots = self.slots([one.account for one in exchanges])
        for slot, one in zip(slots, exchanges, strict=True):
            self.known[slot].segment = one.segment or "ordinary"
            self.known[slot].newest = one.id
        meet(self.models_at, exchanges)
        for start in range(0, len(exchanges), BATCH):
            piece = slice(start, start + BATCH)
            batch = read(exchanges[piece], self.space)
            self.sketches.take(batch, slots[piece])
            self._look_at_requests(batch, slots[piece], on_sign)
        return np.unique(slots)

    def _fresh(self) -> Account:
        return Account([one.fresh() for one in READERS])

    def _look_at_requests(self, batch: Batch, slots: NDArray[np.int64], on_sign: Hook) -> None:
        for view, slot in zip(batch.views, slots, strict=True):
            states, best = self.known[slot].states, self._maxima[slot]
            for number, detector in enumerate(READERS):
                sign = detector.look(view, states[number], self._usual[number])
                detector.observe(view, states[number])
                if sign is not None and sign.score > best[number]:
                    best[number] = sign.score
                    on_sign(int(slot), number, sign)


def meet(models_at: dict[int, float], exchanges: Iterable[Exchange]) -> None:
    """Note when each model was first used."""
    for one in exchanges:
        model = model_of(one)
        if one.at < models_at.get(model, float("inf")):
            models_at[model] = one.at


def nothing(slot: int, detector: int, sign: Sign) -> None:
    """The hook of who only wants the scores."""
