"""Detector: it reads exchanges and says what it finds strange about them, never what is to be done about it.

    sign = detector.look(view, state, ordinary)    # pure: nothing is different afterwards
    detector.observe(view, state)                  # the account's state takes the exchange in, always
    detector.learn(view, ordinary)                 # what is ordinary in its segment, only where nothing was flagged

A state is a sketch: of bounded size, and the state of two accounts together is the merge of theirs. What is ordinary in
a segment is a sketch of the same kind. A detector itself holds no state and is the same in every process.

A score is comparable with other scores of the same detector and with nothing else. How often honest accounts reach it
is for calibration to say, on accounts; only then is a `Sign` `Evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, Self, TypeVar

from spiritsafe.errors import StoreError
from spiritsafe.guard.detectors.view import View
from spiritsafe.guard.policy import Evidence

Scope = Literal["request", "account"]
"""Whether a score is about one exchange by itself, or about all of an account's up to it."""


class Sketch(Protocol):
    """What a detector remembers of an account, or of what is ordinary in a segment."""

    def merge(self, other: Self) -> Self:
        """The sketch of both; neither is changed. The order and the grouping of merges change nothing."""
        ...

    def pack(self) -> bytes:
        """The sketch as bytes; equal sketches give equal bytes."""
        ...


S = TypeVar("S", bound=Sketch)


class Nothing:
    """The sketch of a detector that looks at each exchange by itself."""

    __slots__ = ()

    def merge(self, other: Nothing) -> Nothing:
        """Nothing."""
        return self

    def pack(self) -> bytes:
        """No bytes."""
        return b""

    @classmethod
    def unpack(cls, data: bytes) -> Nothing:
        """Nothing, of no bytes.

        Raises:
            StoreError: there are some.
        """
        if data:
            raise StoreError(
                f"got {len(data)} bytes, wanted none: this detector remembers nothing; replay the log again"
            )
        return cls()


@dataclass(frozen=True, slots=True)
class Sign:
    """What a detector finds strange about an exchange.

    Attributes:
        detector: its name.
        score: larger is stranger, in the detector's own unit.
        reasons: for the operator, in words and numbers that can be checked; no text of a customer's.
        exchanges: ids of the exchanges it saw it in.
    """

    detector: str
    score: float
    reasons: tuple[str, ...]
    exchanges: tuple[str, ...]


class Detector(Protocol[S]):
    """One kind of strangeness."""

    @property
    def name(self) -> str:
        """The word in alarms, policies and docs."""
        ...

    @property
    def says(self) -> str:
        """What it looks for, as one phrase."""
        ...

    @property
    def scope(self) -> Scope:
        """What its score is about."""
        ...

    @property
    def state_bytes(self) -> int:
        """A packed sketch is never longer."""
        ...

    def fresh(self) -> S:
        """The sketch of no exchange."""
        ...

    def unpack(self, data: bytes) -> S:
        """The sketch that was packed.

        Raises:
            StoreError: `data` is none of this detector's.
        """
        ...

    def look(self, view: View, state: S, ordinary: S) -> Sign | None:
        """What is strange about an exchange, given what its account did before it and what is ordinary; or None."""
        ...

    def observe(self, view: View, state: S) -> None:
        """Take an exchange into the sketch of its account."""
        ...

    def learn(self, view: View, ordinary: S) -> None:
        """Take an exchange that was not flagged into the sketch of what is ordinary in its segment."""
        ...


def evidence_of(sign: Sign, account: str, at: float, level: float, expires_at: float | None = None) -> Evidence:
    """The evidence of a sign, once calibration has given its e-value.

    Args:
        account: whom it is about.
        at: time of the exchange, unix seconds.
        level: the e-value.
        expires_at: when it stops counting.
    """
    return Evidence(sign.detector, account, at, level, sign.reasons, expires_at=expires_at)
