"""Asking: have the answer to one request, from the ledger or from the teacher.

    ledger hit?  yes: done     no: wait for a turn -> reserve the worst case -> ask -> commit to disk -> settle
                                                        failed: wait, and from the turn again, a few times

An attempt that failed and may have been billed is in the ledger too, at its worst case, before its reservation counts
as spent. So does one that a stop broke off (`Asker.write_off`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import time
from typing import Any

from spiritsafe.distil.lookup import Lookup
from spiritsafe.distil.tally import Tally
from spiritsafe.errors import SpiritSafeError, UpstreamError
from spiritsafe.exchanges.commit import GroupCommit
from spiritsafe.exchanges.ledger import Attempt, Ledger
from spiritsafe.exchanges.record import Exchange, Request
from spiritsafe.models.base import Model
from spiritsafe.models.budget import Cost, actual_cost, most_input_tokens, worst_case
from spiritsafe.models.pacing import Gate
from spiritsafe.models.prices import Prices
from spiritsafe.models.purse import Purse
from spiritsafe.models.retries import STOP_AT_ONCE, Backoff, Circuit

BYTES_PER_TOKEN = 3
"""For pacing only, where a guess that is corrected afterwards beats an upper bound: English has about four."""

WORST_CASE = "worst case"
"""In `Exchange.price_version`: the upstream did not say what was used, so the most it can have cost is charged."""


class TeacherGivenUp(UpstreamError):
    """No further request to this teacher makes sense: the key is refused, or too many failed in a row."""

    @classmethod
    def after(cls, error: UpstreamError, why: str = "") -> TeacherGivenUp:
        """The error that ends a run after `error`."""
        return cls(f"{why}{error}", kind=error.kind, retryable=False, status=error.status)


@dataclass(eq=False)
class Asker:
    """Asks one teacher on behalf of one recipe.

    Attributes:
        teacher: who is asked.
        charged_to: whose budget pays.
        prices: what the teacher charges; None where unknown.
        ledger, commit, purse, gate: where answers are found and kept, what may be spent, when it may be sent.
        lookup: knows of many keys at once that they are not in the ledger.
        tally: counted into.
        backoff, circuit: how often to try, and when to give the teacher up.
        draw: uniform random numbers in [0, 1), for the jitter.
        in_flight: tasks that have sent something and not yet settled it: a stop waits for these.
        committing: of these, those whose answer is on its way to the disk.
        stopping: set to True to have nothing tried again.
        given_up: why nothing further is sent to the teacher, once that is so.
        broken_off: attempts that a stop broke off.
    """

    teacher: Model
    charged_to: str
    prices: Prices | None
    ledger: Ledger
    lookup: Lookup
    commit: GroupCommit
    purse: Purse
    gate: Gate
    tally: Tally
    backoff: Backoff
    circuit: Circuit
    draw: Callable[[], float]
    in_flight: set[asyncio.Task[Any]] = field(default_factory=set)
    committing: set[asyncio.Task[Any]] = field(default_factory=set)
    stopping: bool = False
    given_up: TeacherGivenUp | None = None
    broken_off: list[Attempt] = field(default_factory=list)
    _asking: set[bytes] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def answer(self, key: bytes, request: Request, *, escalated: bool = False) -> Exchange | None:
        """The answer to `request`; None if another task is asking the very same just now.

        Args:
            key: the ledger's key of it; one that did not just come out of the lookup is escalated.
            request: what to ask.
            escalated: whether it asks again, with a larger limit, for an answer that was cut off; counted alone.

        Raises:
            TeacherGivenUp: nothing further is to be asked.
            UpstreamError: this request stays without an answer.
            BudgetError: it could exceed the budget.
            StoreError: the ledger could not be read or written.
        """
        if key in self._asking:
            await asyncio.sleep(0)
            return None
        found = self.ledger.get(key) if escalated or self.lookup.may_be_stored(key) else None
        if found is not None:
            self.tally.from_ledger += 1
            # A hit waits for nothing: without this a million of them would hold the loop for a minute.
            await asyncio.sleep(0)
            return found
        self._asking.add(key)
        try:
            answer = await self._ask(key, request)
            self.lookup.stored(key)
            self.tally.escalated += escalated
            return answer
        finally:
            self._asking.discard(key)

    async def _ask(self, key: bytes, request: Request) -> Exchange:
        """Ask until there is an answer or no sense in asking on."""
        retries = billed = 0
        while True:
            try:
                answer = await self._attempt(key, request)
            except UpstreamError as error:
                self._count(error)
                billed += error.maybe_billed
                if self.stopping or not self.backoff.may_retry(error, retries, billed):
                    self._skip(error)
                    raise
                delay_s = self.backoff.delay_s(retries, self.draw(), error.retry_after_s)
            else:
                self.circuit.success(self._loop.time())
                self.tally.answered(answer)
                return answer
            retries += 1
            self.tally.retries += 1
            await asyncio.sleep(delay_s)

    def _count(self, error: UpstreamError) -> None:
        self.tally.attempt_failed(error)
        self.circuit.failure(error)
        if error.kind in STOP_AT_ONCE:
            self.given_up = self.given_up or TeacherGivenUp.after(error)
        self._stop_if_given_up(error)

    def _skip(self, error: UpstreamError) -> None:
        self.circuit.gave_up()
        self._stop_if_given_up(error)

    def _stop_if_given_up(self, error: UpstreamError) -> None:
        if self.given_up is None and self.circuit.is_open(self._loop.time()):
            many = max(self.circuit.failures, self.circuit.given_up)
            self.given_up = TeacherGivenUp.after(error, f"{many} requests in a row failed, the last with: ")
        if self.given_up is not None:
            raise self.given_up from None

    async def _attempt(self, key: bytes, request: Request) -> Exchange:
        """One attempt, paced and paid for; the answer is on disk when this returns."""
        worst = worst_case(request, self.prices)
        estimate = self._estimate(request)
        sent_at_s = await self.gate.enter(estimate)
        try:
            await self.purse.reserve(worst)
            if self.given_up is not None:
                self.purse.release(worst)
                raise self.given_up
        except BaseException:
            self.gate.abandoned()
            raise
        task = self._this_task()
        self.in_flight.add(task)
        try:
            came = await self._send(key, request, worst, sent_at_s)
            self.gate.answered(estimate, _tokens(came))
            return await self._keep(key, request, came, worst)
        finally:
            self.in_flight.discard(task)

    def _estimate(self, request: Request) -> float:
        """Tokens to take from the minute's allowance; corrected when the answer comes."""
        if self.gate.pacer.tokens is None:
            return 0.0
        return most_input_tokens(request.messages) / BYTES_PER_TOKEN + (request.sampling.max_tokens or 0)

    async def _send(self, key: bytes, request: Request, worst: Cost, sent_at_s: float) -> Exchange:
        try:
            return await self.teacher.ask(request)
        except UpstreamError as error:
            self.gate.failed(sent_at_s, overload=error.retryable, retry_after_s=error.retry_after_s)
            if error.maybe_billed:
                lost = self._lost(key, request, worst, error.kind)
                await self._commit(lost, lost)
                self.purse.keep(worst)
            else:
                self.purse.release(worst)
            raise
        except SpiritSafeError:  # refused before anything was sent
            self.gate.abandoned()
            self.purse.release(worst)
            raise
        except BaseException:  # broken off from our side
            self.gate.abandoned()
            self.broken_off.append(self._lost(key, request, worst, "cancelled"))
            raise

    async def _keep(self, key: bytes, request: Request, came: Exchange, worst: Cost) -> Exchange:
        """Commit the answer, then let its reservation go: until then a crash must count it as in flight."""
        cost = actual_cost(came.usage, came.dollars, worst)
        answer = replace(came, id=key.hex(), charged_to=self.charged_to)
        if came.dollars is None and self.prices is not None:
            version = f"{self.prices.version}, {WORST_CASE}" if worst.nanodollars else self.prices.version
            answer = replace(answer, dollars=worst.dollars, price_version=version)
        await self._commit(answer, self._lost(key, request, worst, "not_stored"))
        if came.usage.input_tokens is None or came.usage.output_tokens is None:
            # An answer that does not say what it used: the tokens of its worst case are kept beside it.
            uncounted = replace(self._lost(key, request, worst, "uncounted"), dollars=0.0)
            await self._commit(uncounted, uncounted)
        self.purse.settle(worst, cost)
        return answer

    async def _commit(self, record: Exchange | Attempt, lost: Attempt) -> None:
        """Put `record` on disk; where that fails, `lost` is what is left to write off."""
        task = self._this_task()
        self.committing.add(task)
        try:
            await self.commit.add(record)
        except SpiritSafeError:
            self.broken_off.append(lost)
            raise
        finally:
            self.committing.discard(task)

    def _this_task(self) -> asyncio.Task[Any]:
        task = asyncio.current_task(self._loop)
        assert task is not None, "asked outside a task"
        return task

    def _lost(self, key: bytes, request: Request, worst: Cost, kind: str) -> Attempt:
        output = request.sampling.max_tokens or 0
        dollars = None if self.prices is None else worst.dollars
        return Attempt(time(), key, self.charged_to, kind, dollars, worst.tokens - output, output)

    def write_off(self) -> None:
        """Put the attempts that a stop broke off into the ledger; nothing is in flight after that.

        Raises:
            StoreError: the disk did not take it; the lease covers them until the ledger is next opened.
        """
        if self.broken_off:
            self.ledger.append(self.broken_off)
            self.broken_off = []


def _tokens(answer: Exchange) -> float | None:
    usage = answer.usage
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return float(usage.input_tokens + usage.output_tokens)
