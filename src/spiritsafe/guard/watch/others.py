"""The watches of other gateways, reached through the Redis that the gateways share.

    others = joined(settings.redis_url, folder, environ, say)
    Live(folder, reference, levels, others)

Each watch writes what it has seen of an account under its machine's name, into a table of the day, and follows what the
others have written in the tables of today and yesterday; a table expires by itself when nobody asks for it any more.
Rows are signed with a secret of the deployment: whoever can write to Redis, and no more, makes nobody a suspect.

While Redis is gone, each watch goes on with its own exchanges and what it last heard. When it is back, the last two
days are said again, also if it has forgotten everything: a word that is left there tells.

Limits: a watch that starts anew does not hear of accounts that the others have not seen for two days.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from spiritsafe.errors import InputError, MissingExtra, StoreError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.database import Database
from spiritsafe.guard.gateway.sharing import ALIVE_S, PASSWORD, checked, machine_of
from spiritsafe.guard.keys import digest_of
from spiritsafe.guard.limits import DAY_S
from spiritsafe.guard.watch.shared import Heard, Part, PartOf

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.tables import Tables

MOST_ROWS = 1 << 18
"""Rows of a day, one for each account and machine; those written last are kept."""

AT_ONCE = 64
"""Rows that are written in one question, some 150 KB."""

SIGNATURE_BYTES = 16

Say = Callable[[str], None]


class RedisOthers:
    """What this machine's watch has to do with the others.

    Args:
        tables: in Redis.
        machine: this one's name.
        secret: the deployment's, for this purpose.
        say: is told in a line when Redis goes, when it is back, and what is refused.

    Attributes:
        failing: why the others are not reached; empty where they are.
    """

    def __init__(self, tables: Tables, machine: str, secret: bytes, say: Say) -> None:
        self._tables, self._machine, self._secret, self._say = tables, machine, secret, say
        self._runner = asyncio.Runner()
        self._process = os.urandom(6).hex()
        self._numbers = count()
        self._words: set[str] = set()
        self._seen: dict[str, int] = {}
        self._unsaid: dict[str, None] = {}
        self._said: dict[str, int] = {}
        self._refused: set[str] = set()
        self._day = 0
        self.failing = ""

    def share(self, at: float, names: Iterable[str], part_of: PartOf) -> Sequence[Heard]:
        """Say what is new of some accounts, and hear what is new elsewhere; what was not said is said the next time."""
        self._unsaid |= dict.fromkeys(names)
        # A late exchange has an old time; its account's row must not be older where others look last.
        self._day = max(self._day, int(at // DAY_S))
        heard: list[Heard] = []
        try:
            try:
                self._runner.run(self._round(self._day, part_of, heard))
            except StoreError:  # a connection that was idle for an epoch may be gone without a word
                self._runner.run(self._round(self._day, part_of, heard))
        except (InputError, StoreError) as error:
            self._fails(str(error))
        else:
            self._goes_on()
        return heard

    def close(self) -> None:
        """Let the connection go."""
        self._runner.run(self._tables.close())
        self._runner.close()

    async def _round(self, day: int, part_of: PartOf, heard: list[Heard]) -> None:
        await self._check(day)
        while self._unsaid:
            names = list(islice(self._unsaid, AT_ONCE))
            batch = self._tables.batch()
            batch.push(_table(day), [self._row(name, part_of(name)) for name in names], most=MOST_ROWS)
            await batch.ask()
            for name in names:
                del self._unsaid[name]
                self._said[name] = day
        for table in (_table(day - 1), _table(day)):
            await self._hear(table, heard)

    async def _check(self, day: int) -> None:
        """Find out whether Redis still has what was said.

        Raises:
            InputError: somebody else speaks in the name of this machine.
            StoreError: it is not reached.
        """
        word = f"{self._process}:{next(self._numbers)}"
        words, self._words = self._words, {*self._words, word}
        batch = self._tables.batch()
        batch.beat(f"{self._machine}/watch", word, ALIVE_S)
        (beat,) = await batch.ask()
        self._words = {word}
        if not words or beat.last in words:
            return
        if beat.last is not None and not beat.last.startswith(self._process):
            raise InputError(
                "another watch shares as the same machine, so neither hears the other; if its data folder is a copy, "
                "remove the file 'machine' from it and start it again"
            )
        self._seen.clear()
        self._said = {name: at for name, at in self._said.items() if at >= day - 1}
        self._unsaid |= dict.fromkeys(self._said)

    async def _hear(self, table: str, heard: list[Heard]) -> None:
        while True:
            batch = self._tables.batch()
            batch.pull(table, self._seen.get(table, 0), f" {self._machine}")
            (page,) = await batch.ask()
            for row, value in page.rows:
                name, _, machine = row.rpartition(" ")
                try:
                    heard.append((machine, name, self._part(row, value)))
                except StoreError as error:
                    self._refuse(machine, str(error))
            self._seen[table] = page.last
            if not page.is_full:
                return

    def _row(self, name: str, part: Part) -> tuple[str, bytes]:
        row, data = f"{name} {self._machine}", zlib.compress(part.to_bytes(), 1)
        return row, self._signature(row, data) + data

    def _part(self, row: str, value: bytes) -> Part:
        data = value[SIGNATURE_BYTES:]
        if not hmac.compare_digest(self._signature(row, data), value[:SIGNATURE_BYTES]):
            raise StoreError(
                "it is damaged, or not signed by a gateway with this pepper; give all machines the same pepper"
            )
        return Part.from_bytes(zlib.decompress(data))

    def _signature(self, row: str, data: bytes) -> bytes:
        return hmac.digest(self._secret, row.encode() + b"\0" + data, "sha256")[:SIGNATURE_BYTES]

    def _refuse(self, machine: str, why: str) -> None:
        """Say it once of each machine; there may be thousands of rows."""
        if machine not in self._refused:
            self._refused.add(machine)
            self._say(f"watch: refused what machine {machine} says of an account: {why}")

    def _fails(self, why: str) -> None:
        if not self.failing:
            self._say(f"watch: {' '.join(why.split())}; this watch goes on with its own exchanges")
        self.failing = why

    def _goes_on(self) -> None:
        if self.failing:
            self._say(f"watch: hears the other gateways again, through Redis at {self._tables.where}")
        self.failing = ""


def joined(redis_url: str, folder: Path, environ: Mapping[str, str], say: Say) -> RedisOthers:
    """The other watches of the gateways that share through `redis_url`. Redis need not be there yet.

    Args:
        redis_url: as in guard.toml.
        folder: this gateway's.
        environ: holds the password of Redis, where it asks for one.
        say: is told in a line when Redis goes and comes.

    Raises:
        InputError: the address is wrong.
        MissingExtra: the client of Redis is not installed.
        StoreError: the folder cannot be used.
    """
    url = checked(redis_url)
    try:
        from spiritsafe.guard.gateway.tables import Tables
    except ImportError:
        raise MissingExtra.of("sharing between gateways (redis_url)", "redis") from None
    with Accounts.open(folder) as accounts:
        secret = digest_of(accounts.pepper, b"what watches share")
    file = Database(folder)
    try:
        machine = machine_of(file)
    finally:
        file.close()
    return RedisOthers(Tables(url, environ.get(PASSWORD)), machine, secret, say)


def _table(day: int) -> str:
    return f"watched:{day}"
