"""Batch: OpenAI-format batch files as a second way to ask, at the endpoint's share of the price, within a day.

    missing requests -> files -> upload and submit -> poll -> ingest into the ledger -> what is still missing, again

Every step leaves its trace on disk before and after, so the driver may be stopped anywhere, in days and processes of
its own, and goes on where it was: a file is never submitted twice, an answer never counted twice. The budget holds back
the worst case of every file that is not ingested yet. Answers cut off by their limit are asked for once more, later.

Limits: OpenAI and those who imitate its files and batches (Groq). The budget of a recipe knows of the batches in its
own run folder only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import orjson

from spiritsafe.distil.batch_files import URL, BatchFile, BatchFolder, BatchLine, Kind, batch_line
from spiritsafe.distil.batch_ingest import ingest
from spiritsafe.distil.collect import PATIENT, open_budget
from spiritsafe.distil.progress import Meter, OnProgress
from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.tally import CollectSummary, Tally
from spiritsafe.distil.teacher import escalated, key_for, requests_for, require_permission, sampling_of
from spiritsafe.errors import InputError, UpstreamError, shown
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Request
from spiritsafe.models.api import ApiModel
from spiritsafe.models.budget import Budget, Cost, worst_case
from spiritsafe.models.retries import Backoff

POLL_EVERY_S = 60.0

STALLED = 3
"""Batches in a row that may end without one new answer before the run stops."""

ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
"""A batch in one of these states changes no more; what it answered until then can be fetched and was charged."""

FIND_PAGES = 20
"""Pages of 100 batches looked through for one that an earlier process may have made."""


@dataclass
class Batches:
    """The batches of one run: who is asked, for what, and where it is kept.

    Attributes:
        teacher: an endpoint that takes batch files.
        recipe: its teacher section says what is sent, its name whose budget pays.
        ledger: where answers are found and kept.
        folder: the batch files.
        tally: counted into.
        refused: keys that were refused in this sitting; they are not asked for again in it.
        stalled: batches in a row that ended without an answer.
    """

    teacher: ApiModel
    recipe: Recipe
    ledger: Ledger
    folder: BatchFolder
    tally: Tally = field(default_factory=Tally)
    refused: set[bytes] = field(default_factory=set)
    stalled: int = 0

    @property
    def share(self) -> float:
        """What is charged of the list price.

        Raises:
            InputError: the endpoint takes no batch files.
        """
        share = self.teacher.endpoint.batch_share
        if share is None:
            raise InputError(
                f"endpoint {shown(self.teacher.endpoint.name)} is not known to take batch files; "
                f'set teacher.transport = "live"'
            )
        return share

    def open_budget(self) -> Budget:
        """What may still be spent, beside all that open files could cost."""
        held = sum((file.worst for file in self.folder.open_files()), Cost())
        return open_budget(self.recipe, self.teacher.prices, self.ledger, held)


async def collect_by_batch(
    prompts: Callable[[], Iterable[Prompt]],
    teacher: ApiModel,
    recipe: Recipe,
    ledger: Ledger,
    folder: Path,
    *,
    total: int | None = None,
    on_progress: OnProgress | None = None,
    tally: Tally | None = None,
    poll_every_s: float = POLL_EVERY_S,
    backoff: Backoff = PATIENT,
    draw: Callable[[], float] = random.random,
) -> CollectSummary:
    """Have an answer to every request of every prompt in the ledger, by batch files; waits until all have come.

    Args:
        prompts: gives the prompts anew; they are gone through once a round.
        teacher: who is asked.
        recipe: as for `collect`.
        ledger: where answers are found and kept.
        folder: where the batch files lie; the same one goes on where it stopped.
        total, on_progress, tally: as for `collect`.
        poll_every_s: seconds between two looks at open batches.
        backoff: how failed calls are repeated; every step can be.
        draw: uniform random numbers in [0, 1), for the jitter.

    Raises:
        PermissionMissing, BudgetError, StoreError, InputError: as `collect`.
        UpstreamError: the key is refused, a batch was not accepted, or batches end without answers.
    """
    require_permission(teacher.source)
    run = Batches(teacher, recipe, ledger, BatchFolder(folder), tally if tally is not None else Tally())
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    meter = Meter(on_progress, total, started_s)
    failures = 0
    while True:
        try:
            done = await advance(run, prompts)
            failures, delay_s = 0, poll_every_s
        except UpstreamError as error:
            run.tally.attempt_failed(error)
            if not backoff.may_retry(error, failures, 0):
                raise
            done, delay_s = False, backoff.delay_s(failures, draw(), error.retry_after_s)
            failures += 1
        _tell(run, meter, loop.time(), last=done)
        if done:
            return run.tally.summary(loop.time() - started_s, done=True)
        await asyncio.sleep(delay_s)


async def advance(run: Batches, prompts: Callable[[], Iterable[Prompt]]) -> bool:
    """Do all that can be done now: fetch what has ended, write and submit what is missing. True if nothing is left.

    Raises:
        As `collect_by_batch`; whatever was raised, the next call goes on from there.
    """
    for file in run.folder.open_files():
        if file.step == "submitted":
            await _fetch(run, file)
    write_missing(run, prompts)
    for file in run.folder.open_files():
        if file.step != "submitted":
            await submit(run, file)
    return not run.folder.open_files()


def write_missing(run: Batches, prompts: Callable[[], Iterable[Prompt]]) -> list[BatchFile]:
    """Write files of the requests that have no answer and are in no open file, as many as the budget holds.

    Raises:
        BudgetError: not one fits, and no open file could make room.
        StoreError: the disk did not take it.
    """
    written: list[BatchFile] = []
    while True:
        lines = _missing_lines(run, prompts(), run.folder.open_keys())
        file = run.folder.add(lines, run.open_budget())
        if file is None:
            return written
        written.append(file)


def _missing_lines(run: Batches, prompts: Iterable[Prompt], out: set[bytes]) -> Iterator[BatchLine]:
    """The lines of what is missing; `out` are keys of open files, to which what is given out is added."""
    share = run.share
    for request in _wanted(run, prompts):
        key = key_for(run.recipe.teacher, request)
        if key in out or key in run.refused or run.ledger.has(key):
            continue
        out.add(key)
        worst = worst_case(request, run.teacher.prices, share)
        yield batch_line(key, request, run.teacher.render(request), run.teacher.dialect, worst)


def _wanted(run: Batches, prompts: Iterable[Prompt]) -> Iterator[Request]:
    """Every request of every prompt, and the one with the larger limit where an answer was cut off."""
    teacher = run.recipe.teacher
    sampling = sampling_of(teacher.sampling)
    for prompt in prompts:
        for request in requests_for(teacher, prompt, sampling):
            yield request
            larger = escalated(teacher, request)
            if larger is not None and _is_cut_off(run, request):
                yield larger


def _is_cut_off(run: Batches, request: Request) -> bool:
    answer = run.ledger.get(key_for(run.recipe.teacher, request))
    return answer is not None and answer.finish_reason == "length"


async def submit(run: Batches, file: BatchFile) -> BatchFile:
    """Upload `file` and have it worked on, unless an earlier process did.

    Raises:
        UpstreamError: it was not accepted, or nobody answered; a later call looks whether it got through.
    """
    if file.step == "submitting":
        found = await _find(run.teacher, file.token)
        if found is not None:
            return _submitted(run, file, found)
    else:
        # Written before anything is sent: from here on a batch of this file may exist.
        file = run.folder.update(file, step="submitting", submitted_at=time())
    if file.file_id is None:
        answer = await run.teacher.upload("/files", run.folder.path(file.number), {"purpose": "batch"})
        file = run.folder.update(file, file_id=_text(answer, "id"))
    wanted = {
        "input_file_id": file.file_id,
        "endpoint": URL,
        "completion_window": "24h",
        "metadata": {"spiritsafe": file.token},
    }
    return _submitted(run, file, orjson.loads(await run.teacher.post("/batches", orjson.dumps(wanted))))


def _submitted(run: Batches, file: BatchFile, batch: dict[str, Any]) -> BatchFile:
    return run.folder.update(file, step="submitted", batch_id=batch["id"], status=str(batch.get("status", "")))


async def _find(teacher: ApiModel, token: str) -> dict[str, Any] | None:
    """The batch made of the file with that token, if there is one."""
    after = ""
    for _ in range(FIND_PAGES):
        page = orjson.loads(await teacher.get(f"/batches?limit=100{after}"))
        batches: list[dict[str, Any]] = page.get("data") or []
        for batch in batches:
            if (batch.get("metadata") or {}).get("spiritsafe") == token:
                return batch
        if not batches or not page.get("has_more"):
            return None
        after = f"&after={batches[-1]['id']}"
    return None


async def _fetch(run: Batches, file: BatchFile) -> None:
    """Look how far the batch of `file` is; if it has ended, take what came back into the ledger."""
    batch = orjson.loads(await run.teacher.get(f"/batches/{file.batch_id}"))
    status = str(batch.get("status", ""))
    file = run.folder.update(file, status=status)
    if status not in ENDED:
        return
    parts: tuple[tuple[Kind, str], ...] = ((".output", "output_file_id"), (".errors", "error_file_id"))
    for kind, field_name in parts:
        identity = batch.get(field_name)
        if identity:
            await run.teacher.download(f"/files/{identity}/content", run.folder.path(file.number, kind))
    parse = partial(run.teacher.parse_reply, at=file.submitted_at, share=run.share)
    came = await asyncio.to_thread(
        ingest, run.folder, file, run.ledger, run.recipe.name, run.tally, parse, run.teacher.reply_error
    )
    run.refused |= came.refused
    run.folder.update(file, step="ingested", answered=came.answers)
    run.stalled = 0 if came.answers else run.stalled + 1
    if came.given_up is not None:
        raise came.given_up
    if status == "failed" or run.stalled >= STALLED:
        raise UpstreamError(
            f"{run.teacher.endpoint.name}: batch {file.batch_id} {status} without an answer: {_reason(batch)}; "
            f"mend that and run again",
            kind="refused",
            retryable=False,
        )


def _reason(batch: dict[str, Any]) -> str:
    errors = (batch.get("errors") or {}).get("data") or []
    return shown("; ".join(str(error.get("message", "")) for error in errors) or "no reason given", 200)


def _text(body: bytes, name: str) -> str:
    value = orjson.loads(body).get(name)
    if not isinstance(value, str):
        raise UpstreamError(
            f"got {shown(bytes(body[:80]))}, wanted '{name}'; check base_url", kind="malformed", retryable=False
        )
    return value


def _tell(run: Batches, meter: Meter, now_s: float, *, last: bool) -> None:
    waiting = sum(file.requests for file in run.folder.open_files())
    tally = run.tally
    meter.tell(
        now_s,
        done=tally.asked + tally.from_ledger,
        asked=tally.asked,
        in_flight=waiting,
        dollars=tally.dollars,
        errors=tally.failed,
        last=last,
    )
