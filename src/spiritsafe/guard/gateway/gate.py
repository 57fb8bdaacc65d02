"""The gate: whose key it is, what is decided about its account, and whether there is room for one request more.

It needs a request's head and nothing of its body. So the desk of a worker is one, and the adapters for other gateways
ask one: what is decided about an account is decided the same everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from spiritsafe.guard.gateway.book import Book, Known
from spiritsafe.guard.gateway.heads import BadRequest, Head
from spiritsafe.guard.limits import Meter, Refused, lines_of
from spiritsafe.guard.policy import Action, Decision, Policy


class Gate:
    """What is known of the accounts, in memory.

    Args:
        now_s: the clock, unix seconds.

    Attributes:
        book: whose keys are known.
        policy: the limits and the hygiene of each segment.
        meter: what has been used.
        standings: what was decided about an account, where that is more than to let it pass.
    """

    def __init__(self, book: Book, policy: Policy, meter: Meter, now_s: Callable[[], float] = time.time) -> None:
        self.book = book
        self.policy = policy
        self.meter = meter
        self.standings: dict[str, Decision] = {}
        self.now_s = now_s

    def account_of(self, key: bytes) -> Known:
        """Whose key it is.

        Raises:
            BadRequest: nobody's (401).
        """
        if not key:
            raise BadRequest(401, "no API key came; send one as  Authorization: Bearer KEY", "missing_api_key")
        known = self.book.find(key, self.now_s())
        if known is None:
            raise BadRequest(401, "the API key that came is not known here; check it", "invalid_api_key")
        return known

    def decision_about(self, name: str) -> Decision | None:
        """What is decided about the account of that name; None where it may go on."""
        decision = self.standings.get(name)
        if decision is None or (decision.expires_at is not None and decision.expires_at <= self.now_s()):
            return None
        return decision

    def checked(self, decision: Decision | None) -> Action:
        """The action that holds for a request; "allow" in shadow mode.

        Raises:
            BadRequest: the account may not ask (403).
        """
        if decision is None or not decision.acts:
            return "allow"
        if decision.action == "block":
            raise BadRequest(403, f"this account is blocked; ask support about {decision.id}", "account_blocked")
        if decision.action == "challenge":
            raise BadRequest(
                403, f"this account must be verified; ask support about {decision.id}", "verification_required"
            )
        return decision.action

    def admit(self, account: Known, action: Action) -> None:
        """Count a request of `account`, for which `action` holds, and open it; `meter.leave` closes it.

        Raises:
            BadRequest: there is no room for it in the account's limits (429), and nothing was counted.
        """
        limits = self.policy.segments[account.segment].limits
        factor = self.policy.throttle if action == "throttle" else 1.0
        refused = self.meter.admit(account.number, limits, self.now_s(), factor)
        if refused is not None:
            raise _over_limit(refused)

    def limit_lines(self, account: Known, api: str) -> bytes:
        """What an answer to a client of `api` says about the account's limits, as lines of its head."""
        limits = self.policy.segments[account.segment].limits
        if limits.requests_per_minute is None and limits.tokens_per_minute is None:
            return b""
        return lines_of(self.meter.standing(account.number, limits, self.now_s()), api)

    def api_of(self, head: Head) -> str:
        """Whose clients sent it: an error must come in the shape that they read."""
        is_anthropic = b"anthropic-version" in head.fields or head.path.startswith(b"/messages")
        return "anthropic" if is_anthropic else "openai"


def _over_limit(refused: Refused) -> BadRequest:
    wait = b"%d" % max(1, -int(-refused.retry_after_s // 1))
    return BadRequest(429, refused.message, "rate_limit_exceeded", ((b"retry-after", wait),))
