"""Ingesting a batch: the lines that came back, into the ledger. Doing it twice pays and counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from spiritsafe.distil.batch_files import BatchFile, BatchFolder, Requests
from spiritsafe.distil.tally import Tally
from spiritsafe.errors import UpstreamError
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Exchange, Request
from spiritsafe.models.retries import STOP_AT_ONCE

APPEND_AT_ONCE = 256

ParseReply = Callable[[Request, bytes], Exchange]
ReplyError = Callable[[int, bytes], UpstreamError]


@dataclass
class Came:
    """What a batch brought.

    Attributes:
        answers: answers in it, whether they were in the ledger already or not.
        refused: keys that were refused: asking again will not help.
        given_up: a failure that every further request would meet as well (no credit left), if there was one.
    """

    answers: int = 0
    refused: set[bytes] = field(default_factory=set)
    given_up: UpstreamError | None = None


def ingest(
    folder: BatchFolder,
    file: BatchFile,
    ledger: Ledger,
    charged_to: str,
    tally: Tally,
    parse: ParseReply,
    error_of: ReplyError,
) -> Came:
    """Take the output and the errors of `file` into `ledger`.

    Args:
        folder: where they were downloaded to; either may be missing.
        file: which batch.
        ledger: where answers go; those it has are passed over.
        charged_to: whose budget paid.
        tally: counted into.
        parse: makes an exchange of a request and the body that answered it.
        error_of: makes an error of a status and a body.

    Raises:
        StoreError: the disk did not take it; ingesting again goes on.
    """
    came, requests = Came(), folder.requests_of(file.number)
    waiting: list[Exchange] = []
    for answer in _answers(folder, file, ledger, came, tally, requests, parse, error_of):
        waiting.append(replace(answer, charged_to=charged_to))
        if len(waiting) >= APPEND_AT_ONCE:
            _store(ledger, waiting, tally)
            waiting = []
    _store(ledger, waiting, tally)
    return came


def _store(ledger: Ledger, answers: list[Exchange], tally: Tally) -> None:
    if answers:
        ledger.append(answers)
        for answer in answers:
            tally.answered(answer)


def _answers(
    folder: BatchFolder,
    file: BatchFile,
    ledger: Ledger,
    came: Came,
    tally: Tally,
    requests: Requests,
    parse: ParseReply,
    error_of: ReplyError,
) -> Iterator[Exchange]:
    """The answers that are not in the ledger; failures are counted."""
    seen: set[str] = set()
    for line in (*_lines(folder.path(file.number, ".output")), *_lines(folder.path(file.number, ".errors"))):
        key = str(line.get("custom_id", ""))
        request = requests.get(key)
        if request is None or key in seen:
            continue  # not ours, or said twice
        seen.add(key)
        try:
            answer = _read(line, request, parse, error_of)
        except UpstreamError as error:
            tally.attempt_failed(error)
            if error.kind in STOP_AT_ONCE:
                came.given_up = error
            elif not error.retryable:
                came.refused.add(bytes.fromhex(key))
                tally.skip(key, error)
            continue
        came.answers += 1
        if ledger.has(bytes.fromhex(key)):
            tally.from_ledger += 1
        else:
            yield replace(answer, id=key)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects in a file that was downloaded; a line that is none is as good as missing: it is asked again."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            with suppress(orjson.JSONDecodeError):
                row = orjson.loads(line)
                if isinstance(row, dict):
                    yield row


def _read(line: dict[str, Any], request: Request, parse: ParseReply, error_of: ReplyError) -> Exchange:
    """The exchange of one line.

    Raises:
        UpstreamError: it is a failure; "expired" and the like can be asked again.
    """
    response = line.get("response") or {}
    status, body = response.get("status_code"), orjson.dumps(response.get("body"))
    if status == 200:
        return parse(request, body)
    if isinstance(status, int):
        raise error_of(status, body)
    error = line.get("error") or {}
    code = str(error.get("code", "unknown"))
    raise UpstreamError(f"batch: {code}: {error.get('message', '')}", kind=code[:40], retryable=True)
