"""View: an exchange as detectors look at it, its texts taken apart once and what was worked out of them kept. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from spiritsafe.exchanges.record import Exchange
from spiritsafe.text.ends import both_ends
from spiritsafe.text.normal import plain_quotes, squeezed

T = TypeVar("T")

SYSTEM_ROLES = ("system", "developer")

HEAD_CHARS, TAIL_CHARS = 700, 500
"""What patterns are looked for in, of each text: their time grows with its length."""


@dataclass(frozen=True, slots=True)
class View:
    """An exchange and the texts in its request that a customer can fill.

    Attributes:
        exchange: as the log has it; at the gateway, before there is an answer, with none.
        system: its system prompts, a line each.
        user: the last thing that the user said.
        before: what the user said before that, where it is in the request.
    """

    exchange: Exchange
    system: str
    user: str
    before: str
    _worked_out: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, work: Callable[[View], T]) -> T:
        """What `work` gives for this view; it must depend on nothing else, and is done at the first call of `name`."""
        if name not in self._worked_out:
            self._worked_out[name] = work(self)
        found: T = self._worked_out[name]
        return found


def view_of(exchange: Exchange) -> View:
    """The view of an exchange; one without messages has empty texts."""
    system = "\n".join(message.content for message in exchange.messages if message.role in SYSTEM_ROLES)
    said = [message.content for message in exchange.messages if message.role == "user"]
    return View(exchange, system, said[-1] if said else "", said[-2] if len(said) > 1 else "")


def plain_user(view: View) -> str:
    """Both ends of what the user said last, in lower case, with plain quotes and single spaces."""
    return _plain(view.user)


def plain_system(view: View) -> str:
    """The same of the system prompts."""
    return _plain(view.system)


def _plain(text: str) -> str:
    return plain_quotes(squeezed(both_ends(text, HEAD_CHARS, TAIL_CHARS))).lower()
