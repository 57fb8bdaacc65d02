"""What every client of the collector's benchmark is asked to do, and how each says what it took."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

TEXT = (
    "Extract the sender, the item, the quantity, the city and the day from the following message and answer with one "
    "JSON object and nothing else. Use null where the message does not say. "
)
LETTER = (
    "Dear team, after our call I would like to confirm the order we spoke about: please send the parcels to the "
    "warehouse by the river, not to the shop, and mark them as fragile. The invoice goes to the usual address. "
)


def prompt_of(item: int) -> str:
    """The prompt numbered `item`: about 1.5 KB, so that the request is about 1.6 KB."""
    return f"{TEXT}item-{item} {LETTER * 6}"


def cpu_s() -> float:
    """User and system seconds of this process and of its children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


class Stopwatch:
    """CPU and wall seconds from its making to `report`."""

    def __init__(self) -> None:
        self.cpu_s, self.wall_s = cpu_s(), time.perf_counter()

    def report(self, exchanges: int, **more: object) -> None:
        """Print one JSON line for the benchmark and end the process at once: nothing after it is measured."""
        cpu, wall = cpu_s() - self.cpu_s, time.perf_counter() - self.wall_s
        told = {"exchanges": exchanges, "cpu_s_per_1000": 1000 * cpu / exchanges, "per_s": exchanges / wall}
        sys.stdout.write("\n" + json.dumps(told | {"peak_mb": peak_mb()} | more) + "\n")
        sys.stdout.flush()
        os._exit(0)
