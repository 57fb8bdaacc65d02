"""Reasoning coercion: prompts that are after the hidden reasoning of a model.

`coercion` is about one request: its score is the classifier's log-odds in nats (`text.coercion`), above 0 for more
likely coercing than not where half of all prompts are. `coercing` is about the account: the share of its requests with
log-odds above `SURE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from spiritsafe.guard.detectors.base import Nothing, Scope, Sign
from spiritsafe.guard.detectors.tally import Counting
from spiritsafe.guard.detectors.view import View
from spiritsafe.text.coercion import Classifier, Verdict
from spiritsafe.text.coercion_features import WINDOW_WORDS

SURE = 2.0
"""Nats; none of 57,084 public prompts is above, and 66 of them are above 0 (`benchmarks/coercion.py`)."""


@cache
def classifier() -> Classifier:
    """The classifier that comes with the package.

    Raises:
        StoreError: its file is damaged.
    """
    return Classifier.from_bytes(files(__package__).joinpath("coercion.weights").read_bytes())


def verdict_on(view: View) -> Verdict:
    """What the classifier says of what a customer can fill in a request."""
    return view.once("coercion verdict", lambda seen: classifier().judge((seen.system, seen.before, seen.user)))


@dataclass(frozen=True, slots=True)
class Coercion:
    """The detector of single requests."""

    name: str = "coercion"
    says: str = "a request for the model's hidden reasoning"
    scope: Scope = "request"
    state_bytes: int = 0

    def fresh(self) -> Nothing:
        """Nothing is remembered."""
        return Nothing()

    def unpack(self, data: bytes) -> Nothing:
        """Nothing."""
        return Nothing.unpack(data)

    def look(self, view: View, state: Nothing, ordinary: Nothing) -> Sign | None:
        """The log-odds, where they are above 0."""
        verdict = verdict_on(view)
        if verdict.score <= 0:
            return None
        met = f"within {WINDOW_WORDS} words meet: {', '.join(verdict.ideas)} (log-odds {verdict.score:.1f})"
        return Sign(self.name, verdict.score, (met,), (view.exchange.id,))

    def observe(self, view: View, state: Nothing) -> None:
        """Nothing is remembered."""

    def learn(self, view: View, ordinary: Nothing) -> None:
        """Nothing is remembered."""


def _is_sure(view: View) -> int | None:
    return 0 if verdict_on(view).score > SURE else None


COERCION = Coercion()
COERCING = Counting(
    "coercing", "an account that asks for hidden reasoning", ("ask for the model's hidden reasoning",), _is_sure
)
