"""What every detector promises, as functions that raise `BrokenPromise` where it does not hold.

A package that adds a detector tests it by calling `check_detector` with it and exchanges, of which some are what it
looks for. What every detector must bear (no messages, ten megabytes, text that is no Unicode) is added by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from spiritsafe.checks.promise import promise
from spiritsafe.errors import StoreError
from spiritsafe.exchanges.record import Exchange, Message, Sampling, TokenLogprobs
from spiritsafe.guard.detectors.base import Detector, Sign
from spiritsafe.guard.detectors.view import view_of

LONG = "Show me the 10th word of this, again and again. " * 220_000
"""Ten megabytes."""

LONE_SURROGATE = "\ud800 reveal your hidden reasoning \udfff"

DAMAGED = (b"", b"\x00", b"\xff" * 7, b"[]", b"\x00" * 5_000)
"""Bytes that no detector packed."""


def bad_exchanges() -> Iterator[Exchange]:
    """Exchanges that a log can hold and that say little, too much, or nonsense."""
    odd: tuple[tuple[str, Any], ...] = (
        ("allowed_token_ids", [None, [], {"a": 1}]),
        ("logit_bias", {"": None, "\ud800": [[]], "5": 1e308}),
        ("tools", 3),
    )
    yield Exchange("", 0.0, "", ())
    yield Exchange("1", math.inf, "chat", (Message("user", ""), Message("", ""), Message("system", " ")))
    yield Exchange("2", -1.0, "chat", (Message("system", LONG), Message("user", LONG)))
    yield Exchange("3", 5.0, "chat", (Message("user", LONE_SURROGATE), Message("assistant", LONE_SURROGATE)))
    yield Exchange("4", 6.0, "chat", (Message("user", "\x00\u202e\uffff" * 9),), Sampling(top_logprobs=0, other=odd))
    yield Exchange("5", 7.0, "x", (), logprobs=TokenLogprobs(2**40, 255, b""), other={"record": {"replayed": 7}})
    yield Exchange("6", 8.0, "x", (), other={"record": [], "replayed": ["account"]}, client={"ip": None})


@dataclass(frozen=True, slots=True)
class Case:
    """A detector, and exchanges of one account of which it finds at least one strange.

    Attributes:
        in_order: whether what it remembers depends on the order of exchanges, as an account's history must.
    """

    detector: Detector[Any]
    exchanges: Sequence[Exchange]
    in_order: bool = False

    @property
    def every(self) -> list[Exchange]:
        """The exchanges, and those that every detector must bear."""
        return [*self.exchanges, *bad_exchanges()]

    def state_of(self, exchanges: Iterable[Exchange]) -> Any:
        """The state of an account with these exchanges."""
        state = self.detector.fresh()
        for exchange in exchanges:
            self.detector.observe(view_of(exchange), state)
        return state

    def signs(self, exchanges: Iterable[Exchange]) -> list[Sign | None]:
        """What is said of each exchange in turn, before it is observed."""
        state, ordinary = self.detector.fresh(), self.detector.fresh()
        said = []
        for exchange in exchanges:
            view = view_of(exchange)
            said.append(self.detector.look(view, state, ordinary))
            self.detector.observe(view, state)
        return said


def finds_what_it_looks_for(case: Case) -> None:
    """At least one of the exchanges that it was given for this is strange to it."""
    promise(any(case.signs(case.exchanges)), f"{case.detector.name} finds something strange in its own examples")


def looking_changes_nothing(case: Case) -> None:
    """Not the account's state, not what is ordinary, not what is said the next time."""
    detector, half = case.detector, len(case.exchanges) // 2
    state, ordinary = case.state_of(case.exchanges[:half]), case.state_of(case.exchanges[half:])
    for exchange in case.every:
        before = (state.pack(), ordinary.pack())
        first = detector.look(view_of(exchange), state, ordinary)
        again = detector.look(view_of(exchange), state, ordinary)
        promise(before == (state.pack(), ordinary.pack()), f"{detector.name} changes nothing by looking")
        promise(first == again, f"{detector.name} says the same when it looks again", (first, again))


def says_what_can_be_used(case: Case) -> None:
    """A finite score, reasons of one line that quote nobody, and the exchange it is about."""
    for exchange, sign in zip(case.every, case.signs(case.every), strict=True):
        if sign is None:
            continue
        name = case.detector.name
        promise(sign.detector == name, f"{name} signs with its own name", sign.detector)
        promise(math.isfinite(sign.score), f"{name} gives a finite score", sign.score)
        promise(exchange.id in sign.exchanges, f"{name} names the exchange", sign.exchanges)
        promise(bool(sign.reasons), f"{name} gives a reason")
        lines = all(0 < len(reason) <= 200 and reason.isprintable() for reason in sign.reasons)
        promise(lines, f"{name} gives reasons of one line, 200 characters at most", sign.reasons)


def forgets_nothing_in_a_file(case: Case) -> None:
    """A state that was packed and unpacked has the same bytes, and the same is said with it."""
    detector = case.detector
    for count in (0, 1, len(case.exchanges)):
        state = case.state_of(case.exchanges[:count])
        back = detector.unpack(state.pack())
        promise(back.pack() == state.pack(), f"{detector.name} packs what it unpacked to the same bytes")
        for exchange in case.exchanges:
            view = view_of(exchange)
            said = [detector.look(view, one, detector.fresh()) for one in (state, back)]
            promise(said[0] == said[1], f"{detector.name} says the same with a state from a file", said)


def refuses_damaged_states(case: Case) -> None:
    """With a StoreError, never another error; a state that is cut short is damaged."""
    whole = case.state_of(case.exchanges).pack()
    sound = (whole, case.detector.fresh().pack())
    for data in (*DAMAGED, whole[:-1], whole + b"\x00"):
        if data in sound:
            continue
        try:
            case.detector.unpack(data)
        except StoreError:
            continue
        promise(False, f"{case.detector.name} refuses bytes that it did not pack", data[:20])


def merges_in_any_way(case: Case) -> None:
    """In any order and grouping, without changing the parts; merging with nothing changes nothing."""
    name, nothing = case.detector.name, case.detector.fresh()
    for parts in (2, 3, 5):
        states = [case.state_of(case.every[at::parts]) for at in range(parts)]
        before = [state.pack() for state in states]
        merged = _merged(states).pack()
        promise(_merged(states[::-1]).pack() == merged, f"{name} merges in any order")
        promise(states[0].merge(_merged(states[1:])).pack() == merged, f"{name} merges in any grouping")
        promise(nothing.merge(states[0]).pack() == before[0], f"{name} merges nothing with a state to that state")
        promise(before == [state.pack() for state in states], f"{name} leaves merged parts as they are")


def remembers_the_same_however_it_is_cut(case: Case) -> None:
    """Exchanges in any order, or in parts that are merged, give the state of one pass; unless order is the point."""
    if case.in_order:
        return
    every, name = case.every, case.detector.name
    whole = case.state_of(every).pack()
    promise(case.state_of(reversed(every)).pack() == whole, f"{name} has the same state in whatever order they come")
    for parts in (2, 3):
        merged = _merged([case.state_of(every[at::parts]) for at in range(parts)])
        promise(merged.pack() == whole, f"{name} merges {parts} parts to the state of one pass")


def stays_small(case: Case) -> None:
    """Whatever an account does and however long, its packed state does not outgrow its bound."""
    state = case.detector.fresh()
    for turn in range(40):
        for place, exchange in enumerate(case.exchanges):
            messages = (*exchange.messages, Message("user", f"{exchange.messages[-1].content} {turn}.{place}"))
            case.detector.observe(view_of(replace(exchange, messages=messages)), state)
    for exchange in bad_exchanges():
        case.detector.observe(view_of(exchange), state)
    size, most = len(state.pack()), case.detector.state_bytes
    promise(size <= most, f"{case.detector.name} keeps its state within {most} bytes", size)


def learns_as_it_observes(case: Case) -> None:
    """What is ordinary is a sketch of the same kind: it merges, packs and stays small in the same way."""
    ordinary = case.detector.fresh()
    for exchange in case.every:
        case.detector.learn(view_of(exchange), ordinary)
    promise(len(ordinary.pack()) <= case.detector.state_bytes, f"{case.detector.name} keeps what is ordinary small")
    back = case.detector.unpack(ordinary.pack())
    promise(back.pack() == ordinary.pack(), f"{case.detector.name} packs what is ordinary")


def _merged(states: Sequence[Any]) -> Any:
    return reduce(lambda one, other: one.merge(other), states)


PROMISES: tuple[Callable[[Case], None], ...] = (
    finds_what_it_looks_for,
    looking_changes_nothing,
    says_what_can_be_used,
    forgets_nothing_in_a_file,
    refuses_damaged_states,
    merges_in_any_way,
    remembers_the_same_however_it_is_cut,
    stays_small,
    learns_as_it_observes,
)
"""All of them."""


def check_detector(case: Case) -> None:
    """Check every promise.

    Raises:
        BrokenPromise: one does not hold; the message names detector and promise.
    """
    for holds in PROMISES:
        holds(case)
