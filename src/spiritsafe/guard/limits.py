"""How much an account may ask for, and whether it has room for one more request. Pure: the clock is handed in.

Counts lie in cells of unsigned 64-bit numbers, `FIELDS` for each account's slot. Every worker writes its own cells and
reads all of them, so nothing is locked; what another worker counts at the same instant may be seen one request late.
A minute slides: what was counted in this minute, and of the minute before it the part that is still less than a minute
ago, as if it had come evenly. Days are days of UTC. Tokens and dollars are known when an answer has ended, so a limit
on them can be overdrawn by what was under way; the next request waits.

A clock that steps back carries the counts of a worker along with it, and a clock that steps forward ages them as time
does: neither locks an account out for longer than a window.

Source of the sliding count: Cloudflare, "How we built rate limiting capable of scaling to millions of domains" (2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import NamedTuple

MINUTE_S = 60
DAY_S = 86_400

SLOTS = 1 << 20
"""Accounts that a worker's cells have room for, unless made otherwise."""

FIELDS = 9
"""Cells of one account: the fields of `Counts`, in their order."""

MICRODOLLARS = 1_000_000
"""In one dollar."""

MOST_AT_ONCE = 1 << 40
"""Tokens, or microdollars, that one request is charged at most: an upstream that says more must not fill a cell."""

SWING_S = 5.0
"""A clock that swings back over the turn of a minute by less is waited for, so that swinging gives no credit."""

BUSY_S = 1.0
"""What a customer is told to wait while too many of its requests are open; when one ends is not known."""

_MINUTE, _REQUESTS, _REQUESTS_BEFORE, _TOKENS, _TOKENS_BEFORE, _DAY, _DAY_TOKENS, _DAY_MICRODOLLARS, _OPEN = range(9)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may ask for; None: no limit.

    Attributes:
        requests_per_minute, tokens_per_minute: in any minute; tokens of prompts and answers together.
        concurrency: requests that are open at the same time.
        tokens_per_day, dollars_per_day: in a day of UTC.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    tokens_per_day: int | None = None
    dollars_per_day: float | None = None


class Counts(NamedTuple):
    """What one account has used, as it lies in the cells.

    `minute` and `day` (since 1970) say what the counts beside them are of; `requests_before` and `tokens_before` are of
    the minute before. `open_now` is how many requests are under way.
    """

    minute: int = 0
    requests: int = 0
    requests_before: int = 0
    tokens: int = 0
    tokens_before: int = 0
    day: int = 0
    day_tokens: int = 0
    day_microdollars: int = 0
    open_now: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no room for the request.

    Attributes:
        limit: the field of `Limits` that stands against it.
        retry_after_s: when asking again can succeed.
        message: for the customer.
    """

    limit: str
    retry_after_s: float
    message: str


class Standing(NamedTuple):
    """How much room is left, for the headers of an answer; `at` is unix seconds, None where there is no limit.

    A reset is in how many seconds nothing counts any more, if nothing else is sent.
    """

    at: float
    requests_limit: int | None
    requests_left: int
    requests_reset_s: float
    tokens_limit: int | None
    tokens_left: int
    tokens_reset_s: float


class Meter:
    """The counts of one worker, and a view of the others'.

    Args:
        cells: for each worker one writable view of unsigned 64-bit numbers ("Q"), `FIELDS` for each slot, at first 0.
        own: which of them is this worker's.

    Attributes:
        others: what other machines have used, by slot; added to what is counted here.
        touched: slots that this worker has counted in, for whoever shares them and then clears it; None: nobody does.
    """

    def __init__(self, cells: Sequence[memoryview], own: int) -> None:
        self._own = cells[own]
        self._rest = [*cells[:own], *cells[own + 1 :]]
        self.others: dict[int, Counts] = {}
        self.touched: set[int] | None = None

    @staticmethod
    def bytes_for(slots: int = SLOTS) -> int:
        """How many bytes the cells of one worker take."""
        return slots * FIELDS * 8

    def admit(self, slot: int, limits: Limits, now_s: float, factor: float = 1.0) -> Refused | None:
        """Count a request and open it if there is room for it; else say why not, and count nothing.

        `factor` makes the limits by the minute and on open requests smaller or larger, never less than one.
        """
        at = slot * FIELDS
        left = self._turn(at, now_s)
        used = self._used(slot, at)
        if factor != 1.0:
            limits = _scaled(limits, factor)
        if not _has_room(limits, used, left):
            return max(_refusals(limits, used, left, now_s), key=_wait_of)
        own = self._own
        own[at + _REQUESTS] += 1
        own[at + _OPEN] += 1
        if self.touched is not None:
            self.touched.add(slot)
        return None

    def spend(self, slot: int, now_s: float, tokens: int, microdollars: int) -> None:
        """Charge what a request turned out to need."""
        at = slot * FIELDS
        self._turn(at, now_s)
        own = self._own
        if tokens > 0:
            tokens = tokens if tokens < MOST_AT_ONCE else MOST_AT_ONCE
            own[at + _TOKENS] += tokens
            own[at + _DAY_TOKENS] += tokens
        if microdollars > 0:
            own[at + _DAY_MICRODOLLARS] += microdollars if microdollars < MOST_AT_ONCE else MOST_AT_ONCE
        if self.touched is not None:
            self.touched.add(slot)

    def leave(self, slot: int) -> None:
        """A request that was let in has ended."""
        at = slot * FIELDS + _OPEN
        if self._own[at]:
            self._own[at] -= 1
        if self.touched is not None:
            self.touched.add(slot)

    def forget_open(self, slots: Iterable[int]) -> None:
        """No request of this worker is under way: for one that takes the place of a worker that died."""
        for at in (slot * FIELDS + _OPEN for slot in slots):
            if self._own[at]:
                self._own[at] = 0

    def standing(self, slot: int, limits: Limits, now_s: float) -> Standing:
        """How much room is left now."""
        left = self._turn(slot * FIELDS, now_s)
        _, requests, requests_before, tokens, tokens_before, *_ = self._used(slot, slot * FIELDS)
        return Standing(
            now_s,
            limits.requests_per_minute,
            _room(limits.requests_per_minute, requests, requests_before, left),
            _reset_s(requests, requests_before, left),
            limits.tokens_per_minute,
            _room(limits.tokens_per_minute, tokens, tokens_before, left),
            _reset_s(tokens, tokens_before, left),
        )

    def here(self, slot: int, now_s: float) -> Counts:
        """What this worker has counted, for other machines to add in."""
        at = slot * FIELDS
        self._turn(at, now_s)
        return Counts._make(self._own[at : at + FIELDS].tolist())

    def used_since(self, slots: Iterable[int], day: int) -> set[int]:
        """Those of `slots` in which this worker has counted on that day (since 1970) or later."""
        return {slot for slot in slots if self._own[slot * FIELDS + _DAY] >= day}

    def _used(self, slot: int, at: int) -> list[int]:
        """The `Counts` of now, by all workers and machines; the own calendar must have been turned."""
        counts = self._counted(at)
        if slot in self.others:
            _add(counts, self.others[slot])
        return counts

    def _counted(self, at: int) -> list[int]:
        counts = self._own[at : at + FIELDS].tolist()
        for cells in self._rest:
            _add(counts, cells[at : at + FIELDS].tolist())
        return counts

    def _turn(self, at: int, now_s: float) -> float:
        """Turn the pages of the own calendar to now. Returns the part of the minute that is to come.

        So much of what was counted in the minute before still counts.
        """
        own = self._own
        minute = int(now_s // MINUTE_S) if now_s > 0 else 0
        since = minute - own[at]
        if since == -1 and MINUTE_S - now_s % MINUTE_S < SWING_S:
            return 1.0
        if since:
            self._turn_pages(at, minute, since)
        return 1.0 - now_s % MINUTE_S / MINUTE_S

    def _turn_pages(self, at: int, minute: int, since: int) -> None:
        own = self._own
        own[at] = minute
        for count in (at + _REQUESTS, at + _TOKENS):
            if since < 0:
                # The clock was set back. All that was counted lately is taken as of now: no credit, and it ages.
                own[count], own[count + 1] = max(own[count], own[count + 1]), 0
            else:
                own[count], own[count + 1] = 0, own[count] if since == 1 else 0
        day = minute * MINUTE_S // DAY_S
        if day != own[at + _DAY]:
            if day > own[at + _DAY]:
                own[at + _DAY_TOKENS] = own[at + _DAY_MICRODOLLARS] = 0
            own[at + _DAY] = day


def lines_of(standing: Standing, api: str) -> bytes:
    """The limits and what is left of them, as header lines that clients of `api` read ("openai" or "anthropic").

    Source: platform.openai.com/docs/guides/rate-limits; docs.anthropic.com/en/api/rate-limits.
    """
    lines = b""
    if (most := standing.requests_limit) is not None:
        lines = _lines(api, b"requests", most, standing.requests_left, standing.requests_reset_s, standing.at)
    if (most := standing.tokens_limit) is not None:
        lines += _lines(api, b"tokens", most, standing.tokens_left, standing.tokens_reset_s, standing.at)
    return lines


def _lines(api: str, what: bytes, most: int, room: int, reset_s: float, at: float) -> bytes:
    if api == "anthropic":
        # Rounded up, so that whoever waits until then has waited long enough.
        return _ANTHROPIC % (what, most, what, room, what, _date_of(ceil(at + reset_s)))
    return _OPENAI % (what, most, what, room, what, reset_s)


_OPENAI = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %.1fs\r\n"
_ANTHROPIC = (
    b"anthropic-ratelimit-%b-limit: %d\r\nanthropic-ratelimit-%b-remaining: %d\r\nanthropic-ratelimit-%b-reset: %b\r\n"
)


def together(parts: Iterable[Counts], now_s: float) -> Counts:
    """What several machines have counted, as one count of now.

    Their clocks may differ a little: what is of the minute that begins next counts as of this one.
    """
    minute = int(now_s // MINUTE_S)
    counts = list(Counts(minute=minute, day=minute * MINUTE_S // DAY_S))
    for part in parts:
        if part.minute == minute + 1:
            part = part._replace(
                minute=minute,
                requests=part.requests + part.requests_before,
                requests_before=0,
                tokens=part.tokens + part.tokens_before,
                tokens_before=0,
            )
        _add(counts, part)
    return Counts._make(counts)


@lru_cache(maxsize=256)
def _date_of(at: int) -> bytes:
    """RFC 3339."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _add(counts: list[int], other: Sequence[int]) -> None:
    """Add `other` as of the minute and the day of `counts`; what is older or dated later adds nothing."""
    if other[_MINUTE] == counts[_MINUTE]:
        for field in (_REQUESTS, _REQUESTS_BEFORE, _TOKENS, _TOKENS_BEFORE):
            counts[field] += other[field]
    elif other[_MINUTE] == counts[_MINUTE] - 1:
        counts[_REQUESTS_BEFORE] += other[_REQUESTS]
        counts[_TOKENS_BEFORE] += other[_TOKENS]
    if other[_DAY] == counts[_DAY]:
        counts[_DAY_TOKENS] += other[_DAY_TOKENS]
        counts[_DAY_MICRODOLLARS] += other[_DAY_MICRODOLLARS]
    counts[_OPEN] += other[_OPEN]


def _scaled(limits: Limits, factor: float) -> Limits:
    def scaled(most: int | None) -> int | None:
        return None if most is None else max(1, int(most * factor))

    return replace(
        limits,
        requests_per_minute=scaled(limits.requests_per_minute),
        tokens_per_minute=scaled(limits.tokens_per_minute),
        concurrency=scaled(limits.concurrency),
    )


def _has_room(limits: Limits, used: list[int], left: float) -> bool:
    """Whether `_refusals` finds nothing: the short way, for every request."""
    _, requests, requests_before, tokens, tokens_before, _, day_tokens, day_microdollars, open_now = used
    return (
        ((most := limits.requests_per_minute) is None or requests + requests_before * left < most)
        and ((most := limits.tokens_per_minute) is None or tokens + tokens_before * left < most)
        and ((most := limits.concurrency) is None or open_now < most)
        and ((most := limits.tokens_per_day) is None or day_tokens < most)
        and ((dollars := limits.dollars_per_day) is None or day_microdollars < dollars * MICRODOLLARS)
    )


def _refusals(limits: Limits, used: list[int], left: float, now_s: float) -> Iterator[Refused]:
    """A refusal for each limit that leaves no room for one request more."""
    _, requests, requests_before, tokens, tokens_before, _, day_tokens, day_microdollars, open_now = used
    if (most := limits.requests_per_minute) is not None and requests + requests_before * left >= most:
        yield _by_minute("requests", most, requests, requests_before, left)
    if (most := limits.tokens_per_minute) is not None and tokens + tokens_before * left >= most:
        yield _by_minute("tokens", most, tokens, tokens_before, left)
    if (most := limits.concurrency) is not None and open_now >= most:
        said = f"{open_now} requests of this account are under way, its limit is {most}; wait for one to end"
        yield Refused("concurrency", BUSY_S, said)
    if (most := limits.tokens_per_day) is not None and day_tokens >= most:
        yield _by_day("tokens", f"{day_tokens} tokens", f"{most}", now_s)
    if (dollars := limits.dollars_per_day) is not None and day_microdollars >= dollars * MICRODOLLARS:
        yield _by_day("dollars", f"${day_microdollars / MICRODOLLARS:.2f}", f"${dollars:.2f}", now_s)


def _wait_of(refused: Refused) -> float:
    return refused.retry_after_s


def _by_minute(what: str, most: int, this: int, before: int, left: float) -> Refused:
    wait_s = _wait_s(most, this, before, left)
    used = ceil(this + before * left)
    message = f"this account has used {used} {what} in the last minute, its limit is {most}; wait {wait_s:.1f} s"
    return Refused(f"{what}_per_minute", wait_s, message)


def _by_day(what: str, used: str, most: str, now_s: float) -> Refused:
    wait_s = DAY_S - now_s % DAY_S
    message = f"this account has used {used} today (UTC), its limit is {most}; wait until midnight or ask for more"
    return Refused(f"{what}_per_day", wait_s, message)


def _wait_s(most: int, this: int, before: int, left: float) -> float:
    """When the count falls below `most`, if nothing else comes."""
    wait = left - (most - this) / before if this < most else left + 1.0 - most / max(this, 1)
    # At the moment itself the count is still as large as the limit; a millisecond later it is smaller.
    return wait * MINUTE_S + 0.001


def _room(limit: int | None, this: int, before: int, left: float) -> int:
    return 0 if limit is None else max(0, ceil(limit - this - before * left))


def _reset_s(this: int, before: int, left: float) -> float:
    if this:
        return (left + 1.0) * MINUTE_S
    return left * MINUTE_S if before else 0.0
