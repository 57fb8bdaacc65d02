"""`spiritsafe serve`: an OpenAI-compatible API of a small model on this machine."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from spiritsafe.errors import UpstreamError
from spiritsafe.models import embedded
from spiritsafe.models.serve import Plan, started


def serve(
    model: str,
    *,
    port: int = 8089,
    host: str = "127.0.0.1",
    processes: int = 2,
    ctx: int = 4096,
    api_key_env: str | None = None,
    embeddings: bool = False,
    verbose: bool = False,
) -> None:
    """Serve a model as an OpenAI-compatible API until interrupted.

    Parameters
    ----------
    model:
        The name of an embedded model (see `spiritsafe models list`) or the path of a GGUF file.
    port:
        Where to listen; 0 takes a free port.
    host:
        The address to listen on. Unless a key is asked for, whoever reaches it can use the model.
    processes:
        How many requests are answered at once, one core each.
    ctx:
        Tokens of context a request may use, prompt and answer together.
    api_key_env:
        The environment variable that holds the key every request must bring; without it no key is asked for.
    embeddings:
        Answer /v1/embeddings too, with the mean of the last layer's states.
    verbose:
        Show what llama.cpp says.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        path, alias = model_file(model)
        plan = Plan(
            str(path),
            alias,
            host,
            port,
            processes,
            n_ctx=ctx,
            api_key_env=api_key_env,
            embeddings=embeddings,
            verbose=verbose,
        )
        with started(plan) as served:
            print(f"{alias} at {served.base_url}  (interrupt to stop)", flush=True)
            served.wait()
    except KeyboardInterrupt:
        return
    raise UpstreamError("the server ended by itself; see why with --verbose", kind="server", retryable=False)


def model_file(model: str) -> tuple[Path, str]:
    """The GGUF file that `model` means, fetched where it must be, and the name it answers to."""
    if embedded.is_embedded(model):
        return embedded.get(model, progress=_tell), model
    return Path(model), Path(model).stem


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
