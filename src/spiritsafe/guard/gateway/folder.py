"""Where a gateway keeps what: the paths inside its data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GuardFolder:
    """The data folder; for its owner's eyes alone."""

    path: Path

    def make(self) -> None:
        """Make it and its parts."""
        for folder in (self.path, self.log, self.segments):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def log(self) -> Path:
        """The log: `segments`, and what they are compacted to."""
        return self.path / "log"

    @property
    def segments(self) -> Path:
        """The log as the workers write it."""
        return self.log / "segments"

    @property
    def limits(self) -> Path:
        """What accounts have used, shared by the workers."""
        return self.path / "limits.cells"

    @property
    def counters(self) -> Path:
        """The workers' numbers for /metrics."""
        return self.path / "counters.cells"

    @property
    def watch(self) -> Path:
        """The watch's numbers, for /metrics and for compaction."""
        return self.path / "watch.cells"
