"""Numbers for /metrics: a row a worker in one file mapped into memory; the supervisor adds them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from spiritsafe.guard.gateway.cells import mapped

NAMES = (
    "connections",
    "connections_open",
    "requests",
    "requests_open",
    "unauthorised",
    "malformed",
    "refused",
    "completed",
    "customer_left",
    "upstream_failed",
    "upstream_broke_off",
    "timed_out",
    "shut_down",
    "records_durable",
    "records_dropped",
    "log_waiting_bytes",
    "log_failing",
    "redis_failing",
    "bytes_in",
    "bytes_out",
    "tokens_in",
    "tokens_out",
    "acted_block",
    "acted_challenge",
    "acted_throttle",
    "acted_strip",
    "acted_mark",
    "would_act",
    "handles_replayed",
    "ready",
    "policy_version",
    "spans_dropped",
)
"""What is counted, in the order of the cells. Outcomes of `flow.Flow` have their own names here."""

ROW = 64
"""Cells of a worker: more than there are names, so that a new one moves nothing."""


class Counters:
    """The row of one worker, written by it alone; zeros at first.

    Args:
        path: the file.
        worker: whose row.
        names: of the numbers, in the order of the cells.

    Attributes:
        now: the numbers by name; others see them once they are published.
    """

    def __init__(self, path: Path, worker: int, names: Sequence[str] = NAMES) -> None:
        self._cells = memoryview(mapped(path, (worker + 1) * ROW * 8)).cast("Q")[worker * ROW :]
        self._names = names
        self.now = dict.fromkeys(names, 0)
        self.publish()

    def publish(self) -> None:
        """Let others see the numbers."""
        for at, name in enumerate(self._names):
            self._cells[at] = self.now[name]


def read_counters(path: Path, workers: int, names: Sequence[str] = NAMES) -> Iterator[tuple[str, list[int]]]:
    """Each name with its number in every worker."""
    cells = memoryview(mapped(path, workers * ROW * 8)).cast("Q")
    for at, name in enumerate(names):
        yield name, [cells[worker * ROW + at] for worker in range(workers)]
