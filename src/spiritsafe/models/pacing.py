"""Pacing: how many requests may be in flight to one teacher, and when the next may go.

What decides is pure, with the time handed in: `Aimd` (concurrency), `Bucket` (requests and tokens a minute) and
`Pacer`, which joins them and holds the whole teacher back after a `Retry-After`. `Gate` is the thin shell around a
`Pacer` that lets tasks of the running event loop wait for their turn, first come first served.

Not here: retries and giving up (`models.retries`), money (`models.budget`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from math import inf

BURST_S = 1.0
"""Seconds of a per-minute limit that may go at once: providers enforce their minute in slices of about a second."""

START_IN_FLIGHT = 8
"""Requests in flight at first; doubled every round of answers until the first overload or the ceiling."""

DECREASE = 0.5
"""What an overload leaves of the concurrency, as in TCP (Chiu and Jain 1989)."""


@dataclass(frozen=True, slots=True)
class PaceLimits:
    """Ceilings for one teacher; None means no limit of that kind.

    Attributes:
        max_in_flight: requests that may be in flight at once, at least 1.
        requests_per_minute, tokens_per_minute: averaged over any window, with a burst of `BURST_S` seconds' worth.
    """

    max_in_flight: int = 64
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class Aimd:
    """Additive increase, multiplicative decrease of the requests in flight (Chiu and Jain 1989).

    `limit` starts at `START_IN_FLIGHT` and grows by one an answer (it doubles a round) until the first overload, then
    by one a round. An overload halves it, once a round: those of requests sent before the last decrease say nothing
    new. It is never below 1 or above `ceiling`.
    """

    def __init__(self, ceiling: int, start: int = START_IN_FLIGHT) -> None:
        self.ceiling = max(1, ceiling)
        self.size = float(min(self.ceiling, max(1, start)))
        self.ramping = True
        self.decreased_at_s = -inf

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self.size)

    def success(self, in_flight: int) -> None:
        """An answer came back while `in_flight` requests (it included) were out.

        A limit that is less than half used is not raised: nothing was learnt about a higher one.
        """
        if 2 * in_flight >= self.size:
            self.size = min(float(self.ceiling), self.size + (1.0 if self.ramping else 1.0 / self.size))

    def overload(self, sent_at_s: float, now_s: float) -> None:
        """The upstream was overloaded for a request sent at `sent_at_s`."""
        if sent_at_s < self.decreased_at_s:
            return
        self.ramping = False
        self.decreased_at_s = now_s
        self.size = max(1.0, self.size * DECREASE)


class Bucket:
    """A token bucket: at most `rate_per_s` a second over any window, and `burst` at once.

    An amount larger than `burst` goes when the bucket is full and leaves it in debt, so that it can go at all.
    """

    def __init__(self, rate_per_s: float, burst: float, now_s: float = 0.0) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.level = burst
        self.at_s = now_s

    def _advance(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self.at_s)
        self.level = min(self.burst, self.level + passed_s * self.rate_per_s)
        self.at_s = max(self.at_s, now_s)

    def wait_s(self, now_s: float, amount: float) -> float:
        """Seconds until `amount` may be taken; 0.0 if now."""
        self._advance(now_s)
        missing = min(amount, self.burst) - self.level
        # A missing sliver below what a float can hold of the level would never be waited away.
        return missing / self.rate_per_s if missing > 1e-9 * self.burst else 0.0

    def take(self, now_s: float, amount: float) -> None:
        """Take `amount`; a negative amount gives back what an estimate had taken too much, up to the burst."""
        self._advance(now_s)
        self.level = min(self.burst, self.level - amount)


def _bucket(per_minute: float | None, now_s: float, at_least: float) -> Bucket | None:
    if per_minute is None:
        return None
    rate_per_s = per_minute / 60.0
    return Bucket(rate_per_s, max(at_least, rate_per_s * BURST_S), now_s)


class Pacer:
    """Decides when the next request may go; pure, with every time handed in (seconds of one monotonic clock).

    Call `wait_s` until it is 0.0, then `sent`; for each `sent`, call `answered` or `failed` once.
    """

    def __init__(self, limits: PaceLimits, now_s: float = 0.0, start: int = START_IN_FLIGHT) -> None:
        self.aimd = Aimd(limits.max_in_flight, start)
        self.requests = _bucket(limits.requests_per_minute, now_s, 1.0)
        self.tokens = _bucket(limits.tokens_per_minute, now_s, 1.0)
        self.in_flight = 0
        self.resume_at_s = -inf

    def wait_s(self, now_s: float, tokens: float) -> float:
        """Seconds until a request of an estimated `tokens` may go: 0.0 for now, infinity for "when one comes back"."""
        if self.in_flight >= self.aimd.limit:
            return inf
        wait_s = max(0.0, self.resume_at_s - now_s)
        if self.requests is not None:
            wait_s = max(wait_s, self.requests.wait_s(now_s, 1.0))
        if self.tokens is not None:
            wait_s = max(wait_s, self.tokens.wait_s(now_s, tokens))
        return wait_s

    def sent(self, now_s: float, tokens: float) -> None:
        """A request of an estimated `tokens` goes now."""
        self.in_flight += 1
        if self.requests is not None:
            self.requests.take(now_s, 1.0)
        if self.tokens is not None:
            self.tokens.take(now_s, tokens)

    def answered(self, now_s: float, tokens: float, actual: float | None) -> None:
        """An answer came; `actual` is what the estimate of `tokens` turned out to be, where the upstream said."""
        self.aimd.success(self.in_flight)
        self.in_flight -= 1
        if self.tokens is not None and actual is not None:
            self.tokens.take(now_s, actual - tokens)

    def failed(self, now_s: float, sent_at_s: float, *, overload: bool, retry_after_s: float | None = None) -> None:
        """A request failed. Its tokens stay taken: upstreams count refused attempts as well.

        Args:
            now_s: now.
            sent_at_s: when the request went.
            overload: whether the failure says that less should be in flight.
            retry_after_s: seconds the upstream asked to wait; they hold back every request to this teacher.
        """
        self.in_flight -= 1
        if overload:
            self.aimd.overload(sent_at_s, now_s)
        if retry_after_s is not None:
            self.resume_at_s = max(self.resume_at_s, now_s + retry_after_s)

    def abandoned(self) -> None:
        """A request was given up from our side: it says nothing about the upstream."""
        self.in_flight -= 1


class Gate:
    """Lets tasks of the running loop through a `Pacer` in the order they came.

    Made inside the loop. The clock is the loop's own, so the pacer handed in must have been made with `now_s` of that
    clock.
    """

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        # Kept: until Python 3.12 asking for the running loop is a system call, and this is asked often.
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: float) -> float:
        """Wait until a request of an estimated `tokens` may go; returns the time it goes (loop seconds)."""
        now_s = self._loop.time()
        if not self._waiting and self.pacer.wait_s(now_s, tokens) == 0.0:
            self.pacer.sent(now_s, tokens)
            return now_s
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((turn, tokens))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.pacer.abandoned()
            self._admit()
            raise
        return self._loop.time()

    def answered(self, tokens: float, actual: float | None) -> None:
        """As `Pacer.answered`, now."""
        self.pacer.answered(self._loop.time(), tokens, actual)
        self._admit()

    def failed(self, sent_at_s: float, *, overload: bool, retry_after_s: float | None = None) -> None:
        """As `Pacer.failed`, now."""
        now_s = self._loop.time()
        self.pacer.failed(now_s, sent_at_s, overload=overload, retry_after_s=retry_after_s)
        self._admit()

    def abandoned(self) -> None:
        """As `Pacer.abandoned`."""
        self.pacer.abandoned()
        self._admit()

    def _admit(self) -> None:
        """Let through everybody whose turn it is, and set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            turn, tokens = self._waiting[0]
            if turn.done():  # cancelled while it waited
                self._waiting.popleft()
                continue
            now_s = self._loop.time()
            wait_s = self.pacer.wait_s(now_s, tokens)
            if wait_s > 0.0:
                if wait_s < inf:
                    self._timer = self._loop.call_later(wait_s, self._admit)
                return
            self._waiting.popleft()
            self.pacer.sent(now_s, tokens)
            turn.set_result(None)
