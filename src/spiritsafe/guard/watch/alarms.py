"""Alarms: what is raised, with everything a person needs to check it; one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

Scope = Literal["request", "account", "campaign"]


@dataclass(frozen=True, slots=True)
class Reason:
    """What one detector found.

    Attributes:
        detector: its name.
        score: larger is stranger, in the detector's own unit.
        reason: in words and numbers.
        exchanges: ids of exchanges to look at, where there are some.
    """

    detector: str
    score: float
    reason: str
    exchanges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        scope: what it is about.
        subject: the exchange's, the account's or the campaign's id.
        accounts: whom it accuses; of a campaign that was raised before, those that are new.
        at: unix seconds of the last exchange of the epoch in which it was raised; of an account, of its own last one.
        exchanges_seen: of these accounts, until then.
        e_value: how strong it is: an honest subject reaches x with a chance of 1/x at most.
        evidence: what it rests on.
        void: detectors that could not fire, and why.
    """

    scope: Scope
    subject: str
    accounts: tuple[str, ...]
    at: float
    exchanges_seen: int
    e_value: float
    evidence: tuple[Reason, ...]
    void: tuple[str, ...] = ()

    def line(self) -> bytes:
        """It as one line of JSON."""
        return orjson.dumps(self, option=orjson.OPT_APPEND_NEWLINE)

    def said(self) -> str:
        """It in one line, for who looks on."""
        why = self.evidence[0].reason
        return f"{self.scope} {self.subject}: {len(self.accounts)} accounts, e-value {self.e_value:.3g}; {why}"


def in_order(alarms: Sequence[Alarm]) -> list[Alarm]:
    """Alarms by time; of one time, by scope and subject."""
    return sorted(alarms, key=lambda one: (one.at, one.scope, one.subject))
