"""Logs as a watch wants them: exchanges in the order of time, each once, from files that may hold them in any order.

A first pass notes where each line lies and when it was; lines are then read in the order of time. That takes 28 bytes
of memory an exchange, and no second copy of the log. What is no exchange is counted by reason and passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.line import loads
from spiritsafe.exchanges.record import Exchange
from spiritsafe.text.distinct import hash_of

_LATEST = float(2**53)
"""Unix seconds beyond which a time is none: whole seconds are no longer told apart."""

_ROW = np.dtype([("at", "<f8"), ("id", "<u8"), ("file", "<u4"), ("offset", "<u8")])


@dataclass(slots=True)
class Passed:
    """Lines that were passed over.

    Attributes:
        reasons: how many of each kind.
        first: where the first of each kind stands.
        duplicates: exchanges that had been there before.
        unordered: exchanges that stand after a later one of their file.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0
    unordered: int = 0

    def note(self, reason: str, path: Path, number: int) -> None:
        """One more line; `number` 0 where only its file is known."""
        self.reasons[reason] += 1
        self.first.setdefault(reason, f"{path}:{number}" if number else str(path))


class Logs:
    """Some files of exchange lines.

    Args:
        paths: files that end in .jsonl, or folders of such.

    Attributes:
        passed: what was passed over, once they have been gone through.

    Raises:
        InputError: a file cannot be read, or there is no exchange in any.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [file for path in paths for file in _files(path)]
        self.passed = Passed()
        # Who goes through a log twice finds the same broken lines again.
        self._broken: set[tuple[int, int]] = set()
        self._index = self._indexed()
        if not len(self._index):
            raise InputError(
                f"got {len(self._files)} files without an exchange that has an account and a time, wanted one; "
                f"passed over: {dict(self.passed.reasons) or 'nothing'}"
            )

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Exchange]:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in self._files]
            for row in self._index:
                file = files[row["file"]]
                if file.tell() != row["offset"]:
                    file.seek(row["offset"])
                try:
                    yield loads(file.readline())
                except InputError as error:
                    place = (int(row["file"]), int(row["offset"]))
                    if place not in self._broken:
                        self._broken.add(place)
                        self.passed.note(_kind(error), self._files[row["file"]], 0)

    def _indexed(self) -> NDArray[np.void]:
        pieces = [np.fromiter(self._rows(number, path), dtype=_ROW) for number, path in enumerate(self._files)]
        times = [piece["at"] for piece in pieces]
        rows = np.concatenate(pieces) if pieces else np.zeros(0, dtype=_ROW)
        self.passed.unordered = sum(int(np.count_nonzero(at < np.maximum.accumulate(at))) for at in times)
        order = np.lexsort((rows["offset"], rows["file"], rows["at"]))
        rows = rows[order]
        _, first = np.unique(rows["id"], return_index=True)
        self.passed.duplicates = len(rows) - len(first)
        kept: NDArray[np.void] = rows[np.sort(first)]
        return kept

    def _rows(self, number: int, path: Path) -> Iterator[tuple[float, int, int, int]]:
        offset = 0
        try:
            with path.open("rb") as file:
                for place, line in enumerate(file, 1):
                    found = self._row(line, path, place)
                    if found is not None:
                        yield (*found, number, offset)
                    offset += len(line)
        except OSError as error:
            raise InputError(f"cannot read {shown(str(path))}: {error.strerror}") from None

    def _row(self, line: bytes, path: Path, number: int) -> tuple[float, int] | None:
        """(time, hash of the id) of a line; None where it is no exchange a watch can use."""
        if not line.strip():
            return None
        try:
            told = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.passed.note("not JSON", path, number)
            return None
        account, at = (told.get("account"), told.get("at")) if isinstance(told, dict) else (None, None)
        if not isinstance(account, str) or not account:
            self.passed.note("no account", path, number)
            return None
        if not isinstance(at, int | float) or not 0 < at < _LATEST:
            self.passed.note("no time", path, number)
            return None
        # Without an id the line itself tells exchanges apart.
        word = str(told.get("id") or "").encode("utf-8", "surrogatepass") or line
        return float(at), hash_of(word) << 32 | hash_of(word, b"2")


def _kind(error: InputError) -> str:
    """What is wrong, without the value that made it so."""
    return str(error).split(";")[0][:120]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.jsonl"))
    if not found:
        raise InputError(
            f"got folder {shown(str(path))} without a .jsonl file, wanted exchange lines; see guard log export"
        )
    return found
