"""The job that every trainer of the benchmark is given, and how each says what it took.

A job is a folder: a model and a tokenizer as transformers saves them, and `job.json` with rows of ids (each with the
index of its first supervised token), epochs, batch size and learning rate. One thread, float32, one process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    folder: Path
    rows: list[dict[str, Any]]
    epochs: int
    batch_size: int
    learning_rate: float

    @classmethod
    def read(cls, folder: str) -> Job:
        return cls(Path(folder), **json.loads((Path(folder) / "job.json").read_text()))

    @property
    def tokens(self) -> int:
        return self.epochs * sum(len(row["ids"]) for row in self.rows)


def peak_mb() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


class Stopwatch:
    """CPU and wall seconds from its making to `report`."""

    def __init__(self) -> None:
        self.cpu_s, self.wall_s = time.process_time(), time.perf_counter()

    def report(self, **more: object) -> None:
        """Print one JSON line and end the process at once: nothing after it is measured."""
        took = {"cpu_s": time.process_time() - self.cpu_s, "wall_s": time.perf_counter() - self.wall_s}
        sys.stdout.write("\n" + json.dumps(took | {"peak_mb": peak_mb()} | more) + "\n")
        sys.stdout.flush()
        os._exit(0)
