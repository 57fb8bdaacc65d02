"""What a process and all its descendants have used, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything: the state first; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def tree(root: int) -> list[int]:
    """`root` and its living descendants."""
    parents = {int(entry.name): _fields(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [root]
    for pid in found:  # grows as it goes
        found += [child for child, fields in parents.items() if fields and int(fields[1]) == pid]
    return found


def cpu_s(root: int) -> float:
    """CPU seconds, user and system, of the tree: the living, and the dead whom their parents have waited for."""
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := _fields(pid))) / TICKS


def busiest(root: int) -> int:
    """The process of the tree that has worked most: the one that serves."""
    return max(tree(root), key=lambda pid: sum(map(int, _fields(pid)[11:13] or ["0"])))


def rss_mb(pid: int) -> float:
    """Resident memory of one process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
    except OSError:
        return 0.0
