"""One llama.cpp server in one process: `python -m spiritsafe.models.backend MODEL ALIAS CONTEXT [--embeddings]`.

Prints one line, "HOST PORT", once it listens on a free port of 127.0.0.1, and ends when its standard input does, hence
with its parent. One thread and one slot: the slots of one server share one decode loop, so more processes use
more cores and more slots do not. It asks for the key in $SPIRITSAFE_BACKEND_KEY, where there is one. What llama.cpp
itself prints goes to standard error.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any
from urllib.parse import urlsplit

from spiritsafe.errors import MissingExtra

HTTP_THREADS = 32
"""A kept connection holds one of the server's HTTP threads, so there must be more of them than a collector keeps."""

KEY_ENV = "SPIRITSAFE_BACKEND_KEY"
"""Holds the key that requests must bring; empty asks for none. Not an argument, since others can read those."""


EMBEDDINGS = "--embeddings"
"""The argument with which embeddings are answered too."""


MOST_EMBEDDED_TOKENS = 2048
"""Of one text: what is pooled is computed at once, and the memory for it is kept."""


def main() -> None:
    """Serve until standard input ends."""
    path, alias, n_ctx, *more = sys.argv[1:]
    announce = os.dup(1)
    os.dup2(2, 1)
    watcher = threading.Thread(target=_end_with_stdin, daemon=True)
    watcher.start()
    server = _server(path, alias, int(n_ctx), os.environ.get(KEY_ENV, ""), embeds=EMBEDDINGS in more)
    address = urlsplit(server.listening_address)
    os.write(announce, f"{address.hostname} {address.port}\n".encode())
    watcher.join()


def _end_with_stdin() -> None:
    """Wait for the end of standard input, then end the process: llama.cpp's threads do not end by themselves."""
    while os.read(0, 1):
        pass
    os._exit(0)


def _server(path: str, alias: str, n_ctx: int, key: str, *, embeds: bool) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtra.of("serving a model", "serve") from None
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {alias}
    params.n_ctx = n_ctx
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = HTTP_THREADS
    params.warmup = False
    # The default keeps gigabytes of old prompts; the slot itself still reuses the part two prompts share.
    params.cache_ram_mib = 0
    # These show whoever can reach the server what others ask.
    params.endpoint_slots = False
    params.ui = False
    if key:
        params.api_keys = [key]
    if embeds:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_batch = params.n_ubatch = min(n_ctx, MOST_EMBEDDED_TOKENS)
    _sample_as_openai(params.sampling)
    return xllamacpp.Server(params)


def _sample_as_openai(sampling: Any) -> None:
    """Draw from what the model says where a request does not say how.

    llama.cpp's own defaults (temperature 0.8, the best 40, at least a twentieth of the best) sharpen every answer, and
    the log-probabilities it reports are not those it then drew from.
    """
    sampling.temp = 1.0
    sampling.top_p = 1.0
    sampling.top_k = 0
    sampling.min_p = 0.0


if __name__ == "__main__":
    main()
