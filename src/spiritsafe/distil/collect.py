"""Collect: ask the teacher for every prompt, pay for nothing twice, keep everything that was answered.

    summary = await collect(prompts, build_teacher(recipe.teacher), recipe, ledger)
    write_collected(run.collected, prompts, recipe.teacher, ledger)

A number of workers pull from one stream of requests, so memory is flat in the number of prompts. Each request is looked
up in the ledger first; a miss is asked for as `distil.asking` says. An answer cut off by its limit is asked for once
more with the larger one, under a key of its own.

A stop (an error, the budget, Ctrl-C) lets answers in flight come in for a while and keeps them; the same call then goes
on where it stopped.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

from spiritsafe.distil.asking import Asker, TeacherGivenUp
from spiritsafe.distil.lookup import Job, Lookup
from spiritsafe.distil.progress import TELL_EVERY_S, Meter, OnProgress
from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.tally import CollectSummary, Tally
from spiritsafe.distil.teacher import (
    escalated,
    key_for,
    pace_limits,
    requests_for,
    require_permission,
    sampling_of,
    teacher_prices,
)
from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.exchanges.commit import GroupCommit
from spiritsafe.exchanges.entries import nanodollars
from spiritsafe.exchanges.ledger import Ledger, Spend
from spiritsafe.exchanges.record import Request
from spiritsafe.models.base import Model
from spiritsafe.models.budget import Budget, Cost, require_price
from spiritsafe.models.pacing import Gate, Pacer
from spiritsafe.models.prices import Prices
from spiritsafe.models.purse import Purse
from spiritsafe.models.retries import Backoff, Circuit

DRAIN_S = 10.0
"""Seconds that a stop waits for answers in flight: they are paid for already, whether they are kept or not."""

RequestsOf: TypeAlias = Callable[[Prompt], Iterable[Request]]
"""What is asked about a prompt."""

PATIENT = Backoff()
NOTHING = Cost()


async def collect(
    prompts: Iterable[Prompt],
    teacher: Model,
    recipe: Recipe,
    ledger: Ledger,
    *,
    requests: RequestsOf | None = None,
    total: int | None = None,
    on_progress: OnProgress | None = None,
    tally: Tally | None = None,
    backoff: Backoff = PATIENT,
    circuit: Circuit | None = None,
    drain_s: float = DRAIN_S,
    draw: Callable[[], float] = random.random,
) -> CollectSummary:
    """Have an answer to every request of every prompt in the ledger.

    Args:
        prompts: read once, as workers come free.
        teacher: who is asked; closing it is left to the caller.
        recipe: its teacher section says what is sent, its name whose budget pays.
        ledger: where answers are found and kept.
        requests: what is asked about a prompt; as the teacher section says if not given.
        total: number of requests there will be, for the time left; None if it was not counted.
        on_progress: told how far it is, at most four times a second.
        tally: counted into; hand one in to read it after an error.
        backoff: how failed attempts are repeated.
        circuit: when the teacher is given up.
        drain_s: how long a stop waits for answers in flight.
        draw: uniform random numbers in [0, 1), for the jitter.

    Raises:
        PermissionMissing: the teacher's terms do not allow it and the recipe gives no permission.
        InputError: a budget that cannot be kept, or a malformed prompt.
        BudgetError: the next request could exceed the budget.
        UpstreamError: the key is refused, the model is unknown, or too many requests failed in a row.
        StoreError: the disk did not take an answer.
    """
    require_permission(teacher.source)
    tally = tally if tally is not None else Tally()
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    prices, limits = teacher_prices(recipe.teacher), pace_limits(recipe.teacher)
    budget, commit = open_budget(recipe, prices, ledger), GroupCommit(ledger)
    purse = Purse(budget, ledger.lease(recipe.name), priced=prices is not None)
    asker = Asker(
        teacher=teacher,
        charged_to=recipe.name,
        prices=prices,
        ledger=ledger,
        lookup=Lookup(ledger, partial(key_for, recipe.teacher)),
        commit=commit,
        purse=purse,
        gate=Gate(Pacer(limits, started_s)),
        tally=tally,
        backoff=backoff,
        circuit=circuit or Circuit(),
        draw=draw,
    )
    requests = requests or partial(requests_for, recipe.teacher, first=sampling_of(recipe.teacher.sampling))
    sitting = _Sitting(asker, recipe, requests, Meter(on_progress, total, started_s))
    try:
        async with commit:
            await sitting.run(prompts, limits.max_in_flight, drain_s)
    finally:
        sitting.tell(last=True)
        # In this order: until what was broken off is in the ledger, the lease stands for it.
        asker.write_off()
        purse.lease.settle()
    return tally.summary(loop.time() - started_s, done=True)


def open_budget(recipe: Recipe, prices: Prices | None, ledger: Ledger, held: Cost = NOTHING) -> Budget:
    """What the recipe may still spend.

    Args:
        recipe: whose budget.
        prices: what the teacher charges.
        ledger: what was spent in earlier sittings.
        held: what else is held back.

    Raises:
        InputError: the budget in dollars cannot be kept, because a price is unknown or was.
    """
    limit = recipe.budget
    require_price(prices, limit.dollars, f"{recipe.teacher.endpoint}/{recipe.teacher.model}")
    spent = ledger.spent(recipe.name)
    if limit.dollars is not None and spent.unknown_prices:
        raise InputError(
            f"{spent.unknown_prices} earlier requests of recipe '{recipe.name}' have no known price, so a budget in "
            f"dollars cannot be kept; give budget.tokens instead, or another name"
        )
    return Budget(limit.dollars, limit.tokens, cost_of(spent) + held)


def cost_of(spent: Spend) -> Cost:
    """What the ledger says was spent."""
    return Cost(nanodollars(spent.dollars), spent.input_tokens + spent.output_tokens)


class _Sitting:
    """The workers of one collection and how they stop."""

    def __init__(self, asker: Asker, recipe: Recipe, requests: RequestsOf, meter: Meter) -> None:
        self.asker = asker
        self.recipe = recipe
        self.requests = requests
        self.meter = meter
        self.tally = asker.tally

    async def run(self, prompts: Iterable[Prompt], workers: int, drain_s: float) -> None:
        """Do everything; on an error or a cancellation let what is in flight come in, then stop."""
        jobs = self.asker.lookup.ahead(self._requests(prompts))
        tasks = {asyncio.create_task(self._work(jobs)) for _ in range(workers)}
        ticker = asyncio.create_task(self._tick())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            errors = [error for task in done if (error := task.exception()) is not None]
            if errors:
                raise errors[0]
        finally:
            ticker.cancel()
            await self._drain({task for task in tasks if not task.done()}, drain_s)

    def _requests(self, prompts: Iterable[Prompt]) -> Iterator[tuple[str, Request]]:
        for prompt in prompts:
            self.tally.prompts += 1
            for request in self.requests(prompt):
                yield prompt.id, request

    async def _work(self, jobs: Iterator[Job]) -> None:
        for job in jobs:
            await self._have(job)
            if self.asker.stopping:
                return

    async def _have(self, job: Job) -> None:
        """Have the answer in the ledger, and the one with the larger limit where the first was cut off."""
        try:
            answer = await self.asker.answer(job.key, job.request)
        except TeacherGivenUp:
            raise
        except UpstreamError as error:
            self.tally.skip(job.prompt_id, error)
            return
        if answer is not None and answer.finish_reason == "length" and not self.asker.stopping:
            await self._escalate(job.request)

    async def _escalate(self, request: Request) -> None:
        larger = escalated(self.recipe.teacher, request)
        if larger is None:
            return
        try:
            await self.asker.answer(self.asker.lookup.key(larger), larger, escalated=True)
        except TeacherGivenUp:
            raise
        except UpstreamError:
            return  # counted where it happened; the prompt keeps the answer it has

    async def _tick(self) -> None:
        while True:
            self.tell()
            await asyncio.sleep(TELL_EVERY_S)

    def tell(self, *, last: bool = False) -> None:
        """Say how far it is."""
        tally = self.tally
        self.meter.tell(
            asyncio.get_running_loop().time(),
            done=tally.asked + tally.from_ledger,
            asked=tally.asked,
            in_flight=len(self.asker.in_flight),
            dollars=tally.dollars,
            errors=tally.failed,
            last=last,
        )

    async def _drain(self, tasks: set[asyncio.Task[None]], drain_s: float) -> None:
        """Stop `tasks`: at once where nothing is in flight, else when it has come in or `drain_s` is over."""
        if not tasks:
            return
        self.asker.stopping = True
        busy = tasks & self.asker.in_flight
        _cancel(tasks - busy)
        if busy:
            await asyncio.wait(busy, timeout=drain_s)
        # An answer on its way to the disk is not broken off: that takes milliseconds and it is paid for.
        _cancel(tasks - self.asker.committing)
        await asyncio.gather(*tasks, return_exceptions=True)


def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
