"""From prompts to a classifier: logistic regression over the strangest window of each prompt, weights of 8 bits."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from coercion_tools.grammar import FAMILIES, Sample, english, foreign
from coercion_tools.logistic import Sparse, fit
from spiritsafe.text.coercion import Classifier
from spiritsafe.text.coercion_features import BUCKETS, HASHED, windows

SEED = 1
COERCING, ORDINARY, FOREIGN = 1_500, 16_000, 150
"""Prompts of each family, ordinary ones, and prompts of each kind in each other language."""

ROUNDS = 3
PENALTY_PAIRS, PENALTY_IDEAS = 3e-5, 1e-5


def samples(families: Sequence[str] = FAMILIES, **other: list[str]) -> list[Sample]:
    """The prompts to learn from; `other` replaces rules of the grammars of the coercing families."""
    coercing = [sample for family in families for sample in english(family, COERCING, SEED, **other)]
    return [*coercing, *english("ordinary", ORDINARY, SEED), *foreign(FOREIGN, SEED)]


def trained(learned_from: Sequence[Sample]) -> Classifier:
    """The classifier of these prompts.

    Every window of an ordinary prompt is ordinary. Of a coercing prompt the strangest window is coercing and nothing is
    said of the others; which it is, the classifier of the round before says, and in the first round all of them are.
    """
    rows = [(at, window.buckets) for at, sample in enumerate(learned_from) for window in windows(sample.text)]
    owner = np.array([at for at, _ in rows])
    x = Sparse.of([buckets for _, buckets in rows], BUCKETS)
    coerces = np.array([sample.coerces for sample in learned_from])[owner]
    penalty = np.where(np.arange(BUCKETS) < HASHED, PENALTY_PAIRS, PENALTY_IDEAS)
    used = np.ones(len(rows), dtype=bool)
    weights, bias = np.zeros(BUCKETS), 0.0
    for _ in range(ROUNDS):
        importance = np.where(coerces, used / max(1, (used & coerces).sum()), 1 / (~coerces).sum())
        weights, bias = fit(x, coerces.astype(float), importance, penalty)
        scores = x.times(weights)
        strangest = np.full(len(learned_from), -np.inf)
        np.maximum.at(strangest, owner, scores)
        used = ~coerces | (scores >= strangest[owner])
    return rounded(weights, bias)


def rounded(weights: np.ndarray, bias: float) -> Classifier:
    """The classifier with weights of 8 bits."""
    step = float(np.abs(weights).max() / 127)
    return Classifier(array("b", np.rint(weights / step).astype(np.int8).tobytes()), step, bias)
