"""Every built-in detector keeps every promise; and what a detector says becomes evidence."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.guard.detectors.examples import EXAMPLES

from spiritsafe.checks.detector import PROMISES, Case
from spiritsafe.guard.detectors import DETECTORS
from spiritsafe.guard.detectors.base import Detector, Sign, evidence_of
from spiritsafe.guard.policy import Evidence

STATE_BYTES = 2_048
"""What detectors of requests may take together of the eight kilobytes of an account."""


@pytest.mark.parametrize("holds", PROMISES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("detector", DETECTORS.builtin, ids=lambda one: one.name)
def test_a_detector_keeps_its_promises(detector: Detector[Any], holds: Callable[[Case], None]) -> None:
    holds(Case(detector, EXAMPLES[detector.name]))


def test_the_states_of_request_detectors_fit_into_their_part_of_an_account() -> None:
    assert sum(DETECTORS.get(name).state_bytes for name in EXAMPLES) <= STATE_BYTES


def test_a_calibrated_sign_is_evidence_that_expires() -> None:
    sign = Sign("coercion", 4.0, ("said so",), ("1",))

    assert evidence_of(sign, "acme", 5.0, 20.0, 9.0) == Evidence(
        "coercion", "acme", 5.0, 20.0, ("said so",), expires_at=9.0
    )


def test_detectors_of_requests_start_without_anything_heavy() -> None:
    code = "import sys, spiritsafe.guard.detectors; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    heavy = {"numpy", "wordllama", "datasketches", "rensa", "py3langid", "pydantic", "cyclopts", "rich", "jsonschema"}
    assert not heavy & set(loaded)
