"""Serve a GGUF file as an OpenAI-compatible API on this machine, for as long as a `with` block lasts.

    with serving(path, "smollm2-135m") as base_url:      # "http://127.0.0.1:40123/v1"
        ...

Input: the file and the name to answer to. Output: an address. Behind it stand a balancer and `processes` llama.cpp
servers of one thread each, all of them processes of their own that end with this one, even if it is killed.

Limits: without `api_key_env` no key is asked for, so keep to the loopback address on a shared network. With it the key
and all else still travel in the clear. Every process holds its own context and key-value cache (the weights are mapped
and shared).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from spiritsafe.errors import InputError, MissingExtra, UpstreamError, shown
from spiritsafe.models.secrets import read_key

GOODBYE_S = 10.0
GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve and where.

    Attributes:
        path: the GGUF file.
        alias: the model's name in the API.
        host, port: where to listen; port 0 takes a free one.
        processes: llama.cpp servers, one core each.
        n_ctx: tokens of context a request may use, prompt and answer together.
        api_key_env: environment variable that holds the key every request must bring; None asks for none. Never the
            key itself: a plan is seen by whoever can list processes.
        embeddings: whether POST /v1/embeddings is answered: with the mean of the last layer's states over a text's
            tokens, scaled to length 1. A long text then takes memory for the states of all its tokens at once.
        verbose: whether llama.cpp's own words reach standard error.
    """

    path: str
    alias: str
    host: str = "127.0.0.1"
    port: int = 0
    processes: int = 2
    n_ctx: int = 4096
    api_key_env: str | None = None
    embeddings: bool = False
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A running server.

    Attributes:
        base_url: what an OpenAI client wants as its base, ending in "/v1".
    """

    base_url: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Return when the server ends by itself, which it does only if one of its processes failed."""
        self.process.wait()


@contextmanager
def serving(
    model_path: Path, alias: str, *, port: int = 0, processes: int = 2, n_ctx: int = 4096, embeddings: bool = False
) -> Iterator[str]:
    """The base URL of a server of the GGUF file `model_path` that answers as `alias`, up while the block lasts.

    Args:
        model_path: a GGUF file.
        alias: the model's name in the API.
        port: where to listen on 127.0.0.1; 0 takes a free port.
        processes: llama.cpp servers, one core each.
        n_ctx: tokens of context a request may use.
        embeddings: as in `Plan`.

    Raises:
        InputError: no GGUF file there, a number out of range, or the port is taken.
        MissingExtra: the 'serve' extra is not installed.
        UpstreamError: it did not come up within 60 s (kind "timeout") or ended at once (kind "server").
    """
    plan = Plan(path=str(model_path), alias=alias, port=port, processes=processes, n_ctx=n_ctx, embeddings=embeddings)
    with started(plan) as served:
        yield served.base_url


@contextmanager
def started(plan: Plan, *, environ: Mapping[str, str] = os.environ) -> Iterator[Served]:
    """As `serving`, for every setting of a plan.

    Args:
        plan: what to serve.
        environ: where the key's variable is looked up, and what the server gets as its environment.

    Raises:
        InputError: as `serving`, or the key's variable is not set.
        MissingExtra, UpstreamError: as `serving`.
    """
    _check(plan)
    read_key(plan.api_key_env, environ)
    process = subprocess.Popen(
        [sys.executable, "-m", "spiritsafe.models.front", json.dumps(asdict(plan))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if plan.verbose else subprocess.DEVNULL,
        env=environ,
        # Out of the terminal's group: an interrupt is for this process, which then ends the server in order.
        start_new_session=os.name == "posix",
    )
    try:
        yield Served(_announced(process), process)
    finally:
        _end(process)


def _check(plan: Plan) -> None:
    if plan.processes < 1 or plan.n_ctx < 1 or not 0 <= plan.port < 1 << 16:
        raise InputError(
            f"cannot serve with {plan.processes} processes, a context of {plan.n_ctx} and port {plan.port}; "
            "wanted at least one process and one token, and a port from 0 to 65535"
        )
    try:
        with Path(plan.path).open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise InputError(f"cannot read the model {shown(plan.path)}: {error.strerror}; give a GGUF file") from None
    if magic != GGUF_MAGIC:
        raise InputError(f"{shown(plan.path)} is not a GGUF file; give one, or the name of an embedded model")
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtra.of("serving a model", "serve")


def _announced(process: subprocess.Popen[bytes]) -> str:
    """The address in the one line the front prints, which bounds its own time.

    Raises:
        InputError, UpstreamError: what the front says went wrong.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    said = json.loads(line) if line else {"error": "the server ended before it was up; see why with --verbose"}
    if "base_url" in said:
        return str(said["base_url"])
    if said.get("kind") == "input":
        raise InputError(said["error"])
    raise UpstreamError(said["error"], kind=said.get("kind", "server"), retryable=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the front by the end of its standard input, and wait until it has ended its own children."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(GOODBYE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
