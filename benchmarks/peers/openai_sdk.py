"""The OpenAI SDK asking for N answers, C at a time, and keeping none: openai_sdk.py BASE_URL N C."""

from __future__ import annotations

import asyncio
import sys
import time

started_s = time.perf_counter()
from openai import AsyncOpenAI  # noqa: E402  (the import is part of what is measured)

import_s = time.perf_counter() - started_s
from work import Stopwatch, prompt_of  # noqa: E402


async def ask_all(client: AsyncOpenAI, count: int, in_flight: int) -> int:
    items, characters = iter(range(count)), 0

    async def worker() -> None:
        nonlocal characters
        for item in items:
            answer = await client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": prompt_of(item)}],
                max_tokens=512,
                temperature=0.0,
            )
            characters += len(answer.choices[0].message.content or "")

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return characters


async def main(base_url: str, count: int, in_flight: int) -> None:
    client = AsyncOpenAI(base_url=base_url, api_key="none", timeout=600, max_retries=0)
    await ask_all(client, in_flight, in_flight)  # connections are made before the clock starts
    watch = Stopwatch()
    if await ask_all(client, count, in_flight) < count:
        raise SystemExit("answers are missing")
    watch.report(count, import_s=import_s)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
