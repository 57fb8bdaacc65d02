"""What other machines have used, as they say it, brought into a worker's meter; and what this worker says of itself.

Each worker of each machine, a member, says how much it has counted for an account, and says it again when that has
changed. So what is said twice counts once, what got lost is said again, and nobody has to be asked to undo anything.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from spiritsafe.guard.database import Database
from spiritsafe.guard.limits import DAY_S, Counts, Meter, together

MOST_NAMES = 1 << 16
"""Accounts that are kept in mind."""

AT_ONCE = 256
"""Accounts that are looked at in one go."""

_COUNTS = Struct("<9Q")


class Names:
    """The names of accounts, which all machines know them by, and their slots in the cells of this one."""

    def __init__(self, file: Database) -> None:
        self._file = file
        self._slots: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def slot(self, name: str) -> int | None:
        """The slot of the account with that name; None where it is not known here, or not yet."""
        slot = self._slots.get(name)
        if slot is None:
            for (slot,) in self._file.read("select rowid from accounts where name = ?", name):
                self._keep(name, slot)
        return slot

    def name(self, slot: int) -> str | None:
        """The account with that slot."""
        name = self._names.get(slot)
        if name is None:
            for (name,) in self._file.read("select name from accounts where rowid = ?", slot):
                self._keep(name, slot)
        return name

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _keep(self, name: str, slot: int) -> None:
        if len(self._slots) >= MOST_NAMES:
            self._slots.clear()
            self._names.clear()
        self._slots[name] = slot
        self._names[slot] = name


class Elsewhere:
    """What the meter of one worker and the rest of the world have to tell each other.

    Args:
        meter: of this worker.
        slot_of: the slot of the account with that name; None where it is not known here, or not yet.
        now_s: the clock, unix seconds.
    """

    def __init__(self, meter: Meter, slot_of: Callable[[str], int | None], now_s: Callable[[], float]) -> None:
        self._meter = meter
        self._slot_of = slot_of
        self._now_s = now_s
        self._parts: dict[str, dict[str, bytes]] = {}
        self._open: dict[str, set[str]] = {}
        self._living: frozenset[str] = frozenset()
        self._unplaced: set[str] = set()
        self._day = 0
        self._to_check: list[str] = []

    def own(self, slot: int) -> bytes:
        """What this worker has to say of an account."""
        return _COUNTS.pack(*self._meter.here(slot, self._now_s()))

    def take(self, name: str, member: str, said: bytes) -> None:
        """`member` says this of the account `name`; what nobody could have said is passed over."""
        if len(said) != _COUNTS.size:
            return
        self._parts.setdefault(name, {})[member] = said
        opened = self._open.setdefault(member, set())
        if _counts(said).open_now:
            opened.add(name)
        else:
            opened.discard(name)
        self._place(name)

    def lives(self, living: frozenset[str]) -> None:
        """Only these members are there: requests that others had open are not under way any more."""
        changed, self._living = self._living ^ living, living
        for member in changed:
            for name in self._open.get(member, ()):
                self._place(name)

    def look_again(self) -> None:
        """Accounts may have become known."""
        unplaced, self._unplaced = self._unplaced, set()
        for name in unplaced:
            self._place(name)

    def forget(self) -> None:
        """Forget what was used two days ago, a few accounts at a time, so that midnight holds nobody up."""
        today = int(self._now_s() // DAY_S)
        if today != self._day:
            self._day = today
            self._to_check = list(self._parts)
        for name in self._to_check[-AT_ONCE:]:
            if all(_counts(part).day < today - 1 for part in self._parts[name].values()):
                self._drop(name)
        del self._to_check[-AT_ONCE:]

    def _drop(self, name: str) -> None:
        del self._parts[name]
        self._unplaced.discard(name)
        for opened in self._open.values():
            opened.discard(name)
        slot = self._slot_of(name)
        if slot is not None:
            self._meter.others.pop(slot, None)

    def _place(self, name: str) -> None:
        slot = self._slot_of(name)
        if slot is None:
            self._unplaced.add(name)
            return
        living = self._living
        parts = [
            _counts(said) if member in living else _counts(said)._replace(open_now=0)
            for member, said in self._parts[name].items()
        ]
        self._meter.others[slot] = together(parts, self._now_s())


def _counts(said: bytes) -> Counts:
    return Counts._make(_COUNTS.unpack(said))
