"""Cells of 64-bit numbers in a file that several processes map: each writes its own column and reads the others'.

A number is written by one process and read by another; it is 8 bytes at an even address, so nothing is locked. What was
counted outlives the process, and the machine as far as the kernel had written it out.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from spiritsafe.guard.limits import Meter


class Cells:
    """The limits' cells of `workers` workers in the file at `path`, which is made or made longer."""

    def __init__(self, path: Path, workers: int) -> None:
        column_bytes = Meter.bytes_for()
        self._map = mapped(path, workers * column_bytes)
        cells = memoryview(self._map).cast("Q")
        length = column_bytes // 8
        self.columns = [cells[worker * length : (worker + 1) * length] for worker in range(workers)]


def mapped(path: Path, size: int) -> mmap.mmap:
    """The first `size` bytes of the file at `path`, made where it is missing and longer where it is short."""
    with path.open("a+b") as file:
        if file.seek(0, 2) < size:
            file.truncate(size)
        return mmap.mmap(file.fileno(), size)
