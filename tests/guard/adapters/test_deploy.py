"""The files in deploy/ fit the gateway as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spiritsafe.guard.adapters.decision_service import ADDRESS
from spiritsafe.guard.gateway.ops import metrics, watch_metrics
from spiritsafe.guard.settings import Bounds
from spiritsafe.guard.settings_file import STARTING_TEXT

DEPLOY = Path(__file__).parents[3] / "deploy"
UNIT = (DEPLOY / "spiritsafe-guard.service").read_text(encoding="utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text(encoding="utf-8")


def said(text: str, name: str) -> str:
    """What the unit file says for `name`."""
    [value] = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return str(value)


def test_every_metric_that_an_alert_looks_at_is_there(tmp_path: Path) -> None:
    alerts = (DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8")
    text = metrics(tmp_path / "counters", 1) + watch_metrics(tmp_path / "watch", True, 1.0)
    there = set(re.findall(r"^(spiritsafe_\w+)", text, re.MULTILINE))
    asked = set(re.findall(r"\bspiritsafe_\w+", alerts))
    assert len(asked) > 8
    assert asked <= there


def test_the_alert_on_missing_records_has_all_terms_of_the_invariant() -> None:
    alerts = (DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8")
    rule = alerts[
        alerts.index("alert: SpiritsafeRequestsWithoutRecord") : alerts.index("alert: SpiritsafeRecordsDropped")
    ]
    for term in (
        "requests_total",
        "records_durable_total",
        "records_dropped_total",
        "requests_open",
        "log_waiting_bytes",
    ):
        assert f"spiritsafe_{term}" in rule


def test_the_service_has_time_to_finish_its_answers_and_its_log() -> None:
    assert int(said(UNIT, "TimeoutStopSec")) > Bounds().drain_s + 15 + 10
    assert (said(UNIT, "KillSignal"), said(UNIT, "KillMode")) == ("SIGTERM", "mixed")


def test_the_service_is_hardened() -> None:
    for name, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
        "UMask": "0077",
    }.items():
        assert said(UNIT, name) == value
    assert said(UNIT, "User") not in ("", "root")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_service(tmp_path: Path) -> None:
    program = "/opt/spiritsafe/bin/spiritsafe"
    assert program in UNIT
    path = tmp_path / "spiritsafe-guard.service"
    path.write_text(UNIT.replace(program, sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_container_is_nobodys_root_and_asks_where_the_gateway_answers() -> None:
    assert re.search(r"^USER [1-9]\d+$", CONTAINER, re.MULTILINE)
    assert "http://127.0.0.1:9464/healthz" in CONTAINER
    assert '"127.0.0.1:9464"' in STARTING_TEXT
    assert re.search(r"^EXPOSE 8080 9464$", CONTAINER, re.MULTILINE)


@pytest.mark.parametrize(("file", "way"), [("nginx.conf", "server {};"), ("envoy.yaml", 'uri: "http://{}"')])
def test_proxies_ask_where_the_service_is_by_itself(file: str, way: str) -> None:
    assert way.format(ADDRESS) in (DEPLOY / file).read_text(encoding="utf-8")
