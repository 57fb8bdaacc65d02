"""Several gateways that act as one: what each has counted, its accounts, evidence and rulings, shared through Redis.

    sharing = await joined(settings, 0, gate, counters, environ, say)
    sharing.start()
    await sharing.leave()

Never on the way of a request: every worker says several times a second what its accounts have used since, and reads
what those of other machines have. The first worker of a machine also hands on what has changed in its file, and brings
in what has changed elsewhere; all of them then see it as they see any change. While Redis is gone, limits hold for each
machine alone, and what was last known of accounts and decisions stays in force. When it is back, whatever it has
forgotten is said again: each worker leaves a word there, and finds out by whether it is still there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from spiritsafe.errors import InputError, MissingExtra, SpiritSafeError, StoreError, shown
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.guard.database import Database
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.elsewhere import Elsewhere, Names
from spiritsafe.guard.gateway.gate import Gate
from spiritsafe.guard.gateway.replica import KINDS, Change, Replica
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.settings import Settings

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.tables import Beat, Page, Tables

EVERY_S = 0.2
ALIVE_S = 3.0
"""A worker that has said nothing for so long is gone, and the requests it had open with it."""

LONGEST_WAIT_S = 2.0
"""Between two tries to reach Redis."""

MOST_AT_ONCE = 256
"""Accounts, or rows of a kind, that are said in one round."""

MOST_USED = 1 << 22
"""Rows of what was used in a day, one for each account and worker."""

PASSWORD = "SPIRITSAFE_REDIS_PASSWORD"
"""The environment variable with the password of Redis, where it asks for one."""

Say = Callable[[str], None]
T = TypeVar("T")


class Sharing:
    """One worker's part of it.

    Args:
        tables: in Redis.
        gate: of the worker; its meter is told what others have used.
        names: of the accounts.
        member: this worker: its machine, "/", and its number.
        replica: opens the machine's replica, in a thread of its own; None: another worker does.
        counters: where `redis_failing` is said.
        say: is told in a line when Redis goes, and when it is back.
        every_s, alive_s: see `EVERY_S` and `ALIVE_S`.
    """

    def __init__(
        self,
        tables: Tables,
        gate: Gate,
        names: Names,
        member: str,
        replica: Callable[[], Replica] | None,
        counters: Counters,
        say: Say,
        *,
        every_s: float = EVERY_S,
        alive_s: float = ALIVE_S,
    ) -> None:
        self._tables = tables
        self._gate = gate
        self._names = names
        self._member = member
        self._own_rows = f" {member.partition('/')[0]}/"
        self._open_replica = replica
        self._replica: Replica | None = None
        self._counters = counters
        self._say = say
        self._every_s = every_s
        self._alive_s = alive_s
        self._elsewhere = Elsewhere(gate.meter, names.slot, gate.now_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spiritsafe-sharing")
        self._fingerprint = gate.book.secret_for(b"the same on every gateway").hex()[:16]
        self._touched: set[int] = set()
        gate.meter.touched = self._touched
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False
        self._version = -1
        self._failing: type[Exception] | None = None
        self._process = os.urandom(6).hex()
        self._numbers = count()
        self._words: set[str] = set()
        self._seen: dict[str, int] = {}
        self._is_agreed = False
        self._has_begun = False

    def start(self) -> None:
        """Share from now on, beside whatever else runs in the loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        wait_s = self._every_s
        while not self._is_ending:
            try:
                wait_s = 0.0 if await self._round() else self._every_s
                self._goes_on()
            except Exception as error:  # of a task that ended nobody would hear, and limits would not be shared
                wait_s = min(LONGEST_WAIT_S, max(self._every_s, wait_s * 2))
                self.fails(error)
            await asyncio.sleep(wait_s)

    async def agree(self) -> None:
        """Make sure that the others have the same pepper.

        Raises:
            InputError: they have not.
            StoreError: Redis is not reached.
        """
        if await self._tables.agreed(self._fingerprint) != self._fingerprint:
            raise InputError(
                f"this gateway has another pepper than those that share through Redis at {self._tables.where}, so it "
                "cannot know their keys; copy the file 'pepper' from the data folder of one of them"
            )
        self._is_agreed = True

    def fails(self, error: Exception) -> None:
        """Go on alone: who else is there is not known, and limits hold for this machine."""
        self._elsewhere.lives(frozenset())
        self._counters.now["redis_failing"] = 1
        if type(error) is not self._failing:
            self._failing = type(error)
            text = str(error) if isinstance(error, SpiritSafeError) else repr(error)
            self._say(f"sharing: {' '.join(text.split())}; limits hold for this machine alone now")

    def _goes_on(self) -> None:
        self._counters.now["redis_failing"] = 0
        if self._failing is not None:
            self._failing = None
            self._say(f"sharing: goes on through Redis at {self._tables.where}")

    def stop(self) -> None:
        """Share no more, without a word."""
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()

    async def leave(self) -> None:
        """Share no more: say the last of what was used, and that this worker ends."""
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])
        with suppress(StoreError):
            batch = self._tables.batch()
            batch.push(_used(self._today), self._rows(self._touched), most=MOST_USED)
            batch.leave(self._member)
            await batch.ask()
        await self.close()

    async def close(self) -> None:
        """Let Redis and the file go."""
        if self._replica is not None:
            await self._in_thread(self._replica.close)
        self._thread.shutdown(wait=False)
        self._names.close()
        await self._tables.close()

    # --- one round ---------------------------------------------------------------------------------------------------

    async def _round(self) -> bool:
        """Hear what is new and say what is new; whether there is more of it already."""
        if not self._is_agreed:
            await self.agree()
        if not self._has_begun:
            await self._begin()
        has_more = await self._bring_in()
        return await self._exchange() or has_more

    async def _begin(self) -> None:
        """It is not known what is in Redis: all is to be heard, and all is to be said."""
        self._seen.clear()
        if self._open_replica is not None and self._replica is None:
            self._replica = await self._in_thread(self._open_replica)
        if self._replica is not None:
            await self._in_thread(self._replica.send_all)
        book, meter, yesterday = self._gate.book, self._gate.meter, self._today - 1
        self._touched |= await self._in_thread(lambda: meter.used_since(book.numbers(), yesterday))
        self._has_begun = True

    async def _bring_in(self) -> bool:
        """Bring what has changed elsewhere into the file of this machine."""
        if self._replica is None:
            return False
        batch = self._tables.batch()
        for kind in KINDS:
            batch.pull(kind, self._seen.get(kind, 0))
        pages: list[Page] = await batch.ask()
        for kind, page in zip(KINDS, pages, strict=True):
            if page.rows:
                await self._in_thread(partial(self._replica.take, kind, page.rows))
            self._seen[kind] = page.last
        return any(page.is_full for page in pages)

    async def _exchange(self) -> bool:
        """Say what was used here and what has changed in the file; hear what was used elsewhere, and who is there."""
        changes = await self._changes()
        slots = set(islice(self._touched, MOST_AT_ONCE))
        self._touched -= slots
        days = [_used(self._today - 1), _used(self._today)]
        word = f"{self._process}:{next(self._numbers)}"
        batch = self._tables.batch()
        for table in days:
            batch.pull(table, self._seen.get(table, 0), self._own_rows)
        if slots:
            batch.push(days[1], self._rows(slots), most=MOST_USED)
        for kind, some in changes.items():
            rows = [(change.name, change.value) for change in some]
            batch.push(kind, rows, most=KINDS[kind], seen=self._seen.get(kind, 0))
        batch.beat(self._member, word, self._alive_s)  # the last, so that what was lost was said before it
        try:
            yesterday, today, *refused, beat = await batch.ask()
        except BaseException:
            self._touched |= slots
            self._words = self._words and {*self._words, word}
            raise
        self._hear(zip(days, (yesterday, today), strict=True), beat)
        await self._sent(zip(changes.values(), refused[bool(slots) :], strict=True))
        self._check(beat, word)
        said = [slots, *changes.values()]
        return yesterday.is_full or today.is_full or any(len(some) >= MOST_AT_ONCE for some in said)

    def _hear(self, pages: Iterable[tuple[str, Page]], beat: Beat) -> None:
        elsewhere = self._elsewhere
        elsewhere.lives(beat.living)
        for table, page in pages:
            for row, said in page.rows:
                name, _, member = row.partition(" ")
                elsewhere.take(name, member, said)
            self._seen[table] = page.last
        if self._gate.book.version != self._version:
            self._version = self._gate.book.version
            elsewhere.look_again()
        elsewhere.forget()

    def _check(self, beat: Beat, word: str) -> None:
        """Find out whether Redis still has what was said last.

        Raises:
            StoreError: somebody else speaks in the name of this worker.
        """
        words, self._words = self._words, {word}
        if not words or beat.last in words:
            return
        if beat.last is not None and not beat.last.startswith(self._process):
            raise StoreError(
                "another gateway shares as the same machine, so neither counts what the other does; if its data folder "
                "is a copy, remove the file 'machine' from it and start it again"
            )
        self._has_begun = self._is_agreed = False

    async def _changes(self) -> dict[str, list[Change]]:
        """What has changed in the file of this machine, by kind; nothing of a kind of which nothing has."""
        replica = self._replica
        if replica is None:
            return {}
        changes = await self._in_thread(lambda: {kind: replica.changes(kind, MOST_AT_ONCE) for kind in KINDS})
        return {kind: some for kind, some in changes.items() if some}

    async def _sent(self, told: Iterable[tuple[list[Change], frozenset[str]]]) -> None:
        sent = [change for changes, refused in told for change in changes if change.name not in refused]
        if sent:
            assert self._replica is not None
            await self._in_thread(partial(self._replica.sent, sent))

    def _rows(self, slots: Iterable[int]) -> list[tuple[str, bytes]]:
        named = ((self._names.name(slot), slot) for slot in slots)
        return [(f"{name} {self._member}", self._elsewhere.own(slot)) for name, slot in named if name is not None]

    @property
    def _today(self) -> int:
        return int(self._gate.now_s() // DAY_S)

    async def _in_thread(self, what: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)


async def joined(
    settings: Settings,
    number: int,
    gate: Gate,
    counters: Counters,
    environ: Mapping[str, str],
    say: Say,
    *,
    every_s: float = EVERY_S,
    alive_s: float = ALIVE_S,
) -> Sharing:
    """The part of worker `number` in the sharing through `settings.redis_url`. Redis need not be there yet.

    Raises:
        InputError: the address is wrong, or the others have another pepper.
        MissingExtra: the client of Redis is not installed.
        StoreError: the folder cannot be used.
    """
    try:
        from spiritsafe.guard.gateway.tables import Tables
    except ImportError:
        raise MissingExtra.of("sharing between gateways (redis_url)", "redis") from None
    tables = Tables(checked(settings.redis_url), environ.get(PASSWORD))
    file = Database(settings.folder)
    replica = partial(Replica, settings.folder, gate.book.secret_for(b"rows that gateways share"))
    member = f"{machine_of(file)}/{number}"
    sharing = Sharing(
        tables, gate, Names(file), member, None if number else replica, counters, say, every_s=every_s, alive_s=alive_s
    )
    try:
        await sharing.agree()
    except StoreError as error:
        sharing.fails(error)
    except InputError:
        await sharing.close()
        raise
    return sharing


def machine_of(file: Database) -> str:
    """What this machine is called among the others: a random word in its data folder, the same for all workers.

    Raises:
        StoreError: the disk did not take it.
    """
    path = file.folder / "machine"
    with file.locked():  # of several workers one makes it
        if not path.exists():
            with replacing(path, mode=0o600) as made:
                made.write(os.urandom(8).hex().encode())
        return path.read_text(encoding="ascii")


def checked(url: str) -> str:
    """`url`, an address of Redis.

    Raises:
        InputError: it is none, or holds a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise InputError(f"got redis_url {shown(url)}, wanted an address like redis://127.0.0.1:6379/0; correct it")
    if parts.password is not None:
        raise InputError(f"redis_url holds a password; take it out, and set {PASSWORD} in the environment instead")
    return url


def _used(day: int) -> str:
    """The table of what was used on a day; it goes when nobody asks for it any more."""
    return f"used:{day}"
