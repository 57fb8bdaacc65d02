"""Compaction: the segments of a log into Parquet, `features/` and `bodies/` apart; every exchange once.

    folder/segments/*.seg  ->  folder/features/segment=S/day=D/hour=HH/bucket=NN/part-*.parquet
                               folder/bodies/...      as far as the segment's rule keeps bodies

A pass reads what is new in sealed and in growing segments, writes files into `staging/`, and commits (see `manifest`):
killed at any moment, the next pass goes on as if nothing had been. Segments are unlinked when all that they hold is
committed. When an hour has been over for `SETTLED_S`, its files are merged into one a bucket.

DuckDB reads it: `select ... from read_parquet('folder/features/**/*.parquet', hive_partitioning = true)`. While a merge
is being carried out, for milliseconds, a reader can see rows twice.

As a command, for the gateway's supervisor: `python -m spiritsafe.guard.log.compact DATA_FOLDER [BUCKETS [KEPT_FROM]]`;
segments that were written to after the unix second KEPT_FROM stay.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from spiritsafe.errors import InputError, SpiritSafeError
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.exchanges.lock import FolderLock
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.log.features import features_of
from spiritsafe.guard.log.manifest import SEGMENTS, STAGING, Manifest, load_manifest
from spiritsafe.guard.log.parts import Partition, body_row, merge_parts, partition_of, write_part
from spiritsafe.guard.log.reading import exchange_from
from spiritsafe.guard.log.records import Record
from spiritsafe.guard.log.redact import redact_record
from spiritsafe.guard.log.retention import HOUR_S, Retention, Rule, begins_s, sweep
from spiritsafe.guard.log.tail import MOST_BYTES, Faults, Tail
from spiritsafe.guard.policy import policy_from_json
from spiritsafe.guard.rulings import Rulings

UNFINISHED_AFTER_S = 3600.0
"""A request whose end is not in the log so long after it, and whose writer is gone, is unfinished."""

SETTLED_S = 600.0
"""So long after its end an hour gets few further exchanges: those that take as long."""

MOST_BUCKETS = 1024

MERGES_AT_ONCE = 32

SUFFIXES = {"features": ("",), "bodies": ("-raw", "-redacted")}
"""What the names of files end in: files with different ends are not merged."""

_FAR_S = 250_000_000_000.0

Rows = dict[tuple[str, Partition, str], list[tuple[Any, ...]]]


@dataclass(slots=True)
class Report:
    """What a pass did.

    Attributes:
        buckets: into how many accounts are spread.
        exchanges: written, the unfinished among them.
        unfinished: of which only one record was there.
        parts: files written, but for merging.
        merged: files merged into others.
        segments: that were removed, or set aside.
        faults: what was found in them that should not be there.
    """

    buckets: int = 0
    exchanges: int = 0
    unfinished: int = 0
    parts: int = 0
    merged: int = 0
    segments: int = 0
    faults: Faults = field(default_factory=Faults)

    def lines(self) -> list[str]:
        """What an operator should know of it: nothing, if all is well."""
        faults = self.faults
        counted = [
            (faults.unreadable, "records that are none of this log's; their segments are kept as *.damaged"),
            (faults.lost, "exchanges that were not over, and whose first record is gone with its segment"),
            (faults.late, "exchanges that ended after they had been written as unfinished"),
        ]
        return [f"{count:,} {what}" for count, what in counted if count] + list(faults.damaged.values())


def compact(
    folder: Path,
    now_s: float,
    buckets: int = 8,
    *,
    retention: Retention | None = None,
    unfinished_after_s: float = UNFINISHED_AFTER_S,
    linger_s: float = 0.0,
    most_bytes: int = MOST_BYTES,
) -> Report:
    """Bring the Parquet files of the log in `folder` up to date.

    Args:
        folder: the log's.
        now_s: unix seconds.
        buckets: into how many buckets accounts are spread; the number of a log's first pass stays its number.
        retention: whose bodies are written, and how; without it, all of them as they are.
        unfinished_after_s: see `UNFINISHED_AFTER_S`; longer than the longest exchange.
        linger_s: how long after its last write a segment stays for others who read it (`tail.Tail`).
        most_bytes: of records that are held in memory and committed at once.

    Raises:
        MissingExtra: pyarrow is not installed.
        InputError: the number of buckets is none that can be.
        StoreError: the log is in use by another pass, or the disk did not take it.
    """
    if not 1 <= buckets <= MOST_BUCKETS:
        raise InputError(f"got {buckets} buckets, wanted 1..{MOST_BUCKETS}; choose another number")
    lock = FolderLock(folder)
    try:
        one = _Pass(folder, load_manifest(folder, buckets), now_s, retention or Retention(), linger_s)
        one.report.buckets = one.manifest.buckets
        one.consume(unfinished_after_s, most_bytes)
        one.merge()
        return one.report
    finally:
        lock.close()


class _Pass:
    """One pass over a locked log."""

    def __init__(self, folder: Path, manifest: Manifest, now_s: float, retention: Retention, linger_s: float) -> None:
        self.folder = folder
        self.manifest = manifest
        self.report = Report()
        self._now_s = now_s
        self._retention = retention
        self._linger_s = linger_s

    def consume(self, unfinished_after_s: float, most_bytes: int) -> None:
        """Write all that is new."""
        tail = Tail(self.folder / SEGMENTS, self.manifest.tail)
        is_over = False
        while not is_over:
            records = tail.read(most_bytes)
            if is_over := not tail.is_behind:
                unfinished = tail.unfinished(self._now_s, unfinished_after_s)
                self.report.unfinished += len(unfinished)
                records += unfinished
            self._write(records, tail)
        self.report.faults = tail.faults

    def _write(self, records: Sequence[Record], tail: Tail) -> None:
        """Write `records` and how far `tail` is, at once."""
        next_one = self.manifest.follow()
        next_one.tail = tail.state()
        for (kind, partition, suffix), rows in self._rows(records).items():
            target = f"{kind}/{partition.folder}/{_part(next_one, suffix)}"
            self._stage(next_one, target, partial(write_part, kind=kind, rows=rows))
        next_one.unmerged = sorted({*next_one.unmerged, *(str(Path(to).parent) for to in next_one.place.values())})
        next_one.consumed = [
            (path.name, identity, identity in tail.faults.spoilt)
            for path, identity in tail.complete.items()
            if identity not in tail.needed and self._has_lingered(path)
        ]
        self.report.exchanges += len(records)
        self.report.parts += len(next_one.place)
        self.report.segments += len(next_one.consumed)
        if next_one.place or next_one.consumed or next_one.tail != self.manifest.tail:
            self._committed(next_one)
            for name, _, _ in next_one.consumed:
                tail.forget(self.folder / SEGMENTS / name)

    def _has_lingered(self, path: Path) -> bool:
        return self._linger_s <= 0 or path.stat().st_mtime + self._linger_s <= self._now_s

    def _rows(self, records: Sequence[Record]) -> Rows:
        """The rows of `records` by kind, partition, and what their files' names end in."""
        rows: Rows = defaultdict(list)
        buckets = self.manifest.buckets
        for record in records:
            exchange = exchange_from(record)
            at = exchange.at if 0 < exchange.at < _FAR_S else self._now_s
            partition = partition_of(exchange.segment, at, exchange.account, buckets)
            rows["features", partition, ""].append(features_of(exchange))
            mode = self._retention.of(exchange.segment).mode
            if mode != "features":
                kept = record if mode == "raw" else redact_record(record)
                rows["bodies", partition, f"-{mode}"].append(body_row(kept, at, exchange.account))
        return rows

    def merge(self) -> None:
        """Merge the files of every partition whose hour has settled."""
        next_one = self.manifest.follow()
        for name in self.manifest.unmerged:
            if self._has_settled(name):
                next_one.unmerged.remove(name)
                self._merge_partition(name, next_one)
                if len(next_one.place) >= MERGES_AT_ONCE:
                    next_one = self._committed(next_one).follow()
        if next_one.unmerged != self.manifest.unmerged:
            self._committed(next_one)

    def _committed(self, next_one: Manifest) -> Manifest:
        next_one.commit(self.folder)
        self.manifest = next_one
        return next_one

    def _has_settled(self, name: str) -> bool:
        _, _, day, hour, _ = name.split("/")
        return begins_s(day, hour) + HOUR_S + SETTLED_S <= self._now_s

    def _merge_partition(self, name: str, next_one: Manifest) -> None:
        kind = name.partition("/")[0]
        files = sorted((self.folder / name).glob("*.parquet"))
        for suffix in SUFFIXES[kind]:
            paths = [path for path in files if path.stem.endswith(suffix)]
            if len(paths) > 1:
                self._stage(next_one, f"{name}/{_part(next_one, suffix)}", partial(merge_parts, kind=kind, paths=paths))
                next_one.remove += [f"{name}/{path.name}" for path in paths]
                self.report.merged += len(paths)

    def _stage(self, next_one: Manifest, target: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write a file that has its place when `next_one` is committed."""
        staging = self.folder / STAGING
        staging.mkdir(exist_ok=True, mode=0o700)
        staged = f"{next_one.number:010d}-{len(next_one.place)}"
        with replacing(staging / staged, mode=0o600) as file:
            write(file)
        next_one.place[staged] = target


def _part(manifest: Manifest, suffix: str) -> str:
    return f"part-{manifest.number:010d}{suffix}.parquet"


def retention_of(folder: Path) -> Retention:
    """What the policy in force says is kept, in the gateway's data folder.

    Raises:
        InputError: there is no policy yet.
        StoreError: it cannot be read.
    """
    with Rulings.open(folder) as rulings:
        policy = policy_from_json(rulings.current_policy())
    return Retention({name: Rule(one.retention, one.days) for name, one in policy.segments.items()})


def main(arguments: Sequence[str]) -> int:
    """One pass and one sweep over the gateway's data folder; says only what an operator should know."""
    # Nothing here makes cycles, and looking for them takes a quarter of the time.
    gc.disable()
    folder = GuardFolder(Path(arguments[0]))
    buckets = int(arguments[1]) if len(arguments) > 1 else 8
    now_s = time.time()
    linger_s = now_s - float(arguments[2]) if len(arguments) > 2 else 0.0
    try:
        retention = retention_of(folder.path)
        report = compact(folder.log, now_s, buckets, retention=retention, linger_s=linger_s)
        sweep(folder.log, now_s, retention)
    except SpiritSafeError as error:
        print(f"log: {error}", file=sys.stderr)
        return 2
    for line in report.lines():
        print(f"log: {line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
