"""The watch beside a running gateway: a process that reads the gateway's log as it is written.

    live = Live(folder, reference)
    alarms = live.step(now_s)          # every second or so

What is found becomes evidence, from which policy decides; in shadow mode nothing comes of it. Alarms also go to
`alarms.jsonl` in the gateway's folder. It is the watch of a replay, fed epoch by epoch, each closed `GRACE_S`
after its end.

Limits: an exchange that took longer than that counts in the epoch in which it ended, where a replay counts it when it
began. Where gateways share through Redis, what the others saw in an epoch is heard when the next one ends. A watch that
starts anew begins with what is in segments then, and does not raise again what it had raised of that before; what was
compacted before is left to a replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from spiritsafe.errors import StoreError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.log.reading import exchange_from
from spiritsafe.guard.log.tail import Tail
from spiritsafe.guard.policy import Evidence
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.watch.accounts import EPOCH_S
from spiritsafe.guard.watch.alarms import Alarm
from spiritsafe.guard.watch.epochs import epoch_of, in_order
from spiritsafe.guard.watch.others import RedisOthers
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.replay import ALARMS
from spiritsafe.guard.watch.shared import Shared
from spiritsafe.guard.watch.watch import Levels, Watch

GRACE_S = 60.0
"""Exchanges that began in an epoch may end so long after it."""


class Live:
    """A watch over the log of the gateway in `folder`.

    Args:
        folder: the gateway's.
        reference: what is ordinary.
        levels: of false alarms.
        others: the watches of other gateways, where there are some.
    """

    def __init__(
        self, folder: Path, reference: Reference, levels: Levels | None = None, others: RedisOthers | None = None
    ) -> None:
        self._folder = folder
        self._tail = Tail(GuardFolder(folder).segments)
        self._held: dict[int, list[Exchange]] = {}
        self._told = _told_in(folder / ALARMS)
        self.watch = Watch(reference, levels, Shared(reference, others) if others else None)

    def step(self, now_s: float) -> list[Alarm]:
        """Read what is new; the alarms of the epochs that are over by `now_s`, unix seconds, kept as evidence.

        Raises:
            StoreError: the disk did not take it.
        """
        while True:
            for record in self._tail.read():
                self._hold(exchange_from(record))
            if not self._tail.is_behind:
                break
        alarms: list[Alarm] = []
        for number in sorted(self._held):
            if (number + 1) * EPOCH_S + GRACE_S <= now_s:
                alarms += self.watch.epoch(number, in_order(self._held.pop(number)))
        alarms = [alarm for alarm in alarms if _mark(alarm.line()) not in self._told]
        if alarms:
            self._keep(alarms, now_s)
        return alarms

    @property
    def waiting(self) -> dict[int, int]:
        """How many exchanges wait for the end of their epoch, by its number."""
        return {number: len(exchanges) for number, exchanges in self._held.items()}

    def _hold(self, exchange: Exchange) -> None:
        if exchange.account and exchange.at > 0:
            self._held.setdefault(epoch_of(exchange.at), []).append(exchange)

    def _keep(self, alarms: Sequence[Alarm], now_s: float) -> None:
        try:
            with (self._folder / ALARMS).open("ab") as file:
                file.writelines(alarm.line() for alarm in alarms)
        except OSError as error:
            raise StoreError(f"cannot write alarms: {error.strerror}; make room and start the watch again") from error
        with Rulings.open(self._folder, now_s=lambda: now_s) as rulings:
            rulings.add_evidence(evidence(alarms))


def _told_in(path: Path) -> set[bytes]:
    """Marks of the alarms in a file; none where there is no file."""
    if not path.exists():
        return set()
    with path.open("rb") as file:
        return {_mark(line) for line in file}


def _mark(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()


def evidence(alarms: Iterable[Alarm]) -> list[Evidence]:
    """What alarms say about each account, for policy."""
    return [
        Evidence(
            "campaign" if alarm.scope == "campaign" else alarm.evidence[0].detector,
            account,
            alarm.at,
            alarm.e_value,
            tuple(one.reason for one in alarm.evidence),
            campaign=alarm.subject if alarm.scope == "campaign" else None,
        )
        for alarm in alarms
        for account in alarm.accounts
    ]
