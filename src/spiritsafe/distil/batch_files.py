"""Batch files: requests written in OpenAI's batch format, and how far each file has come, in one folder.

    state.json            how far each file has come: the truth across processes, replaced whole at every step
    0001.jsonl            what is uploaded: {"custom_id": key, "method", "url", "body"} a line
    0001.asked.jsonl      the same requests in our own format, to make exchanges of the answers
    0001.output.jsonl     what came back; 0001.errors.jsonl what failed

A file goes through `Step`s. "submitting" is written before anything is sent, so that a process that dies in between is
followed by one that looks for the batch before it makes another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import orjson

from spiritsafe.distil.run import write_json
from spiritsafe.errors import StoreError, shown
from spiritsafe.exchanges.line import dumps, from_json
from spiritsafe.exchanges.record import Exchange, Request
from spiritsafe.models.budget import Budget, Cost

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""OpenAI's limits of one batch file."""

URL = "/v1/chat/completions"
"""The endpoint named in every line; providers with another prefix to their base URL want this one here all the same."""

Kind = Literal["", ".asked", ".output", ".errors"]
Step = Literal["written", "submitting", "submitted", "ingested"]


@dataclass(frozen=True, slots=True)
class BatchFile:
    """One file and how far it has come.

    Attributes:
        number: its place in the folder, from 1.
        requests: lines in it.
        token: hash of its content; the batch carries it as metadata, so it can be found again.
        worst_nanodollars, worst_tokens: the most it can cost, held back from the budget until it is ingested.
        step: how far it has come.
        file_id, batch_id: what the provider calls the upload and the batch.
        submitted_at: unix seconds.
        status: the provider's word for the batch's state.
        answered: answers taken from it.
    """

    number: int
    requests: int
    token: str
    worst_nanodollars: int
    worst_tokens: int
    step: Step = "written"
    file_id: str | None = None
    batch_id: str | None = None
    submitted_at: float = 0.0
    status: str = ""
    answered: int = 0

    @property
    def worst(self) -> Cost:
        """The most it can cost."""
        return Cost(self.worst_nanodollars, self.worst_tokens)


class BatchFolder:
    """The batch files of one run.

    Args:
        root: the folder, made with the first file.

    Raises:
        StoreError: its state cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = _read_state(root / "state.json")

    def path(self, number: int, kind: Kind = "") -> Path:
        """A file of batch `number`."""
        return self.root / f"{number:04d}{kind}.jsonl"

    def open_files(self) -> list[BatchFile]:
        """Those whose answers are not all in the ledger yet."""
        return [file for file in self.files if file.step != "ingested"]

    def update(self, file: BatchFile, **changes: Any) -> BatchFile:
        """`file` with `changes`, on disk when this returns."""
        changed = replace(file, **changes)
        self.files = [changed if one.number == file.number else one for one in self.files]
        self._save()
        return changed

    def _save(self) -> None:
        write_json(self.root / "state.json", {"version": 1, "files": [asdict(file) for file in self.files]})

    def open_keys(self) -> set[bytes]:
        """Keys of the requests that are in open files."""
        return {bytes.fromhex(identity) for file in self.open_files() for identity, _ in self._asked_lines(file.number)}

    def _asked_lines(self, number: int) -> Iterator[tuple[str, int]]:
        """(key in hex, offset) of each request of batch `number`."""
        offset = 0
        with self.path(number, ".asked").open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)["id"], offset
                offset += len(line)

    def add(self, lines: Iterable[BatchLine], budget: Budget) -> BatchFile | None:
        """Write the next file from `lines`, as many as it and the budget hold; None if there is not one to write.

        The first line that does not fit any more is taken from `lines` and lost: look for what is missing anew before
        each file.

        Raises:
            BudgetError: not even the first line fits, and nothing is in an open file that could make room.
            StoreError: the disk did not take it.
        """
        number = len(self.files) + 1
        taken = self._write(number, lines, budget)
        if taken.requests == 0:
            if taken.left_out is not None and not self.open_files():
                raise budget.exhausted(taken.left_out)
            return None
        worst, token = taken.worst, taken.hashed.hexdigest()
        file = BatchFile(number, taken.requests, token, worst.nanodollars, worst.tokens)
        self.files = [*self.files, file]
        self._save()
        return file

    def _write(self, number: int, lines: Iterable[BatchLine], budget: Budget) -> _Taken:
        taken = _Taken()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self.path(number).open("wb") as body, self.path(number, ".asked").open("wb") as asked:
                for line in islice(lines, MOST_REQUESTS):
                    if not taken.has_room(line, budget):
                        break
                    body.write(line.body)
                    asked.write(line.asked)
                    taken.add(line)
        except OSError as error:
            raise StoreError(
                f"cannot write {shown(str(self.path(number)))}: {error.strerror}; make room or give another --out"
            ) from None
        return taken

    def requests_of(self, number: int) -> Requests:
        """The requests of batch `number`, by key."""
        return Requests(self.path(number, ".asked"), dict(self._asked_lines(number)))


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One request, ready to be written.

    Attributes:
        body: its line in the provider's format.
        asked: its line in ours.
        worst: the most it can cost.
    """

    body: bytes
    asked: bytes
    worst: Cost


@dataclass(slots=True)
class _Taken:
    """What has gone into the file that is being written."""

    requests: int = 0
    bytes: int = 0
    worst: Cost = field(default_factory=Cost)
    left_out: Cost | None = None
    hashed: blake2b = field(default_factory=lambda: blake2b(digest_size=16))

    def has_room(self, line: BatchLine, budget: Budget) -> bool:
        if not budget.fits(self.worst + line.worst):
            self.left_out = line.worst
            return False
        return self.bytes + len(line.body) <= MOST_BYTES

    def add(self, line: BatchLine) -> None:
        self.requests += 1
        self.bytes += len(line.body)
        self.worst += line.worst
        self.hashed.update(line.body)


def batch_line(key: bytes, request: Request, body: bytes, dialect: str, worst: Cost) -> BatchLine:
    """The line of `request`, whose HTTP body would be `body`."""
    identity = key.hex()
    asked = Exchange(identity, 0.0, dialect, request.messages, request.sampling, request.sample)
    head = b'{"custom_id":"%b","method":"POST","url":"%b","body":' % (identity.encode(), URL.encode())
    return BatchLine(head + body + b"}\n", dumps(asked) + b"\n", worst)


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests on disk, found by key; 50,000 offsets are held and one request at a time."""

    path: Path
    offsets: dict[str, int]

    def get(self, key: str) -> Request | None:
        """The request with that key in hex, or None if it is not in this file."""
        offset = self.offsets.get(key)
        if offset is None:
            return None
        with self.path.open("rb") as file:
            file.seek(offset)
            asked = from_json(orjson.loads(file.readline()))
        return Request(asked.messages, asked.sampling, asked.sample)


def _read_state(path: Path) -> list[BatchFile]:
    if not path.exists():
        return []
    try:
        return [BatchFile(**file) for file in orjson.loads(path.read_bytes())["files"]]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise StoreError(
            f"cannot read {shown(str(path))} ({type(error).__name__}); put it back from a copy, or fetch "
            f"the batches it tells of by hand"
        ) from None
