"""FolderLock: one process at a time, by an advisory lock on a file that the kernel lets go of when the process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from spiritsafe.errors import StoreError, shown


class FolderLock:
    """Holds the file `name` of `folder` from its making until `close`.

    Raises:
        StoreError: another process holds it, or the file cannot be made; the message says which process.

    Limits: Unix only; on network file systems as good as their locks.
    """

    def __init__(self, folder: Path, name: str = "lock") -> None:
        try:
            self._handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot lock {shown(str(folder))}: {error.strerror}; give a folder that can be written"
            ) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise StoreError(
                f"{shown(str(folder))} is in use by process {holder}; wait until it has ended, or give another folder"
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._handle)
