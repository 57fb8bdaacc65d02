"""Our own collector asking for N answers, C at a time, ledger, budget and pacing included.

spiritsafe_collect.py BASE_URL N C LEDGER_FOLDER
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

started_s = time.perf_counter()
from spiritsafe.distil.ask import ask_all  # noqa: E402  (the import is part of what is measured)
from spiritsafe.distil.prompt import Prompt, make_prompt  # noqa: E402
from spiritsafe.distil.recipe import Recipe  # noqa: E402
from spiritsafe.exchanges.ledger import Ledger  # noqa: E402
from spiritsafe.exchanges.record import Message  # noqa: E402

import_s = time.perf_counter() - started_s
from work import Stopwatch, prompt_of  # noqa: E402


def recipe_for(base_url: str, in_flight: int) -> Recipe:
    teacher = {
        "endpoint": "bench",
        "base_url": base_url,
        "model": "gpt-4o-mini",
        "terms": {"terms": "permits"},
        "prices": {"input_per_million": 0.15, "output_per_million": 0.6},
        "limits": {"max_in_flight": in_flight},
        "sampling": {"max_tokens": 1024, "temperature": 0.0},
        "timeout_s": 600,
    }
    return Recipe.model_validate(
        {
            "name": "bench",
            "teacher": teacher,
            "student": {"model": "none"},
            "prompts": {"kind": "jsonl", "path": "none"},
            "evaluate": {"held_out": 1, "verifier": {"kind": "exact"}},
            "budget": {"dollars": 1e6},
        }
    )


def prompts(count: int) -> Iterator[Prompt]:
    return (make_prompt((Message("user", prompt_of(item)),)) for item in range(count))


def main(base_url: str, count: int, in_flight: int, folder: Path) -> None:
    recipe = recipe_for(base_url, in_flight)
    with Ledger.open(folder) as ledger:
        watch = Stopwatch()
        summary = ask_all(prompts(count), recipe, ledger, total=count, on_progress=lambda _: None)
        if summary.asked + summary.from_ledger != count:
            raise SystemExit(f"answers are missing: {summary}")
        loop = "uvloop" if "uvloop" in sys.modules else "asyncio"
        watch.report(count, import_s=import_s, asked=summary.asked, from_ledger=summary.from_ledger, loop=loop)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
