"""Ask: the collector, run to its end for a synchronous caller; an embedded teacher is started where none answers.

with teacher_at_hand(recipe) as recipe: summary = ask_all(prompts, recipe, ledger, tally=...)
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spiritsafe.distil.batch import collect_by_batch
from spiritsafe.distil.collect import RequestsOf, collect
from spiritsafe.distil.collected import final_answer
from spiritsafe.distil.progress import OnProgress
from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.prompts import Ask
from spiritsafe.distil.recipe import Recipe, SamplingSettings, Teacher
from spiritsafe.distil.tally import CollectSummary, Tally
from spiritsafe.distil.teacher import LOCAL, build_teacher, require_permission, resolve_terms, sampling_of
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Request
from spiritsafe.models import embedded
from spiritsafe.models.base import Model
from spiritsafe.models.endpoints import endpoint_for

EMBEDDED = "embedded"

AtHand = Callable[[Recipe, Callable[[str], None]], AbstractContextManager[Recipe]]
"""Makes a recipe's teacher answer while a block lasts, and gives the recipe that reaches it."""


@contextmanager
def teacher_at_hand(recipe: Recipe, say: Callable[[str], None]) -> Iterator[Recipe]:
    """`recipe` with a teacher that answers: an embedded one that is not being served is, for as long as this lasts."""
    teacher = recipe.teacher
    if teacher.endpoint != EMBEDDED or teacher.base_url is not None or _answers(endpoint_for(EMBEDDED).base_url):
        yield recipe
        return
    # Imported here: the server is an extra that no other teacher needs.
    from spiritsafe.models.serve import serving

    weights = embedded.get(teacher.model, progress=say)
    with serving(weights, teacher.model) as base_url:
        yield recipe.model_copy(update={"teacher": teacher.model_copy(update={"base_url": base_url})})


def _answers(base_url: str) -> bool:
    """Whether anything listens there."""
    address = urlsplit(base_url)
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or 80), timeout=1.0):
            return True
    except OSError:
        return False


def ask_all(
    prompts: Iterable[Prompt],
    recipe: Recipe,
    ledger: Ledger,
    *,
    requests: RequestsOf | None = None,
    total: int | None = None,
    on_progress: OnProgress | None = None,
    tally: Tally | None = None,
) -> CollectSummary:
    """Have an answer to every prompt in the ledger; see `collect` for arguments and errors."""

    async def run() -> CollectSummary:
        teacher = _teacher(recipe.teacher)
        try:
            return await collect(
                prompts, teacher, recipe, ledger, requests=requests, total=total, on_progress=on_progress, tally=tally
            )
        finally:
            await teacher.close()

    return _run(run())


def ask_all_by_batch(
    prompts: Callable[[], Iterable[Prompt]],
    recipe: Recipe,
    ledger: Ledger,
    folder: Path,
    *,
    total: int | None = None,
    on_progress: OnProgress | None = None,
) -> CollectSummary:
    """As `ask_all`, by batch files kept in `folder`; returns when all have come, and may be stopped and run again."""

    async def run() -> CollectSummary:
        teacher = build_teacher(recipe.teacher)
        try:
            return await collect_by_batch(
                prompts, teacher, recipe, ledger, folder, total=total, on_progress=on_progress
            )
        finally:
            await teacher.close()

    return _run(run())


def _teacher(section: Teacher) -> Model:
    """The model to ask: behind an endpoint, or of local weights."""
    if section.endpoint != LOCAL:
        return build_teacher(section)
    source = resolve_terms(section)
    require_permission(source)
    # Imported here: the one teacher that needs torch.
    from spiritsafe.models.local_model import LocalModel

    return LocalModel.load(section.model, source=source)


def _run(work: Any) -> CollectSummary:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        summary: CollectSummary = runner.run(work)
        return summary


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: half the CPU of the loop; everything works without it."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def expanding(recipe: Recipe, ledger: Ledger) -> Ask:
    """What asks the teacher for new prompts: through ledger and budget, without system prompt and shots."""
    known = expanded(recipe, ledger)

    def ask(requests: Sequence[Request]) -> Iterator[str]:
        for request in requests:
            _have(recipe, request, ledger)
            yield known(request) or ""

    return ask


def expanded(recipe: Recipe, ledger: Ledger | None) -> Callable[[Request], str | None]:
    """What tells the answers that `expanding` has had already; None for one that it has not."""

    def known(request: Request) -> str | None:
        bare, sent = _sent(recipe, request)
        answer = None if ledger is None else final_answer(sent, bare.teacher, ledger)
        return None if answer is None else answer.answer

    return known


def _have(recipe: Recipe, request: Request, ledger: Ledger) -> None:
    bare, sent = _sent(recipe, request)
    ask_all([make_prompt(request.messages)], bare, ledger, requests=lambda prompt: [sent])


def _sent(recipe: Recipe, request: Request) -> tuple[Recipe, Request]:
    """`recipe` with nothing of its own put before a question, and `request` as it is sent.

    Its sample number stays: it is part of the ledger's key, and without it a second try would get the first answer.
    """
    wanted = request.sampling
    sampling = SamplingSettings(
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        max_tokens=wanted.max_tokens or recipe.teacher.sampling.max_tokens,
        seed=wanted.seed,
        stop=wanted.stop,
    )
    bare = {"system": None, "shots": (), "samples": 1, "sampling": sampling}
    teacher = recipe.teacher.model_copy(update=bare)
    return recipe.model_copy(update={"teacher": teacher}), replace(request, sampling=sampling_of(sampling))
