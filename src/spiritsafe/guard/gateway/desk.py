"""What a worker knows and decides of a request: whose it is, what it asks for, where it goes, what stands against it.

Everything is in memory. `refresh` reads accounts, policy and decisions again where they have changed, several times a
second, so a revoked key works nowhere a second later.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from spiritsafe.guard.gateway.answers import Header, head_of
from spiritsafe.guard.gateway.bodies import loaded_object
from spiritsafe.guard.gateway.book import Book, Known
from spiritsafe.guard.gateway.callers import Caller
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.edits import Edits, edits_for
from spiritsafe.guard.gateway.gate import Gate
from spiritsafe.guard.gateway.heads import BadRequest, Head
from spiritsafe.guard.gateway.journal import Entry, Journal
from spiritsafe.guard.gateway.routes import Route, Routes, rendered
from spiritsafe.guard.gateway.upstream import Pool
from spiritsafe.guard.handles import SURFACES as HANDLE_SURFACES
from spiritsafe.guard.handles import Handles, Replayed, session_of
from spiritsafe.guard.hygiene import editor_for, refusal_of
from spiritsafe.guard.keys import digest_of
from spiritsafe.guard.limits import Meter
from spiritsafe.guard.policy import Action, Decision, Policy
from spiritsafe.guard.settings import Bounds, ClientSettings, LogSettings
from spiritsafe.wire.surfaces import Surface, surface_of

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.customer import Customer
    from spiritsafe.guard.gateway.flow import Flow
    from spiritsafe.guard.gateway.traces import Traces

MARK = b"x-spiritsafe-mark"
"""The header that asks an upstream to mark its answer, with the id of the decision."""

IDEMPOTENCY = b"idempotency-key"

MOST_MODEL_CHARACTERS = 512
"""Of a model's name: it stands in the record and in refusals beside the body."""

HEALTH = (b"/healthz", b"/readyz")


class Plan(NamedTuple):
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


class Desk(Gate):
    """All that one worker's connections share: the gate, and what is behind it.

    Attributes:
        journal, counters, routes: as their modules say.
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
        traces: Traces | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(book, policy, meter, now_s)
        self.routes = routes
        self.journal = journal
        self.counters = counters
        self.bounds = bounds
        self.customers: set[Customer] = set()
        self.flows: set[Flow] = set()
        self.is_draining = False
        self.is_strict = log.durability == "strict"
        self.most_body_bytes = int(bounds.body_mb * (1 << 20))
        self._most_answer_bytes = int(bounds.answer_mb * (1 << 20))
        self._client = client
        self._summarise = summarise
        self._traces = traces
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

    def caller(self, head: Head, account: Known, peer: str) -> Caller:
        """Who asks from the address `peer`, and for what."""
        api = self.api_of(head)
        surface = surface_of(head.method, head.path, anthropic=api == "anthropic")
        return Caller(head, account, api, surface, self._client_of(peer, head, account), self._repeated(head, account))

    def _client_of(self, peer: str, head: Head, account: Known) -> dict[str, Any]:
        """What is known of who asks: what the operator noted, its address, what its client and a proxy in front say."""
        facts: dict[str, Any] = dict(account.facts)
        facts["ip"] = peer
        facts["user_agent"] = head.fields.get(b"user-agent", b"").decode("latin-1")
        if peer in self._client.proxies:
            for name, fact in self._client.headers.items():
                value = head.fields.get(name.encode())
                if value is not None:
                    facts[fact] = value.decode("latin-1")
        return facts

    # --- requests ----------------------------------------------------------------------------------------------------

    def planned(self, caller: Caller, body: bytes, entry: Entry) -> Plan:
        """What is to be done with a request; says in `entry` what it is as soon as that is known.

        Raises:
            BadRequest: it is refused.
        """
        account = caller.account
        surface, model, data = _read(caller.surface, body, entry)
        if self._traces is not None and self._traces.with_content:
            entry.kept = entry.request
        hygiene = self.policy.segments[account.segment].hygiene
        decision = self._standing(account, entry) if self.standings else None
        action = self.checked(decision)
        why = refusal_of(hygiene, surface.name, data)
        if why is not None:
            raise BadRequest(400, why, "not_offered")
        handles = self._handles(account, surface, model, data) if hygiene.bind_handles else None
        sent = body if handles is None else self._unbound(handles, body, data, entry)
        route = self.routes.route(surface.api, model)
        if route is None:
            raise BadRequest(404, f"the model {model!r} is not offered here", "model_not_found")
        entry.received["upstream"] = route.name
        self._admit(account, action, entry)
        # A key may be written with escapes; else what is not in the bytes is not in the object either.
        asked = data if b"prob" in body or b"\\u" in body else _NOTHING_ASKED
        thinks_first = route.settings.thinks_first
        editor = editor_for(hygiene, surface.name, action, asked, summarise=self._summarise, thinks_first=thinks_first)
        mark = ((MARK, decision.id.encode()),) if action == "mark" and decision is not None else ()
        request = rendered(caller.start(route), surface, sent, mark)
        return Plan(surface, route, request, edits_for(editor, handles), self._most_answer_bytes)

    def _handles(self, account: Known, surface: Surface, model: str, data: dict[str, Any]) -> Handles | None:
        """What binds the reasoning handles of this exchange to its account, conversation and model."""
        if surface.name not in HANDLE_SURFACES:
            return None
        return Handles(self._handle_secret, account.name, session_of(surface.name, data), model)

    def _unbound(self, handles: Handles, body: bytes, data: dict[str, Any], entry: Entry) -> bytes:
        """The body for the upstream, with the handles that it knows.

        Raises:
            BadRequest: a handle was issued to another account, in another conversation or with another model.
        """
        try:
            return handles.unwrap_in(body, data)
        except Replayed as replayed:
            entry.received["replayed"] = replayed.kind
            self.counters.now["handles_replayed"] += 1
            raise BadRequest(400, str(replayed), "reasoning_handle_refused") from None

    def _repeated(self, head: Head, account: Known) -> tuple[Header, ...]:
        """The key by which an upstream knows a request that is repeated, of this account's own.

        All customers are one to the upstream: with the same key, one would be given the answer of another.
        """
        key = head.fields.get(IDEMPOTENCY)
        if key is None:
            return ()
        own = digest_of(self._handle_secret, b"%b\0%b" % (account.name.encode(), key))
        return ((IDEMPOTENCY, own.hex().encode()),)

    def _standing(self, account: Known, entry: Entry) -> Decision | None:
        decision = self.decision_about(account.name)
        if decision is None:
            return None
        entry.received["decision"] = decision.logged
        self.counters.now[
            f"acted_{decision.action}" if decision.acts and decision.action in _ACTED else "would_act"
        ] += 1
        return decision

    def _admit(self, account: Known, action: Action, entry: Entry) -> None:
        """Count the request against the account's limits.

        Raises:
            BadRequest: there is no room in them (429), or for its record (503).
        """
        if not self.is_ready:
            raise BadRequest(
                503, "requests cannot be recorded now; try again soon", "unavailable", ((b"retry-after", b"5"),)
            )
        try:
            self.admit(account, action)
        except BadRequest:
            entry.request = None
            raise
        entry.is_counted = True

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
        if entry.is_counted:
            number = flow.caller.account.number
            self.meter.leave(number)
            used = tokens or _estimated(entry, response)
            dollars = self.routes.dollars(entry.received["upstream"], *used)
            ended |= {"tokens": tokens, "dollars": dollars}
            self.meter.spend(number, self.now_s(), sum(used), int((dollars or 0.0) * 1e6))
            counts["tokens_in"] += used[0]
            counts["tokens_out"] += used[1]
        if self._traces is not None:
            self._traces.ended(entry.received, ended, response, entry.kept)
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
            "spans_dropped": 0 if self._traces is None else self._traces.dropped,
        }
        self.counters.publish()

    def drain(self) -> None:
        """Take no new requests, and let those go that wait for nothing."""
        self.is_draining = True
        for customer in list(self.customers):
            customer.drain()


_NOTHING_ASKED: dict[str, Any] = {}
_ACTED = ("block", "challenge", "throttle", "strip", "mark")


def _read(surface: Surface | None, body: bytes, entry: Entry) -> tuple[Surface, str, dict[str, Any]]:
    """What is asked for, of which model, and the body as JSON.

    Raises:
        BadRequest: nothing that there is.
    """
    if surface is None:
        raise BadRequest(404, "there is nothing at this path and method", "unknown_url")
    received = entry.received
    received["surface"] = surface.name
    if surface.reader is None:
        if body:
            raise BadRequest(400, "got a body with a GET, wanted none; remove it")
        received["model"], received["stream"] = "", False
        return surface, "", {}
    data = loaded_object(body)
    entry.request, entry.request_bytes = body, len(body)
    model, stream = data.get("model"), data.get("stream")
    if not isinstance(model, str) or not 0 < len(model) <= MOST_MODEL_CHARACTERS:
        raise BadRequest(400, "got no model, wanted its name as a string", "missing_model")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest(400, "got a stream that is neither true nor false", "invalid_stream")
    received["model"], received["stream"] = model, stream is True
    return surface, model, data


def _estimated(entry: Entry, response: bytes | None) -> tuple[int, int]:
    """Tokens where the upstream did not count them: about four bytes each, as in English text."""
    return entry.request_bytes // 4, len(response or b"") // 4
