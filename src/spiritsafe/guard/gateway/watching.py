"""The watch beside a gateway's workers, as their supervisor sees it: a process, started, started again, and ended.

What it does is in `guard.watch.beside`; no request waits for it, and it is no part of being ready. Nothing of it is
imported here: it needs numpy, which workers and supervisor go without.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from spiritsafe.errors import InputError, MissingExtra, StoreError
from spiritsafe.exchanges.lock import FolderLock
from spiritsafe.guard.gateway.counters import read_counters
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.settings import Settings, settings_to_json

MODULE = "spiritsafe.guard.watch.beside"

NEEDS = ("datasketches", "igraph", "numpy", "wordllama")
"""Modules of the extra `detect`."""

SCOPES = ("request", "account", "campaign")
NUMBERS = ("exchanges", "waiting", "read_ms", "done_ms", *(f"alarms_{scope}" for scope in SCOPES))
"""What the watch tells: exchanges weighed, and waiting for the end of their ten minutes; before which unix millisecond
all that was written has been read, and has been weighed too; alarms raised."""

SHORTEST_S, LONGEST_S = 1.0, 60.0
"""How long one that died is waited with, at first and at most: it reads its segments anew every time."""

MOST_LINGER_S = 3600.0
"""Segments wait no longer for a watch: one that is down for hours must not fill the disk, nor keep what is to go."""

END_S = 5.0

LOCK = "watch.lock"
"""In the gateway's folder, held by whoever watches."""

RETRY_S = 0.1


def check_installed(modules: Sequence[str] = NEEDS) -> None:
    """Return where a watch can be started.

    Raises:
        MissingExtra: one of `modules` is not installed.
    """
    if any(find_spec(name) is None for name in modules):
        raise MissingExtra.of("[watch] in guard.toml", "detect")


def watch_numbers(path: Path) -> dict[str, int]:
    """What the watch last told, by `NUMBERS`; zeros before that."""
    return {name: number for name, (number,) in read_counters(path, 1, NUMBERS)}


def watch_alone(folder: GuardFolder, patience_s: float) -> FolderLock:
    """Hold the watch of a gateway's folder: two would raise every alarm twice, and each would count.

    Args:
        patience_s: how long another that is about to end is waited for.

    Raises:
        StoreError: another watches, or the folder cannot be written to.
    """
    ends_s = time.monotonic() + patience_s
    while True:
        try:
            return FolderLock(folder.path, LOCK)
        except StoreError as error:
            if time.monotonic() >= ends_s:
                raise StoreError(f"cannot watch here: {error}") from None
            time.sleep(RETRY_S)


def kept_from_s(folder: GuardFolder, now_s: float) -> float | None:
    """Unix seconds: segments that were written to later must stay, since the watch has not weighed all of them.

    None where nobody watches.
    """
    try:
        FolderLock(folder.path, LOCK).close()
    except StoreError:
        return weighed_to_s(folder, now_s)
    return None


def weighed_to_s(folder: GuardFolder, now_s: float) -> float:
    """As `kept_from_s`, by what the watch last told, whether it runs or not."""
    return max(watch_numbers(folder.watch)["done_ms"] / 1000, now_s - MOST_LINGER_S)


def next_wait_s(wait_s: float, lived_s: float) -> float:
    """How long to wait before a watch is started again: twice as long every time, unless it had lived for a while."""
    return SHORTEST_S if lived_s > LONGEST_S else min(2 * wait_s, LONGEST_S)


class Watching:
    """The watch of a gateway; it is started at once.

    Args:
        settings: what it is told.
        environ: its environment; the upstreams' keys in it are kept from it.
        say: told what happens, line by line.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        secret = {upstream.key_env for upstream in settings.upstreams}
        own = {name: value for name, value in environ.items() if name not in secret}
        # Before numpy is imported there: its threads wait for one another over products as small as these.
        self._environ = {"OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **own}
        self._settings = settings
        self._say = say
        self._wait_s = SHORTEST_S / 2
        self._again_s: float | None = None
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        self._started_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environ,
            # Out of the terminal's group, as the workers are.
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(settings_to_json(self._settings) + b"\n")
        process.stdin.flush()
        return process

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return when it watches.

        Raises:
            InputError: it cannot; the message says why.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if line != "ready":
            self._process.wait()
            raise InputError(line or "the watch ended before it began; what it said is above")

    def tick(self, now_s: float) -> None:
        """Start it again where it died, the later the oftener it does; `now_s` is monotonic."""
        if self.is_running:
            return
        if self._again_s is None:
            self._wait_s = next_wait_s(self._wait_s, now_s - self._started_s)
            self._again_s = now_s + self._wait_s
            self._say(f"watch: it died{self._why()}; it is started again in {self._wait_s:g} s")
        elif now_s >= self._again_s:
            self._again_s = None
            self._process = self._started()

    def _why(self) -> str:
        """What it said of its end, after a colon."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process.stdin, self._process.stdout as stdout:
            lines = [line for line in stdout.read().decode().splitlines() if line != "ready"]
        return "".join(f": {line}" for line in lines[-1:])

    def close(self) -> None:
        """Let it finish what it does and end it."""
        if self.is_running:
            self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
