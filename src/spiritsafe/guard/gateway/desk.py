"""What a worker knows and decides of a request: whose it is, what it asks for, where it goes, what stands against it.

Everything is in memory. `refresh` reads accounts, policy and decisions again where they have changed, several times a
second, so a revoked key works nowhere a second later.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from spiritsafe.guard.gateway.answers import Header, head_of
from spiritsafe.guard.gateway.bodies import loaded_object
from spiritsafe.guard.gateway.book import Book, Known
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.edits import Edits, edits_for
from spiritsafe.guard.gateway.heads import BadRequest, Head
from spiritsafe.guard.gateway.journal import Entry, Journal
from spiritsafe.guard.gateway.routes import Route, Routes
from spiritsafe.guard.gateway.upstream import Pool
from spiritsafe.guard.handles import SURFACES as HANDLE_SURFACES
from spiritsafe.guard.handles import Handles, Replayed, session_of
from spiritsafe.guard.hygiene import editor_for, refusal_of
from spiritsafe.guard.limits import Limits, Meter, Refused, headers_of
from spiritsafe.guard.policy import Decision, Policy
from spiritsafe.guard.settings import Bounds, ClientSettings, LogSettings
from spiritsafe.wire.surfaces import Surface, surface_of

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.customer import Customer
    from spiritsafe.guard.gateway.flow import Flow

MARK = b"x-spiritsafe-mark"
"""The header that asks an upstream to mark its answer, with the id of the decision."""

HEALTH = (b"/healthz", b"/readyz")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a request that was admitted.

    Attributes:
        surface: what it asks for.
        route: the upstream.
        request: the bytes to send there.
        edits: what must be changed in the answer; None if it may pass untouched.
        most_answer_bytes: of an answer that is kept or edited whole.
    """

    surface: Surface
    route: Route
    request: bytes
    edits: Edits | None
    most_answer_bytes: int

    @property
    def pool(self) -> Pool:
        """The connections to the upstream."""
        return self.route.pool


class Desk:
    """All that one worker's connections share.

    Attributes:
        journal, counters, meter, book, routes: as their modules say.
        policy: the limits and the hygiene of each segment.
        standings: what was decided about an account, where that is more than to let it pass.
        customers, flows: the connections, and the requests that are being answered.
        is_draining: no new requests; the worker is about to end.
    """

    def __init__(
        self,
        *,
        book: Book,
        routes: Routes,
        policy: Policy,
        meter: Meter,
        journal: Journal,
        counters: Counters,
        bounds: Bounds,
        log: LogSettings,
        client: ClientSettings,
        summarise: Callable[[str], str] | None = None,
    ) -> None:
        self.book = book
        self.routes = routes
        self.policy = policy
        self.meter = meter
        self.journal = journal
        self.counters = counters
        self.bounds = bounds
        self.standings: dict[str, Decision] = {}
        self.customers: set[Customer] = set()
        self.flows: set[Flow] = set()
        self.is_draining = False
        self.is_strict = log.durability == "strict"
        self.most_body_bytes = int(bounds.body_mb * (1 << 20))
        self._most_answer_bytes = int(bounds.answer_mb * (1 << 20))
        self._client = client
        self._summarise = summarise
        self._handle_secret = book.secret_for(b"reasoning handles")
        self._ids = count()
        self._id_start = os.urandom(10).hex()

    # --- connections -------------------------------------------------------------------------------------------------

    def arrived(self, customer: Customer) -> bool:
        """Count a connection in; False where there are too many."""
        self.customers.add(customer)
        self.counters.now["connections"] += 1
        return len(self.customers) <= self.bounds.connections

    def departed(self, customer: Customer) -> None:
        """Count it out."""
        self.customers.discard(customer)

    def new_id(self) -> str:
        """The id of an exchange: random for the worker, then counted."""
        return f"{self._id_start}{next(self._ids):012x}"

    def is_health(self, head: Head) -> bool:
        """Whether a load balancer asks how the gateway is, for which it needs no key."""
        return head.path in HEALTH and head.method == b"GET"

    def health(self, head: Head) -> bytes:
        """The answer to that, without a word about anything else."""
        is_well = head.path == b"/healthz" or self.is_ready
        body = b"ok\n" if is_well else b"not ready\n"
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        return head_of(200 if is_well else 503, headers) + body

    @property
    def is_ready(self) -> bool:
        """Whether new work is taken."""
        return not (self.is_draining or self.journal.is_full or (self.is_strict and self.journal.is_failing))

    def account_of(self, key: bytes) -> Known:
        """Whose key it is.

        Raises:
            BadRequest: nobody's (401).
        """
        if not key:
            raise BadRequest(401, "no API key came; send one as  Authorization: Bearer KEY", "missing_api_key")
        known = self.book.find(key, time.time())
        if known is None:
            raise BadRequest(401, "the API key that came is not known here; check it", "invalid_api_key")
        return known

    def client_of(self, peer: str, head: Head) -> dict[str, Any]:
        """What is known of who asks: the address, what its client says of itself, what a proxy in front has found."""
        facts: dict[str, Any] = {"ip": peer, "user_agent": head.fields.get(b"user-agent", b"").decode("latin-1")}
        if peer in self._client.proxies:
            for name, fact in self._client.headers.items():
                value = head.fields.get(name.encode())
                if value is not None:
                    facts[fact] = value.decode("latin-1")
        return facts

    # --- requests ----------------------------------------------------------------------------------------------------

    def api_of(self, head: Head) -> str:
        """Whose clients sent it: an error must come in the shape that they read."""
        is_anthropic = b"anthropic-version" in head.fields or head.path.startswith(b"/messages")
        return "anthropic" if is_anthropic else "openai"

    def planned(self, head: Head, body: bytes, account: Known, entry: Entry) -> Plan:
        """What is to be done with a request; says in `entry` what it is as soon as that is known.

        Raises:
            BadRequest: it is refused.
        """
        api = self.api_of(head)
        surface = surface_of(head.method, head.path, anthropic=api == "anthropic")
        if surface is None:
            raise BadRequest(404, "there is nothing at this path and method", "unknown_url")
        data: dict[str, Any] = {}
        if surface.reader is not None:
            data = loaded_object(body)
            entry.request, entry.request_bytes = body, len(body)
        elif body:
            raise BadRequest(400, "got a body with a GET, wanted none; remove it")
        model = _model(surface, head, data)
        entry.received |= {"surface": surface.name, "model": model, "stream": _is_stream(data)}
        decision = self._standing(account, entry)
        segment = self.policy.segments[account.segment]
        action = decision.action if decision is not None and decision.acts else "allow"
        self._check_decision(action, decision)
        # A key may be written with escapes; else what is not in the bytes is not in the object either.
        asked = data if b"prob" in body or b"\\u" in body else _NOTHING_ASKED
        why = refusal_of(segment.hygiene, surface.name, data)
        if why is not None:
            raise BadRequest(400, why, "not_offered")
        handles = self._handles(account, surface, model, data)
        sent = self._unbound(handles, body, data, entry)
        route = self.routes.route(surface.api, model)
        if route is None:
            raise BadRequest(404, f"the model {model!r} is not offered here", "model_not_found")
        entry.received["upstream"] = route.name
        self._admit(account, segment.limits, self.policy.throttle if action == "throttle" else 1.0, entry)
        mark = ((MARK, decision.id.encode()),) if action == "mark" and decision is not None else ()
        request = route.rendered(head, surface, sent, mark)
        editor = editor_for(segment.hygiene, surface.name, action, asked, summarise=self._summarise)
        return Plan(surface, route, request, edits_for(editor, handles), self._most_answer_bytes)

    def _handles(self, account: Known, surface: Surface, model: str, data: dict[str, Any]) -> Handles | None:
        """What binds the reasoning handles of this exchange to its account, conversation and model."""
        if surface.name not in HANDLE_SURFACES or not self.policy.segments[account.segment].hygiene.bind_handles:
            return None
        return Handles(self._handle_secret, account.name, session_of(surface.name, data), model)

    def _unbound(self, handles: Handles | None, body: bytes, data: dict[str, Any], entry: Entry) -> bytes:
        """The body for the upstream, with the handles that it knows.

        Raises:
            BadRequest: a handle was issued to another account, in another conversation or with another model.
        """
        if handles is None:
            return body
        try:
            return handles.unwrap_in(body, data)
        except Replayed as replayed:
            entry.received["replayed"] = replayed.kind
            self.counters.now["handles_replayed"] += 1
            raise BadRequest(400, str(replayed), "reasoning_handle_refused") from None

    def _standing(self, account: Known, entry: Entry) -> Decision | None:
        decision = self.standings.get(account.name)
        if decision is None or (decision.expires_at is not None and decision.expires_at <= time.time()):
            return None
        entry.received["decision"] = decision.logged
        self.counters.now[
            f"acted_{decision.action}" if decision.acts and decision.action in _ACTED else "would_act"
        ] += 1
        return decision

    def _check_decision(self, action: str, decision: Decision | None) -> None:
        if decision is None:
            return
        if action == "block":
            raise BadRequest(403, f"this account is blocked; ask support about {decision.id}", "account_blocked")
        if action == "challenge":
            raise BadRequest(
                403, f"this account must be verified; ask support about {decision.id}", "verification_required"
            )

    def _admit(self, account: Known, limits: Limits, factor: float, entry: Entry) -> None:
        """Count the request against the account's limits.

        Raises:
            BadRequest: there is no room in them (429), or for its record (503).
        """
        if not self.is_ready:
            raise BadRequest(
                503, "requests cannot be recorded now; try again soon", "unavailable", ((b"retry-after", b"5"),)
            )
        refused = self.meter.admit(account.number, limits, time.time(), factor)
        if refused is not None:
            entry.request = None
            raise _over_limit(refused)
        entry.is_counted = True

    def limit_headers(self, account: Known, head: Head) -> Iterable[Header]:
        """What an answer says about the account's limits."""
        limits = self.policy.segments[account.segment].limits
        if limits.requests_per_minute is None and limits.tokens_per_minute is None:
            return ()
        return headers_of(self.meter.standing(account.number, limits, time.time()), self.api_of(head))

    def opened(self, flow: Flow) -> None:
        """A request of a known account has come."""
        self.flows.add(flow)
        self.counters.now["requests"] += 1

    def closed(
        self,
        flow: Flow,
        entry: Entry,
        ended: dict[str, Any],
        response: bytes | None,
        tokens: tuple[int, int] | None,
    ) -> None:
        """It is over: record it, and charge what it used."""
        self.flows.discard(flow)
        counts = self.counters.now
        counts[ended["outcome"]] += 1
        ended["id"] = flow.id
        if entry.is_counted:
            number = flow.account.number
            self.meter.leave(number)
            used = tokens or _estimated(entry, response)
            dollars = self.routes.dollars(entry.received["upstream"], *used)
            ended |= {"tokens": tokens, "dollars": dollars}
            self.meter.spend(number, time.time(), sum(used), int((dollars or 0.0) * 1e6))
            counts["tokens_in"] += used[0]
            counts["tokens_out"] += used[1]
        self.journal.ended(entry, ended, response)

    # --- time --------------------------------------------------------------------------------------------------------

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what takes too long; called every second."""
        now_s = time.perf_counter()
        for flow in list(self.flows):
            flow.check_time(now_s)
        loop_s = loop.time()
        for customer in list(self.customers):
            customer.check_time(loop_s)
        self.routes.sweep()
        journal = self.journal
        self.counters.now |= {
            "connections_open": len(self.customers),
            "requests_open": len(self.flows),
            "records_durable": journal.durable,
            "records_dropped": journal.dropped,
            "log_waiting_bytes": journal.waiting_bytes,
            "log_failing": int(journal.is_failing),
            "ready": int(self.is_ready),
        }
        self.counters.publish()

    def drain(self) -> None:
        """Take no new requests, and let those go that wait for nothing."""
        self.is_draining = True
        for customer in list(self.customers):
            customer.drain()


_NOTHING_ASKED: dict[str, Any] = {}
_ACTED = ("block", "challenge", "throttle", "strip", "mark")


def _model(surface: Surface, head: Head, data: dict[str, Any]) -> str:
    if surface.reader is None:
        return ""
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest(400, "got no model, wanted its name as a string", "missing_model")
    if not isinstance(data.get("stream"), bool | None):
        raise BadRequest(400, "got a stream that is neither true nor false", "invalid_stream")
    return model


def _is_stream(data: dict[str, Any]) -> bool:
    return data.get("stream") is True


def _over_limit(refused: Refused) -> BadRequest:
    wait = b"%d" % max(1, -int(-refused.retry_after_s // 1))
    return BadRequest(429, refused.message, "rate_limit_exceeded", ((b"retry-after", wait),))


def _estimated(entry: Entry, response: bytes | None) -> tuple[int, int]:
    """Tokens where the upstream did not count them: about four bytes each, as in English text."""
    return entry.request_bytes // 4, len(response or b"") // 4
