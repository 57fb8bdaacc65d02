"""Whether a prompt is after a model's hidden reasoning: a linear classifier that fits into 17 KB. Pure.

The score is the log-odds of the strangest window (`text.coercion_features`) under a logistic regression that learned
to take a prompt for coercing if its strangest window is (multiple-instance learning; Andrews, Tsochantaridis and
Hofmann 2003). The texts it learned from are made by grammars. `benchmarks/coercion.py` makes them, trains the weights,
and measures how much is found of a family of prompts that no example was given of.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from spiritsafe.errors import StoreError
from spiritsafe.text.coercion_features import BUCKETS, names_of, windows

NOTHING = -9.0
"""The score of a text without any window that may be telling, in nats."""

_KIND = "spiritsafe coercion 1"


class Verdict(NamedTuple):
    """What the classifier says of some texts.

    Attributes:
        score: log-odds in nats of the strangest window, above 0 for coercing; `NOTHING` where there is none.
        ideas: the ideas that meet in it, by name (`coercion_features.IDEAS`).
    """

    score: float
    ideas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Classifier:
    """The weights, one 8-bit number a bucket.

    Attributes:
        weights: `BUCKETS` of them.
        step: nats a unit of weight stands for.
        bias: in nats.
    """

    weights: array[int]
    step: float
    bias: float

    def judge(self, texts: Iterable[str]) -> Verdict:
        """The verdict on `texts` together: that on the strangest window in any of them."""
        weights, best, ideas = self.weights, -math.inf, 0
        for text in texts:
            for window in windows(text):
                total = sum(map(weights.__getitem__, window.buckets))
                if total > best:
                    best, ideas = total, window.ideas
        if not ideas:
            return Verdict(NOTHING)
        return Verdict(max(NOTHING, self.bias + self.step * best), tuple(names_of(ideas)))

    def to_bytes(self) -> bytes:
        """The file that `from_bytes` reads: a line of JSON, then the weights."""
        head = {"kind": _KIND, "buckets": BUCKETS, "step": self.step, "bias": self.bias}
        return orjson.dumps(head) + b"\n" + self.weights.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Classifier:
        """The classifier in a file.

        Raises:
            StoreError: it is none, or one for other features.
        """
        line, _, weights = data.partition(b"\n")
        try:
            head = orjson.loads(line)
            fits = head["kind"] == _KIND and head["buckets"] == BUCKETS == len(weights)
            if fits:
                return cls(array("b", weights), float(head["step"]), float(head["bias"]))
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError):
            pass
        raise StoreError(
            f"got {len(data)} bytes that are no classifier for {BUCKETS} buckets: install the package again, "
            "or train it with benchmarks/coercion.py"
        )
