"""Detectors: what is looked for in exchanges. Those of single requests and of how an account asks."""

from __future__ import annotations

from typing import Any

from spiritsafe.guard.detectors.base import Detector
from spiritsafe.guard.detectors.request_coercion import COERCING, COERCION
from spiritsafe.guard.detectors.request_grading import GRADING
from spiritsafe.guard.detectors.request_logits import LOGIT_SWEEP
from spiritsafe.guard.detectors.request_logprobs import LOGPROB_HARVEST
from spiritsafe.guard.detectors.request_probing import PROBING
from spiritsafe.guard.detectors.request_replay import REPLAY
from spiritsafe.registry import Table

DETECTORS: Table[Detector[Any]] = Table(
    "detector",
    (
        COERCION,
        COERCING,
        LOGIT_SWEEP,
        LOGPROB_HARVEST,
        REPLAY,
        PROBING,
        GRADING,
    ),
)
