"""Trained: how far a training is, and what it took and gave, as values."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

CURVE_POINTS = 200
"""Most points of the loss curve that are kept: enough to draw, few enough to read."""


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a training stands.

    Attributes:
        step, steps: optimiser steps done and in all.
        loss: mean loss of the last step, nats a supervised token.
        tokens_per_s: tokens read a second in this sitting, padding left out.
        eta_s: seconds left at that pace.
    """

    step: int
    steps: int
    loss: float
    tokens_per_s: float
    eta_s: float


OnTrainProgress = Callable[[TrainProgress], None]


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """What a training took and gave; `train.json` in the student's folder.

    Attributes:
        loss: the loss's name.
        rows: rows trained on.
        left_out: rows of the budget that were not: too long, or without what the loss needs.
        without_logprobs: rows trained on by their tokens alone although the loss wanted log-probabilities.
        steps, epochs: optimiser steps and passes over the rows.
        tokens: tokens read over all epochs, padding left out; `supervised_tokens` of them carried loss.
        seconds, cpu_s: wall and CPU time of the loop, all sittings together; CPU time is the first rank's.
        tokens_per_s, tokens_per_cpu_s: tokens read over those.
        first_loss, last_loss: mean loss of the first and of the last epoch's steps, nats a supervised token.
        loss_curve: mean loss over steps, at most 200 points.
        parameters, trained_parameters: weights in all, and those that learned.
        peak_rss_mb: most memory this process has held so far.
        device, precision, ranks: where it ran.
        resumed_at: the step this sitting began at.
        budget: how many kept exchanges were given.
        folder: where the student is, "" before it is saved.
        settings: the recipe's train section.
        fingerprint: hash of all that decides the result.
    """

    loss: str
    rows: int
    steps: int
    epochs: int
    tokens: int
    supervised_tokens: int
    seconds: float
    cpu_s: float
    tokens_per_s: float
    tokens_per_cpu_s: float
    first_loss: float
    last_loss: float
    loss_curve: tuple[float, ...]
    parameters: int
    trained_parameters: int
    peak_rss_mb: float
    device: str
    precision: str
    ranks: int = 1
    resumed_at: int = 0
    left_out: int = 0
    without_logprobs: int = 0
    budget: int = 0
    folder: str = ""
    settings: dict[str, Any] | None = None
    fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainSummary:
        """What `to_json` made."""
        return replace(cls(**value), loss_curve=tuple(value["loss_curve"]))


def curve_of(losses: list[float]) -> tuple[float, ...]:
    """At most `CURVE_POINTS` means over equal runs of steps."""
    size = -(-len(losses) // CURVE_POINTS)
    runs = [losses[start : start + size] for start in range(0, len(losses), size or 1)]
    return tuple(round(sum(run) / len(run), 6) for run in runs)


def peak_rss_mb() -> float:
    """Most memory this process has held so far, in MB (1e6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
