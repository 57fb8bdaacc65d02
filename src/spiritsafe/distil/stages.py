"""Stages: each reads and writes the run's plain files, and is skipped while what it depends on has not changed.

`do(stage, sitting)` does one; `do_all` does every one in order. The heavy parts are imported by the stages that need
them, so that planning and collecting start without torch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spiritsafe.distil.ask import AtHand, ask_all, ask_all_by_batch, expanded, expanding, teacher_at_hand
from spiritsafe.distil.collected import write_collected
from spiritsafe.distil.plan import Plan, plan
from spiritsafe.distil.progress import shown_on
from spiritsafe.distil.prompt import Prompt, prompt_from_json, prompt_to_json
from spiritsafe.distil.prompts import distinct, load_prompts, split_held_out
from spiritsafe.distil.prompts.expand import foresee
from spiritsafe.distil.recipe import ExpandPrompts, Recipe
from spiritsafe.distil.run import STAGES, RunFolder, read_lines, write_json, write_lines
from spiritsafe.distil.tally import Tally
from spiritsafe.distil.teacher import require_permission, resolve_terms
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Request, Source
from spiritsafe.models import embedded


@dataclass(frozen=True)
class Sitting:
    """One sitting at a run.

    Attributes:
        recipe, recipe_path: the recipe, and what the user called it.
        run: the run's folder.
        ledger: the ledger's folder.
        again: do the stage although it is up to date.
        say: takes a line for the user.
        first: whether this process writes what all of them know, of several that work on one stage (torchrun).
        at_hand: makes the teacher answer for as long as it is asked, and gives the recipe that reaches it.
    """

    recipe: Recipe
    recipe_path: str
    run: RunFolder
    ledger: Path
    again: bool
    say: Callable[[str], None]
    first: bool = True
    at_hand: AtHand = teacher_at_hand


def do(stage: str, sitting: Sitting) -> None:
    """Do `stage`, unless it is up to date.

    Raises:
        InputError: the stage before it has not been done for this recipe; the message names the command.
        SpiritSafeError: whatever the stage raises; what it finished is kept.
    """
    run, recipe = sitting.run, sitting.recipe
    if run.is_current(stage, recipe) and not sitting.again:
        sitting.say(f"{stage}: up to date")
        return
    before = _stage_before(stage)
    if before is not None and not run.is_current(before, recipe):
        raise InputError(
            f"{shown(str(run.root))} has no {before} stage for this recipe yet, wanted one before {stage}; run  "
            f"spiritsafe distil {before} {sitting.recipe_path} --out {run.root}"
        )
    if sitting.first:
        write_json(run.recipe, recipe.model_dump(mode="json"))
    DOERS[stage](sitting)


def do_all(sitting: Sitting) -> None:
    """Do every stage that is not up to date, in order."""
    for stage in STAGES:
        do(stage, sitting)


def _stage_before(stage: str) -> str | None:
    """The stage whose files `stage` reads; a plan is never needed."""
    order = list(STAGES)
    place = order.index(stage)
    return order[place - 1] if place >= 2 else None


def _plan(sitting: Sitting) -> None:
    recipe = sitting.recipe
    source = _worth_paying_for(recipe)
    ledger = Ledger.open(sitting.ledger, read_only=True) if sitting.ledger.exists() else None
    try:
        find = ledger.get if ledger is not None else lambda key: None
        every, expansion = _foreseen(recipe, ledger)
        training, held_out = _streams(recipe, every)
        parameters = _parameters(recipe)
        found = plan(recipe, source, training, held_out, find, expansion=expansion, parameters=parameters)
    finally:
        if ledger is not None:
            ledger.close()
    sitting.run.finish("plan", recipe, found.to_json())
    for line in plan_lines(found, recipe):
        sitting.say(line)


def _worth_paying_for(recipe: Recipe) -> Source:
    """The teacher, once all that can be wrong without a request has been looked at.

    Raises:
        PermissionMissing: the teacher's terms do not allow it.
        InputError: a cut of the curation is not usable.
    """
    from spiritsafe.distil.curate import chain_of

    source = resolve_terms(recipe.teacher)
    require_permission(source)
    chain_of(recipe.curate)
    return source


def _foreseen(recipe: Recipe, ledger: Ledger | None) -> tuple[Iterator[Prompt], Sequence[Request]]:
    """Prompts as far as they are known without asking, and the requests that it takes to have them."""
    if not isinstance(recipe.prompts, ExpandPrompts):
        return load_prompts(recipe.prompts), ()
    foreseen = foresee(recipe.prompts, expanded(recipe, ledger))
    return distinct(foreseen.prompts), foreseen.requests


def _streams(recipe: Recipe, every: Iterator[Prompt]) -> tuple[Iterator[Prompt], Callable[[], Iterator[Prompt]]]:
    """Training prompts, and the held-out ones, which are known once the training prompts have been read."""
    if recipe.evaluate.prompts is not None:
        ids = {prompt.id for prompt in _own_held_out(recipe)}
        return distinct(every, ids), lambda: _own_held_out(recipe)
    split = split_held_out(every, recipe.evaluate.held_out, recipe.evaluate.seed)
    return iter(split), lambda: iter(split.held_out)


def _own_held_out(recipe: Recipe) -> Iterator[Prompt]:
    return iter(()) if recipe.evaluate.prompts is None else load_prompts(recipe.evaluate.prompts)


def _parameters(recipe: Recipe) -> int | None:
    """Parameters of the student, where a row says them without loading it; of a cut they are known once it is made."""
    sizes = {row.name: round(row.params_millions * 1e6) for row in embedded.rows()}
    return None if recipe.student.layers else sizes.get(recipe.student.model)


def plan_lines(found: Plan, recipe: Recipe) -> Iterator[str]:
    """The plan for people."""
    source = found.source
    terms = ", ".join(part for part in (source.terms, source.licence, source.permission) if part)
    unknown = f"unknown (no price for {source.model}; see teacher.prices)"
    yield f"teacher   {source.endpoint}/{source.model}; terms: {terms}"
    made = f", new ones by at least {found.expansion:,} requests" if found.expansion else ""
    yield f"prompts   {found.prompts:,} to train on, {found.held_out:,} held out{made}"
    yield f"requests  {found.requests:,}, of which {found.in_ledger:,} are in the ledger"
    yield (
        f"tokens    about {found.input_tokens:,} in, {found.output_tokens:,} out for the new ones "
        f"(from {found.estimated_from})"
    )
    if found.dollars is None or found.dollars_at_most is None:
        yield f"dollars   {unknown}"
    else:
        most = f"${found.dollars_at_most:,.4f} at most"
        yield f"dollars   about ${found.dollars:,.4f}, {most} (prices of {found.price_version})"
    limit = recipe.budget
    if limit.dollars is not None or limit.tokens is not None:
        caps = [f"${limit.dollars:,.2f}" if limit.dollars else "", f"{limit.tokens:,} tokens" if limit.tokens else ""]
        yield f"budget    {' and '.join(cap for cap in caps if cap)}, never exceeded"
    yield f"minutes   {'unknown before the first answers' if found.minutes is None else f'about {found.minutes:,.1f}'}"
    memory = (
        "known once the student is loaded (check stage)" if found.training_gb is None else f"{found.training_gb} GB"
    )
    yield f"memory    {memory} for weights, gradients and optimiser"


def _collect(sitting: Sitting) -> None:
    run = sitting.run
    _worth_paying_for(sitting.recipe)
    tally = Tally()
    began_s = time.monotonic()
    with Ledger.open(sitting.ledger) as ledger, sitting.at_hand(sitting.recipe, sitting.say) as recipe:
        training, held_out = _streams(recipe, load_prompts(recipe.prompts, ask=expanding(recipe, ledger)))
        counts = [write_lines(path, map(prompt_to_json, stream)) for path, stream in _written(run, training, held_out)]
        total = sum(counts) * recipe.teacher.samples

        def prompts() -> Iterator[Prompt]:
            return (prompt for path in (run.prompts, run.held_out) for prompt in _read(path))

        with shown_on(sys.stderr, time.monotonic) as on_progress:
            if recipe.teacher.transport == "batch":
                folder = run.root / "batches"
                summary = ask_all_by_batch(prompts, recipe, ledger, folder, total=total, on_progress=on_progress)
            else:
                summary = ask_all(prompts(), recipe, ledger, total=total, on_progress=on_progress, tally=tally)
        write_collected(run.collected, _read(run.prompts), recipe.teacher, ledger)
        write_collected(run.held_out_collected, _read(run.held_out), recipe.teacher, ledger)
    run.finish("collect", sitting.recipe, summary.to_json() | {"wall_s": time.monotonic() - began_s})
    cost = "unknown price" if summary.dollars is None else f"${summary.dollars:,.4f}"
    sitting.say(
        f"collect: {summary.asked:,} asked, {summary.from_ledger:,} from the ledger, {cost}, {summary.wall_s:,.0f} s"
    )


def _written(
    run: RunFolder, training: Iterator[Prompt], held_out: Callable[[], Iterator[Prompt]]
) -> Iterator[tuple[Path, Iterator[Prompt]]]:
    """Files and what goes into them, in the order in which it becomes known."""
    yield run.prompts, training
    yield run.held_out, held_out()


def _read(path: Path) -> Iterator[Prompt]:
    return map(prompt_from_json, read_lines(path))


def _curate(sitting: Sitting) -> None:
    from spiritsafe.distil.curate import curate

    summary = curate(sitting.run, sitting.recipe).to_json()
    sitting.say(f"curate: {summary['kept']:,} kept of {summary['in']:,}")


def _check(sitting: Sitting) -> None:
    from spiritsafe.distil.check import check, told

    summary = check(sitting.run, sitting.recipe)
    for warning in summary.warnings:
        sitting.say(f"check: warning: {told(warning)}")
    how = f"{len(summary.warnings)} with a warning" if summary.warnings else "all in order"
    sitting.say(f"check: {len(summary.findings)} findings, {how}; see {sitting.run.check_page}")


def _train(sitting: Sitting) -> None:
    from spiritsafe.distil.ranks import joined
    from spiritsafe.distil.students import train_student
    from spiritsafe.distil.trained import TrainProgress

    run, recipe = sitting.run, sitting.recipe
    kept: int = run.read_summary("curate")["kept"]
    began_s = time.monotonic()
    students = []
    with joined() as ranks:
        for budget in recipe.budgets or (kept,):

            def tell(progress: TrainProgress, budget: int = budget) -> None:
                if progress.step % 10 == 0 or progress.step == progress.steps:
                    sitting.say(
                        f"train: {budget} exchanges, step {progress.step}/{progress.steps}, loss {progress.loss:.3f}, "
                        f"{progress.tokens_per_s:,.0f} tokens/s, {progress.eta_s:,.0f} s left"
                    )

            summary = train_student(run, recipe, budget, ranks=ranks, on_progress=tell)
            students.append({"budget": budget, "folder": summary.folder, "seconds": summary.seconds})
        if ranks.first:
            run.finish("train", recipe, {"students": students, "wall_s": time.monotonic() - began_s})


def _evaluate(sitting: Sitting) -> None:
    from spiritsafe.distil.evaluate import contenders_of, evaluate, held_out_exchanges

    run, recipe = sitting.run, sitting.recipe
    if recipe.train.threads is not None:
        import torch

        torch.set_num_threads(recipe.train.threads)

    def tell(name: str, done: int, wanted: int) -> None:
        sitting.say(f"evaluate: {name} {done}/{wanted}")

    evaluate(run, recipe, contenders_of(run, recipe), held_out_exchanges(run), on_answers=tell)


def _report(sitting: Sitting) -> None:
    from spiritsafe.distil.report import write_report

    with Ledger.open(sitting.ledger, read_only=True) as ledger:
        spent = ledger.spent(sitting.recipe.name)
    report = write_report(
        sitting.run,
        sitting.recipe,
        recipe_path=sitting.recipe_path,
        written_at=f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC",
        spent=spent,
    )
    found = report["recovered"]
    if found["estimate"] is None:
        sitting.say("report: recovered capability is not estimable")
    else:
        low, high = found["low"], found["high"]
        sitting.say(f"report: recovered {found['estimate']:.2f} of the teacher's capability ({low:.2f} to {high:.2f})")
    sitting.say(f"report: {sitting.run.report_page}")


DOERS: dict[str, Callable[[Sitting], None]] = {
    "plan": _plan,
    "collect": _collect,
    "curate": _curate,
    "check": _check,
    "train": _train,
    "evaluate": _evaluate,
    "report": _report,
}
"""What does each stage, in the order of `run.STAGES`."""
