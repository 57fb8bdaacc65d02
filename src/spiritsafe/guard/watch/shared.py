"""Accounts of which several machines see a part each: a gateway's own exchanges, and the sketches of the others.

    crowd = Shared(reference, others)
    Watch(reference, levels, crowd)

Each machine says, when an epoch ends, all that it has seen by then of the accounts that were in it. What a machine says
of an account takes the place of what it said before; the account is the merge of what each machine says now. So nothing
counts twice, however often it is said, and in whatever order. Habits and campaigns are judged on the merge. An alarm
about one exchange is raised by the machine that saw it, and a request detector that compares it with the account's
earlier ones knows those of its own machine.

An account takes twice the memory of one that is not shared, and what each other machine says of it besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.detectors.base import Sign
from spiritsafe.guard.watch.accounts import READERS, Crowd, Seen, meet
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.sketches import NO_PROMPT, last_at


@dataclass(frozen=True, slots=True)
class Part:
    """What one machine has seen of an account.

    Attributes:
        segment: of its newest exchange.
        newest: that exchange's id.
        scores: its largest, by request detector.
        sketch: packed.
    """

    segment: str
    newest: str
    scores: tuple[float, ...]
    sketch: bytes

    def to_bytes(self) -> bytes:
        """It for `from_bytes`."""
        return orjson.dumps([self.segment, self.newest, self.scores]) + b"\n" + self.sketch

    @classmethod
    def from_bytes(cls, data: bytes) -> Part:
        """The part that `to_bytes` wrote.

        Raises:
            StoreError: the bytes are none, damaged, or of another version.
        """
        head, _, sketch = data.partition(b"\n")
        last_at(sketch)
        try:
            segment, newest, scores = orjson.loads(head)
            part = cls(str(segment), str(newest), tuple(float(one) for one in scores), sketch)
        except (ValueError, TypeError):
            raise StoreError(
                f"got {len(data)} bytes that say nothing of an account; use one release everywhere"
            ) from None
        if len(part.scores) != len(READERS):
            raise StoreError(
                f"got the scores of {len(part.scores)} request detectors, wanted those of {len(READERS)}; "
                "use one release everywhere"
            )
        return part


Heard = tuple[str, str, Part]
"""A machine, an account, and what the one says of the other."""

PartOf = Callable[[str], Part]


class Others(Protocol):
    """The other machines."""

    def share(self, at: float, names: Iterable[str], part_of: PartOf) -> Sequence[Heard]:
        """Say what is new of some accounts, and hear what is new elsewhere; nothing where nobody is reached.

        Args:
            at: unix seconds by which it was seen.
            names: of the accounts.
            part_of: what this machine has seen of an account by now.
        """
        ...


class Shared(Crowd):
    """All accounts, as this machine and others have seen them.

    Args:
        reference: what is ordinary.
        others: the other machines.
    """

    def __init__(self, reference: Reference, others: Others) -> None:
        super().__init__(reference.mean_F)
        self.models_at |= reference.models_at
        self._own = reference.accounts()
        self._others = others
        self._theirs: dict[str, dict[str, Part]] = {}

    def epoch(self, exchanges: Sequence[Exchange]) -> Seen:
        """Take in this machine's exchanges of one epoch, in the order of time, and what is new elsewhere."""
        found, known = list[tuple[int, int, Sign]](), self._own.sketches.names
        names = [known[slot] for slot in self._own.take(exchanges, lambda *sign: found.append(sign))]
        heard = self._others.share(exchanges[-1].at, names, self._part)
        for machine, name, part in heard:
            self._theirs.setdefault(name, {})[machine] = part
        changed = [*dict.fromkeys((*names, *sorted(name for _, name, _ in heard)))]
        slots = self.slots(changed)
        for slot, name in zip(slots.tolist(), changed, strict=True):
            self._merge(slot, name)
        meet(self.models_at, exchanges)
        self._meet_theirs(slots)
        signs = [(self.sketches.slot_of[known[slot]], number, sign) for slot, number, sign in found]
        signs.sort(key=itemgetter(0))
        touched = np.sort(slots)
        return Seen(exchanges[-1].at, len(exchanges), touched, self.look(touched), signs)

    def _part(self, name: str) -> Part:
        slot = self._own.sketches.slot_of[name]
        one, scores = self._own.known[slot], self._own.maxima[slot, : len(READERS)]
        return Part(one.segment, one.newest, tuple(scores.tolist()), self._own.sketches.pack(slot))

    def _parts(self, name: str) -> Mapping[str, Part]:
        theirs = self._theirs.get(name, {})
        return {"": self._part(name), **theirs} if name in self._own.sketches.slot_of else theirs

    def _merge(self, slot: int, name: str) -> None:
        first, *rest = parts = tuple(self._parts(name).values())
        self.sketches.replace(name, first.sketch)
        for part in rest:
            self.sketches.put(name, part.sketch)
        newest = max(parts, key=lambda one: (last_at(one.sketch), one.newest))
        self.known[slot].segment, self.known[slot].newest = newest.segment, newest.newest
        self._maxima[slot, : len(READERS)] = np.max([one.scores for one in parts], axis=0)

    def _meet_theirs(self, slots: NDArray[np.int64]) -> None:
        """Of each account's models the first use; those of others are known by nothing else."""
        models, first = (self.sketches.columns[name][slots] for name in ("models", "model_first"))
        used = models != NO_PROMPT
        for model, at in zip(models[used].tolist(), first[used].tolist(), strict=True):
            self.models_at[model] = min(at, self.models_at.get(model, at))
