"""Manifest: what a pass over the log has done, and what is left to do of it, in one file that is replaced as a whole.

New files are written into `staging/` first. The manifest that says "this far the segments are read" says in the same
breath which staged files are to be moved where, and which files and segments are to be removed. It is carried out
after it is on disk, and again by whoever comes next: every step can be done twice. A staged file that no manifest
speaks of is what a killed pass left behind, and is removed.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.errors import StoreError, shown
from spiritsafe.exchanges.atomic import replacing, sync_folder
from spiritsafe.exchanges.segments import remove_segment
from spiritsafe.guard.log.tail import identity_of

MANIFEST_VERSION = 1

SEGMENTS, STAGING, MANIFEST = "segments", "staging", "manifest.json"


@dataclass(slots=True)
class Manifest:
    """The state of a compacted log.

    Attributes:
        number: of the passes so far; it names what the next one writes.
        buckets: into how many buckets accounts are spread.
        tail: how far the segments are read (`tail.Tail.state`).
        unmerged: folders of partitions that got a file since they were last merged, relative to the log's folder.
        place: staged files, by name, and where they go, relative to the log's folder.
        remove: files to be removed, relative to the log's folder.
        consumed: names of segments that are not needed any more, with their ids, and whether they are to be kept aside.
    """

    number: int = 0
    buckets: int = 8
    tail: dict[str, Any] = field(default_factory=dict)
    unmerged: list[str] = field(default_factory=list)
    place: dict[str, str] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    consumed: list[tuple[str, str, bool]] = field(default_factory=list)

    def commit(self, folder: Path) -> None:
        """Make it the log's state, then do what it says.

        Raises:
            StoreError: the disk did not take it.
        """
        with replacing(folder / MANIFEST, mode=0o600) as file:
            file.write(orjson.dumps({"v": MANIFEST_VERSION, **asdict(self)}))
        self.carry_out(folder)

    def carry_out(self, folder: Path) -> None:
        """Do what it says, as far as it is not done.

        Raises:
            StoreError: the disk did not take it.
        """
        try:
            for name, target in self.place.items():
                _place(folder / STAGING / name, folder, target)
            for name in self.remove:
                (folder / name).unlink(missing_ok=True)
            for name, identity, is_kept in self.consumed:
                _remove_segment(folder / SEGMENTS / name, identity, is_kept)
        except OSError as error:
            raise StoreError(f"cannot change {shown(str(folder))}: {error.strerror}; make room there") from None

    def follow(self) -> Manifest:
        """The manifest that comes next, with nothing to do yet."""
        return Manifest(self.number + 1, self.buckets, self.tail, list(self.unmerged))


def load_manifest(folder: Path, buckets: int) -> Manifest:
    """The state of the log in `folder`, all that it says carried out; a new one with so many buckets where none is.

    Raises:
        StoreError: the file is damaged, a newer version wrote it, or the disk did not take it.
    """
    try:
        state = orjson.loads((folder / MANIFEST).read_bytes())
        version = state.pop("v")
        if version > MANIFEST_VERSION:
            raise StoreError(f"{folder / MANIFEST} has version {version}, wanted at most {MANIFEST_VERSION}; upgrade")
        state["consumed"] = [tuple(one) for one in state["consumed"]]
        manifest = Manifest(**state)
    except FileNotFoundError:
        manifest = Manifest(buckets=buckets)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise StoreError(f"{folder / MANIFEST} is damaged; restore it from a backup together with the folder") from None
    manifest.carry_out(folder)
    _remove_orphans(folder / STAGING)
    return manifest


def _place(staged: Path, folder: Path, target: str) -> None:
    if not staged.exists():
        return
    path = folder / target
    _make_folder(path.parent, folder)
    staged.replace(path)
    sync_folder(path.parent)


def _make_folder(path: Path, top: Path) -> None:
    """Make the folders from `top` down to `path`, durably."""
    if path == top or path.is_dir():
        return
    _make_folder(path.parent, top)
    path.mkdir(exist_ok=True, mode=0o700)
    sync_folder(path.parent)


def _remove_segment(path: Path, identity: str, is_kept: bool) -> None:
    """Remove the segment if it is still that one: a number that is free again may have been given to another."""
    if path.exists() and identity_of(path) == identity:
        remove_segment(path, path.with_name(f"{path.stem}-{identity[:8]}.damaged") if is_kept else None)


def _remove_orphans(staging: Path) -> None:
    if staging.is_dir():
        for name in os.listdir(staging):
            (staging / name).unlink()
