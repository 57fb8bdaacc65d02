"""One process at a time: a lock on a file, which the system lets go of when its holder dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spiritsafe.errors import StoreError, shown

POLL_S = 0.2


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock at `path`, an empty file that stays; wait for another holder, after calling `on_wait` once.

    Raises:
        StoreError: the file or its folder cannot be made.
    """
    with _opened(path) as file:
        if not _taken(file):
            if on_wait is not None:
                on_wait()
            while not _taken(file):
                time.sleep(POLL_S)
        yield


def _opened(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        raise StoreError(
            f"cannot use the folder {shown(str(path.parent))}: {error.strerror}; mend its rights or make room there"
        ) from None


if sys.platform == "win32":
    import msvcrt

    def _taken(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _taken(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
