"""Reasoning coercion: prompts that are after the hidden reasoning of a model.

`coercion` is about one request: its score is the classifier's log-odds in nats (`text.coercion`), above 0 for more
likely coercing than not where half of all prompts are. `coercing` is about the account: the share of its requests with
log-odds above `SURE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from spiritsafe.guard.detectors.base import Scope, Sign
from spiritsafe.guard.detectors.tally import Counting, Tally, tally_bytes
from spiritsafe.guard.detectors.view import View
from spiritsafe.text.coercion import Classifier, Verdict
from spiritsafe.text.coercion_features import WINDOW_WORDS

SURE = 2.0
"""Nats; of 57,000 public prompts fewer than one in ten thousand are above (`benchmarks/coercion.py`)."""


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


def _is_sure(view: View) -> int | None:
    return 0 if verdict_on(view).score > SURE else None


@dataclass(frozen=True, slots=True)
class Coercion:
    """The detector of single requests; its state counts those above 0."""

    name: str = "coercion"
    says: str = "a request for the model's hidden reasoning"
    scope: Scope = "request"
    state_bytes: int = tally_bytes(1)

    def fresh(self) -> Tally:
        """No exchange."""
        return Tally(1)

    def unpack(self, data: bytes) -> Tally:
        """The tally that was packed."""
        return Tally.unpack(data, 1)

    def look(self, view: View, state: Tally, ordinary: Tally) -> Sign | None:
        """The log-odds, where they are above 0."""
        verdict = verdict_on(view)
        if verdict.score <= 0:
            return None
        return Sign(
            self.name,
            verdict.score,
            (f"within {WINDOW_WORDS} words meet: {', '.join(verdict.ideas)} (log-odds {verdict.score:.1f})",),
            (view.exchange.id,),
        )

    def observe(self, view: View, state: Tally) -> None:
        """Count the exchange."""
        _COUNTED.observe(view, state)

    def learn(self, view: View, ordinary: Tally) -> None:
        """Count the exchange among the ordinary ones."""
        _COUNTED.observe(view, ordinary)


def _is_likely(view: View) -> int | None:
    return 0 if verdict_on(view).score > 0 else None


_COUNTED = Counting("coercion", "", ("",), _is_likely)

COERCION = Coercion()
COERCING = Counting(
    "coercing", "an account that asks for hidden reasoning", ("ask for the model's hidden reasoning",), _is_sure
)
