"""Retries: how long to wait before asking again, when to give a request up, and when to give the teacher up.

Pure: times and randomness are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from spiritsafe.errors import UpstreamError

STOP_AT_ONCE = frozenset({"auth", "quota", "unknown_model"})
"""Kinds of failure that every further request would meet as well."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter (Brooker, "Exponential Backoff and Jitter", 2015).

    Attributes:
        base_s: upper end of the first delay, in seconds.
        cap_s: no delay is drawn longer than this; a `Retry-After` may be.
        max_retries: attempts after the first.
        max_billed: failed attempts that may have been billed; a request that has had as many is not tried again.
    """

    base_s: float = 1.0
    cap_s: float = 60.0
    max_retries: int = 8
    max_billed: int = 3

    def may_retry(self, error: UpstreamError, retries: int, billed: int) -> bool:
        """Whether to try again after `error`.

        Args:
            error: how the last attempt failed.
            retries: retries made so far.
            billed: attempts so far that may have been billed, the last included.
        """
        return error.retryable and retries < self.max_retries and billed < self.max_billed

    def delay_s(self, retry: int, draw: float, retry_after_s: float | None = None) -> float:
        """Seconds before retry number `retry` (0, 1, …).

        Args:
            retry: retries made before this one.
            draw: a uniform random number in [0, 1).
            retry_after_s: what the upstream asked for; the jitter comes on top, so that not everybody returns at once.
        """
        ceiling_s = min(self.cap_s, self.base_s * 2.0 ** min(retry, 62))
        return (retry_after_s or 0.0) + draw * ceiling_s


@dataclass(slots=True)
class Circuit:
    """Tells when a teacher is to be given up: too many failures in a row, with no answer in between.

    Attributes:
        max_failures: attempts that may fail in a row; rate limiting does not count, since waiting mends it.
        patience_s: a teacher that has answered before is given this long to come back.
        max_given_up: requests that may be given up in a row, refused or out of retries, whatever for.
        max_unreached: attempts that may find nobody at the address before anyone has answered: it is more likely wrong
            than out of order, and whoever mistyped it should not wait for minutes.
    """

    max_failures: int = 20
    patience_s: float = 120.0
    max_given_up: int = 25
    max_unreached: int = 6
    failures: int = 0
    given_up: int = 0
    unreached: int = 0
    last_success_s: float = -inf

    def success(self, now_s: float) -> None:
        """An answer came."""
        self.failures = self.given_up = self.unreached = 0
        self.last_success_s = now_s

    def failure(self, error: UpstreamError) -> None:
        """An attempt failed."""
        if error.kind not in ("rate_limited", "refused"):
            self.failures += 1
        if error.kind == "unreachable" and self.last_success_s == -inf:
            self.unreached += 1

    def gave_up(self) -> None:
        """A request was refused or used up its retries."""
        self.given_up += 1

    def is_open(self, now_s: float) -> bool:
        """Whether to stop asking."""
        patient = now_s - self.last_success_s < self.patience_s
        lasting = self.failures >= self.max_failures or self.unreached >= self.max_unreached
        return self.given_up >= self.max_given_up or (lasting and not patient)
