"""The HTTP client that our collector uses, alone: no ledger, no parsing, no budget. The floor on this machine.

pyreqwest_bare.py BASE_URL N C
"""

from __future__ import annotations

import sys
import time

started_s = time.perf_counter()
import asyncio  # noqa: E402  (the import is part of what is measured)

import uvloop  # noqa: E402
from pyreqwest.client import ClientBuilder  # noqa: E402

import_s = time.perf_counter() - started_s
import json  # noqa: E402

from work import Stopwatch, prompt_of  # noqa: E402


async def ask_all(base_url: str, count: int, in_flight: int) -> None:
    client = ClientBuilder().http1_only().no_proxy().build()
    items = iter(range(count))

    async def worker() -> None:
        for item in items:
            turns = [{"role": "user", "content": prompt_of(item)}]
            body = json.dumps({"model": "gpt-4o-mini", "messages": turns, "max_tokens": 1024}).encode()
            request = client.post(f"{base_url}/chat/completions").header("content-type", "application/json")
            async with request.body_bytes(body).build_streamed() as response:
                await response.bytes()

    await asyncio.gather(*(worker() for _ in range(in_flight)))


if __name__ == "__main__":
    watch = Stopwatch()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    watch.report(int(sys.argv[2]), import_s=import_s)
