"""The watch as a gateway's supervisor starts it: `python -m spiritsafe.guard.watch.beside`, settings on standard input.

It says `ready` on standard output when it has read its reference, or why it cannot; what it raises goes to standard
error, a line each. It ends at SIGTERM, and when its standard input closes, since then the supervisor is gone.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event

from spiritsafe.errors import SpiritSafeError
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.watching import NUMBERS, watch_alone
from spiritsafe.guard.settings import Settings, settings_from_json
from spiritsafe.guard.watch.accounts import EPOCH_S
from spiritsafe.guard.watch.live import Live
from spiritsafe.guard.watch.others import joined
from spiritsafe.guard.watch.reference import read_reference
from spiritsafe.guard.watch.watch import Levels

STEP_S = 1.0

NICENESS = 5
"""Workers come first where the processor is short."""

PATIENCE_S = 30.0
"""Where a gateway was killed, its watch ends when it has weighed what it is at; the next one waits for it."""

CLOCK_S = 1.0
"""A file's time of writing is a few milliseconds older than the write, by the kernel's tick."""


def main() -> int:
    """Watch until told to end; 2 where that cannot be."""
    settings = settings_from_json(sys.stdin.buffer.readline())
    os.nice(NICENESS)
    ended = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda signum, frame: ended.set())
    try:
        folder = GuardFolder(settings.folder)
        with closing(watch_alone(folder, PATIENCE_S)):
            live = live_of(settings, os.environ, _tell)
            counters = counters_of(folder)
            print("ready", flush=True)
            while not ended.is_set() and not select.select([sys.stdin], [], [], STEP_S)[0]:
                step(live, counters, time.time(), _tell)
    except SpiritSafeError as error:
        print(" ".join(str(error).split()), flush=True)
        return 2
    return 0


def live_of(settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]) -> Live:
    """The watch that settings ask for, together with those of the gateways it shares with.

    Args:
        settings: with the reference, the levels and the address of Redis.
        environ: holds the password of Redis, where it asks for one.
        say: is told in a line when Redis goes and comes.

    Raises:
        InputError: the reference cannot be read, or the address of Redis is wrong.
        MissingExtra: the client of Redis is not installed.
        StoreError: the reference is none, or the folder cannot be used.
    """
    asked = settings.watch
    reference = read_reference(Path(asked.reference))
    others = joined(settings.redis_url, settings.folder, environ, say) if settings.redis_url else None
    levels = Levels(asked.request, asked.account, asked.campaign, asked.account_fdr)
    return Live(settings.folder, reference, levels, others)


def counters_of(folder: GuardFolder) -> Counters:
    """The numbers of a watch that begins."""
    counters = Counters(folder.watch, 0, NUMBERS)
    counters.now["read_ms"] = int(time.time() * 1000)
    counters.publish()
    return counters


def step(live: Live, counters: Counters, now_s: float, say: Callable[[str], None]) -> None:
    """Look at what is new in the log, and tell: alarms as lines, and the numbers of `NUMBERS`.

    Args:
        live: the watch.
        counters: its numbers.
        now_s: unix seconds.
        say: told each alarm.

    Raises:
        StoreError: the disk did not take it.
    """
    alarms = live.step(now_s)
    waiting = live.waiting
    for alarm in alarms:
        say(alarm.said())
        counters.now[f"alarms_{alarm.scope}"] += 1
    counters.now["exchanges"] = live.watch.seen
    counters.now["waiting"] = sum(waiting.values())
    counters.now["read_ms"] = int(now_s * 1000)
    counters.now["done_ms"] = int(1000 * min([now_s - CLOCK_S, *(number * EPOCH_S for number in waiting)]))
    counters.publish()


def _tell(line: str) -> None:
    print(f"watch: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
