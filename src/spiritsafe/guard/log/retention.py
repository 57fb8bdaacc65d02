"""Retention: how much is kept of each segment, and for how long; enforced by unlinking files, never by rewriting one.

    raw        facts and bodies
    redacted   facts, and bodies from which personal data and keys were taken out (see `redact`)
    features   facts only: no body is written, and none that an earlier rule had left stays

Days count from the end of the hour in which a request came; so nothing is older than its days, an hour and the time
between two sweeps. Bodies that hold more than the rule allows by now, raw ones where it says redacted, go at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.lock import FolderLock

Mode = Literal["raw", "redacted", "features"]
MODES: tuple[Mode, ...] = ("raw", "redacted", "features")

KINDS = ("features", "bodies")
"""The two trees of Parquet files."""

NO_SEGMENT = "__HIVE_DEFAULT_PARTITION__"
"""How the name of a folder says "no value"."""

DAY_S = 86400
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept of one segment.

    Attributes:
        mode: "raw", "redacted" or "features".
        days: for how long; None for ever.

    Raises:
        InputError: there is no such mode, or the days are negative.
    """

    mode: Mode = "raw"
    days: float | None = 30.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"got retention {shown(self.mode)}, wanted one of {', '.join(MODES)}; choose one of these")
        if self.days is not None and not self.days >= 0:
            raise InputError(f"got retention of {shown(self.days)} days, wanted 0 or more; mend it")


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules by segment; `otherwise` is for segments that have none."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    otherwise: Rule = Rule()

    def of(self, segment: str) -> Rule:
        """The rule of `segment`."""
        return self.rules.get(segment, self.otherwise)


@dataclass(slots=True)
class Swept:
    """What a sweep removed, or would remove.

    Attributes:
        files, size: of all that goes, and their bytes.
        by_segment: files by segment.
    """

    files: int = 0
    size: int = 0
    by_segment: dict[str, int] = field(default_factory=dict)

    def add(self, segment: str, files: list[Path]) -> None:
        """Count `files` of `segment`."""
        self.files += len(files)
        self.size += sum(path.stat().st_size for path in files)
        self.by_segment[segment] = self.by_segment.get(segment, 0) + len(files)


def sweep(folder: Path, now_s: float, retention: Retention, *, dry_run: bool = False) -> Swept:
    """Remove from the log in `folder` what is kept no longer; with `dry_run` only say what that is.

    Raises:
        StoreError: the log is in use by another process, or the disk did not take it.
    """
    swept = Swept()
    lock = None if dry_run else FolderLock(folder)
    try:
        for kind in KINDS:
            for path in _children(folder / kind, "segment"):
                segment = segment_of(path)
                for files in _expired(path, kind, now_s, retention.of(segment)):
                    swept.add(segment, files)
                    if not dry_run:
                        _remove(files, path)
    except OSError as error:
        raise StoreError(f"cannot sweep {shown(str(folder))}: {error.strerror}; make it writable") from None
    finally:
        if lock is not None:
            lock.close()
    return swept


def segment_of(path: Path) -> str:
    """The segment whose folder is `path`."""
    name = path.name.partition("=")[2]
    return "" if name == NO_SEGMENT else unquote(name)


def begins_s(day: str, hour: str = "hour=00") -> float:
    """When the hour begins whose folders have these names, unix seconds."""
    date = datetime.fromisoformat(day.removeprefix("day="))
    return date.replace(tzinfo=UTC).timestamp() + int(hour.removeprefix("hour=")) * HOUR_S


def _expired(path: Path, kind: str, now_s: float, rule: Rule) -> Iterator[list[Path]]:
    """The files that go, an hour or a tree at a time."""
    if kind == "bodies" and rule.mode == "features":
        yield from _some(path.rglob("*.parquet"))
        return
    if rule.days is not None:
        for hour in _hours_before(path, now_s - rule.days * DAY_S):
            yield from _some(hour.rglob("*.parquet"))
    if kind == "bodies" and rule.mode == "redacted":
        yield from _some(path.rglob("*-raw.parquet"))


def _some(paths: Iterator[Path]) -> Iterator[list[Path]]:
    if files := sorted(paths):
        yield files


def _hours_before(segment: Path, horizon_s: float) -> Iterator[Path]:
    """The folders of hours that were over at `horizon_s`."""
    for day in _children(segment, "day"):
        if begins_s(day.name) > horizon_s:
            return
        for hour in _children(day, "hour"):
            if begins_s(day.name, hour.name) + HOUR_S <= horizon_s:
                yield hour


def _children(folder: Path, key: str) -> list[Path]:
    return sorted(folder.glob(f"{key}=*"))


def _remove(files: list[Path], top: Path) -> None:
    """Unlink `files`, and the folders below `top` that are empty then."""
    for path in files:
        path.unlink(missing_ok=True)
    for folder in {parent for path in files for parent in path.parents if top in parent.parents}:
        if folder.exists() and not any(folder.rglob("*.parquet")):
            shutil.rmtree(folder)
