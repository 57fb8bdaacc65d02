"""One request, from its last byte to its durable record.

    checked, admitted -> sent to the upstream -> the answer passes (`gateway.pump`) -> recorded -> the next request

Whatever happens, an exchange ends once, with one outcome and one last record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from spiritsafe.guard.gateway.answers import Header, refusal
from spiritsafe.guard.gateway.heads import BadRequest
from spiritsafe.guard.gateway.journal import Entry
from spiritsafe.guard.gateway.pump import Pump

if TYPE_CHECKING:
    from spiritsafe.guard.gateway.callers import Caller
    from spiritsafe.guard.gateway.customer import Customer
    from spiritsafe.guard.gateway.desk import Desk

FAILURES = {
    "refused": ("upstream_failed", 502, "the model cannot be reached now; try again soon", "upstream_unreachable"),
    "broken_off": ("upstream_broke_off", 502, "the model broke off its answer; try again", "upstream_broke_off"),
    "malformed": ("upstream_failed", 502, "the model's answer was not HTTP; try again", "upstream_malformed"),
    "compressed": ("upstream_failed", 502, "the model compressed its answer unasked", "upstream_compressed"),
    "unauthorised": ("upstream_failed", 502, "the model does not let the gateway in; tell support", "upstream_refused"),
    "too_large": ("upstream_failed", 502, "the model's answer is too large to be checked", "upstream_too_large"),
    "unreadable": ("upstream_failed", 502, "the model's answer cannot be checked; try again", "upstream_unreadable"),
    "timed_out": ("timed_out", 504, "the model took too long; try again", "upstream_timeout"),
    "shut_down": ("shut_down", 503, "the gateway is going down; send the request again", "shutting_down"),
}
"""Why an answer broke: the outcome, and what a customer is told who has seen nothing of it yet."""


class Flow:
    """One request of a known account.

    Attributes:
        customer: the connection it came on.
        caller: who asks and for what, by its head.
        id: of the exchange.
        keep_alive: whether another may follow on the connection.
        is_over: whether it has ended; nothing may be written then.
    """

    __slots__ = ("_began_s", "_desk", "_entry", "_pump", "caller", "customer", "id", "is_over", "keep_alive")

    def __init__(self, desk: Desk, customer: Customer, caller: Caller) -> None:
        self._desk = desk
        self._pump: Pump | None = None
        self._began_s = time.perf_counter()
        self.customer = customer
        self.caller = caller
        self.id = desk.new_id()
        self.keep_alive = caller.head.keep_alive and not desk.is_draining
        self.is_over = False
        received = {
            "id": self.id,
            "at": desk.now_s(),
            "account": caller.account.name,
            "segment": caller.account.segment,
            "client": caller.client,
        }
        self._entry = Entry(received, None)

    def start(self, body: bytes) -> None:
        """Check and admit the request and send it on, or refuse it."""
        self._desk.opened(self)
        try:
            plan = self._desk.planned(self.caller, body, self._entry)
        except BadRequest as refused:
            self.refuse(refused)
            return
        self._desk.journal.received(self._entry)
        self._pump = Pump(self, plan, is_strict=self._desk.is_strict)
        self._pump.send()

    def own_lines(self) -> bytes:
        """What the gateway itself says in the head of an answer."""
        limits = self._desk.limit_lines(self.caller.account, self.caller.api)
        return b"x-spiritsafe-id: %b\r\n%b" % (self.id.encode(), limits)

    # --- the ways it can end -----------------------------------------------------------------------------------------

    def refuse(self, refused: BadRequest) -> None:
        """Say no, in the customer's dialect."""
        said = {"status": refused.status, "code": refused.code, "message": str(refused)}
        self._say(refused.status, str(refused), refused.code, refused.headers)
        self._end("refused", refused.status, refusal=said)
        self.customer.next(keep_alive=self.keep_alive)

    def answered(self) -> None:
        """The whole answer has come; what of it is held goes out when it is on disk."""
        assert self._pump is not None
        if self._desk.is_strict:
            self._entry.when_durable = self._stored
            self._end("completed", self._pump.status)
        else:
            self._end("completed", self._pump.status)
            self._pump = None  # it knows this flow: without a circle both are gone at once
            self.customer.next(keep_alive=self.keep_alive)

    def _stored(self, is_durable: bool) -> None:
        """The record is on disk, or never will be: then the customer does not see its answer complete."""
        assert self._pump is not None
        if is_durable:
            self._pump.release()
            self._pump.answer_flush()
            self.customer.next(keep_alive=self.keep_alive)
        else:
            self.customer.cut()

    def broken(self, why: str) -> None:
        """The upstream gave no answer, or broke it off: say so, or let the customer see that there is no end."""
        if self.is_over:
            return
        outcome, status, message, code = FAILURES[why]
        has_written = self._pump is not None and self._pump.has_written
        if has_written:
            assert self._pump is not None
            self._end(outcome, self._pump.status)
            self.customer.cut()
            return
        self._say(status, message, code)
        self._end(outcome, status, refusal={"status": status, "code": code, "message": message})
        self.customer.next(keep_alive=self.keep_alive)

    def give_up(self, why: str) -> None:
        """End it from outside: `why` is "timed_out" or "shut_down"."""
        if self._pump is not None:
            self._pump.drop()
        self.broken(why)

    def customer_left(self) -> None:
        """Nobody waits for the answer any more: the upstream is let go."""
        if self._pump is not None:
            self._pump.drop()
        if not self.is_over:
            self._end("customer_left", 0 if self._pump is None else self._pump.status)

    # --- the customer's pace -----------------------------------------------------------------------------------------

    def hold_back(self) -> None:
        """The customer reads slowly."""
        if self._pump is not None:
            self._pump.hold_back()

    def go_on(self) -> None:
        """The customer reads again."""
        if self._pump is not None:
            self._pump.go_on()

    def check_time(self, now_s: float) -> None:
        """Give up where nothing has moved for too long."""
        pump = self._pump
        if pump is None or self.is_over:
            return
        if pump.has_moved:
            pump.has_moved, pump.moved_at_s = False, now_s
            return
        bounds = self._desk.bounds
        if now_s - pump.moved_at_s > (bounds.first_byte_s if pump.first_byte_at_s is None else bounds.stall_s):
            self.give_up("timed_out")

    def _say(self, status: int, message: str, code: str, headers: tuple[Header, ...] = ()) -> None:
        own, api = self.own_lines(), self.caller.api
        self.customer.write([refusal(api, status, message, code, headers, own, keep_alive=self.keep_alive)])

    def _end(self, outcome: str, status: int, **more: Any) -> None:
        """Write the last record and count what was used."""
        self.is_over = True
        pump, response, tokens = self._pump, None, None
        ended_at = self._desk.now_s()
        ended: dict[str, Any] = {"id": self.id, "ended_at": ended_at, "status": status, "outcome": outcome, **more}
        if pump is not None:
            now_s = time.perf_counter()
            ended["first_byte_s"] = None if pump.first_byte_at_s is None else pump.first_byte_at_s - self._began_s
            ended["last_byte_s"] = now_s - self._began_s
            if pump.tee is not None:
                response = pump.tee.response()
                tokens = pump.tee.tokens()
                if response is None:
                    ended["response_text"] = pump.tee.text()
        self._desk.closed(self, self._entry, ended, response, tokens)
