"""Shards: accounts shared out over several keepers, with the alarms of one that keeps them all, to the last bit.

    shard = Shard(reference)                       # in a process of its own
    report = shard.epoch(lines, models_at)

    crowd = Shards(reference, [ask, ask])          # beside the watch; `ask` asks one shard
    Watch(reference, levels, crowd)

What takes time concerns one account alone: reading prompts, sketches, request detectors, habits. An account belongs to
the shard that a hash of its name says, and that shard takes in all its exchanges. At the end of an epoch it reports the
rows of accounts that have changed, and the watch looks for campaigns among all of them. Slots are numbered as accounts
come in the whole stream, and what is known of all, when each model was first used, goes along with the exchanges; so
shards, however many, change no alarm.

Shards do not wait for the watch: they are given epochs ahead of the one it looks at.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from spiritsafe.exchanges.line import dumps, loads
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.detectors.base import Sign
from spiritsafe.guard.watch.accounts import Crowd, Epochs, Seen, meet
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.sketches import Columns
from spiritsafe.text.distinct import hash_of

AHEAD = 4
"""Epochs that shards are given before the first of them is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What an epoch has brought to a shard's N accounts that were in it.

    Attributes:
        names, segments, newest: of each account: its name, its segment, its newest exchange's id.
        rows: their sketches.
        maxima_ND: their largest scores.
        is_due_N: whether its habits were looked at.
        signs: place of the account, detector's number and sign; by time for each account.
        cpu_s: processor seconds that it took.
    """

    names: list[str]
    segments: list[str]
    newest: list[str]
    rows: Columns
    maxima_ND: NDArray[np.float32]
    is_due_N: NDArray[np.bool_]
    signs: list[tuple[int, int, Sign]]
    cpu_s: float


Answer: TypeAlias = Callable[[], Report]
"""Waits for a shard's report."""

Ask: TypeAlias = Callable[[bytes, Mapping[int, float]], Answer]
"""Gives a shard an epoch: the lines of its exchanges in the order of time, and each model's first use by anybody.

Making and reading lines takes half the time that pickling does.
"""


class Shard:
    """The keeper of some accounts, those that `shard_of` gives it."""

    def __init__(self, reference: Reference) -> None:
        self._accounts = reference.accounts()

    def epoch(self, lines: bytes, models_at: Mapping[int, float]) -> Report:
        """Take in its exchanges of one epoch; for what is given see `Ask`."""
        start_s, own = time.process_time(), self._accounts
        own.models_at |= models_at
        seen = own.epoch([loads(line) for line in lines.splitlines()])
        place_of = {int(slot): place for place, slot in enumerate(seen.touched)}
        return Report(
            names=[own.sketches.names[slot] for slot in seen.touched],
            segments=[own.known[slot].segment for slot in seen.touched],
            newest=[own.known[slot].newest for slot in seen.touched],
            rows=own.sketches.rows(seen.touched),
            maxima_ND=own.maxima[seen.touched],
            is_due_N=np.isin(seen.touched, seen.due),
            signs=[(place_of[slot], number, sign) for slot, number, sign in seen.signs],
            cpu_s=time.process_time() - start_s,
        )


class Shards(Crowd):
    """All accounts, kept by shards.

    Args:
        reference: what is ordinary, the same as the shards'.
        asks: one for each shard.
        ahead: see `AHEAD`; how many changes no alarm.
    """

    def __init__(self, reference: Reference, asks: Sequence[Ask], ahead: int = AHEAD) -> None:
        super().__init__(reference.mean_F)
        self.models_at |= reference.models_at
        self._asks, self._ahead = asks, ahead
        # Shards are ahead of the watch, and a model that they have met by then is not known to it yet.
        self._models_sent = dict(reference.models_at)

    def epoch(self, exchanges: Sequence[Exchange]) -> Seen:
        """Have the exchanges of one epoch, in the order of time, taken in."""
        return self._seen(exchanges, self._sent(exchanges))

    def epochs(self, held: Epochs) -> Iterator[tuple[int, Seen]]:
        """Have epoch after epoch taken in, some ahead of the one that is given."""
        under_way = deque[tuple[int, list[Exchange], list[Answer]]]()
        for number, exchanges in held:
            under_way.append((number, exchanges, self._sent(exchanges)))
            if len(under_way) > self._ahead:
                first, own, answers = under_way.popleft()
                yield first, self._seen(own, answers)
        for number, exchanges, answers in under_way:
            yield number, self._seen(exchanges, answers)

    def _sent(self, exchanges: Sequence[Exchange]) -> list[Answer]:
        meet(self._models_sent, exchanges)
        parts: list[list[bytes]] = [[] for _ in self._asks]
        for one in exchanges:
            parts[shard_of(one.account, len(parts))].append(dumps(one))
        models_at = dict(self._models_sent)
        return [ask(b"\n".join(part), models_at) for ask, part in zip(self._asks, parts, strict=True) if part]

    def _seen(self, exchanges: Sequence[Exchange], answers: Sequence[Answer]) -> Seen:
        slots = np.unique(self.slots([one.account for one in exchanges]))
        meet(self.models_at, exchanges)
        due, signs = np.zeros(0, dtype=np.int64), list[tuple[int, int, Sign]]()
        for answer in answers:
            report = answer()
            own = self.slots(report.names)
            self._take(own, report)
            due = np.concatenate([due, own[report.is_due_N]])
            signs += [(int(own[place]), number, sign) for place, number, sign in report.signs]
        signs.sort(key=itemgetter(0))
        return Seen(exchanges[-1].at, len(exchanges), slots, np.sort(due), signs)

    def _take(self, slots: NDArray[np.int64], report: Report) -> None:
        self.sketches.set_rows(slots, report.rows)
        self._maxima[slots] = report.maxima_ND
        for slot, segment, newest in zip(slots.tolist(), report.segments, report.newest, strict=True):
            self.known[slot].segment, self.known[slot].newest = segment, newest
        self.cpu_elsewhere_s += report.cpu_s


def shard_of(name: str, shards: int) -> int:
    """Whose an account is, of so many shards; the same in every process."""
    return hash_of(name) % shards
