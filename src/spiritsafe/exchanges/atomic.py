"""Writing a file whole or not at all: a part file beside it, synced, then renamed over it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from spiritsafe.errors import StoreError, shown


@contextmanager
def replacing(path: Path, *, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path`, durably, when the block ends well; else `path` stays as it was.

    `mode` is who may do what with it, less what the process's umask takes away.

    Raises:
        StoreError: the disk did not take it.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb", opener=partial(os.open, mode=mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {shown(str(path))}: {error.strerror or error}; make room there") from None
    finally:
        with suppress(OSError):
            part.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a new file is only there for good once its folder is synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
