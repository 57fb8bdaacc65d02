"""How fast the drills' world is made, and in how much memory: `python benchmarks/drills.py [--quick]`.

- Every class of customer and seven campaigns: exchanges a CPU second of one core, made only, and made and written as
  lines. Rounds of 2,000 exchanges; the median of the rounds counts, the best one is given beside it, since other work
  on the machine takes from a core's speed.
- 100,000 ordinary accounts (10,000 with --quick): resident memory once all of them are there, and after 200,000
  exchanges more.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from itertools import islice
from statistics import median

from spiritsafe.drills.cast import cast
from spiritsafe.drills.logged import played
from spiritsafe.drills.scenario import Scenario
from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import Exchange

ROUND = 2_000

PEOPLE = {
    "ordinary": 1_000,
    "nightly_batch": 4,
    "labelling": 4,
    "evaluation": 6,
    "retrieval": 4,
    "judge": 4,
    "coding_agent": 12,
    "coursework": 90,
    "reseller": 2,
    "licensed": 3,
    "migration": 3,
    "hackathon": 40,
}
CAMPAIGNS = [
    {"name": name, "preset": name, "scale": scale, "day": 0}
    for name, scale in (
        ("wide_shallow", 0.02),
        ("camouflage_25", 0.2),
        ("relay", 0.02),
        ("paraphrased", 0.1),
        ("low_and_slow", 0.1),
        ("failover", 0.1),
        ("adaptive", 0.2),
    )
]


def made(scenario: Scenario) -> Iterator[Exchange]:
    for _, exchange in played(cast(scenario), scenario.ends_at):
        yield exchange


def speed(rounds: int) -> dict[str, float]:
    scenario = Scenario.model_validate({"seed": 1, "days": 30, "people": PEOPLE, "campaign": CAMPAIGNS})
    exchanges = made(scenario)
    for _ in islice(exchanges, 5 * ROUND):
        pass
    alone, with_lines = [], []
    for _ in range(rounds):
        start = time.process_time()
        batch = list(islice(exchanges, ROUND))
        between = time.process_time()
        for exchange in batch:
            dumps(exchange)
        end = time.process_time()
        alone.append(ROUND / (between - start))
        with_lines.append(ROUND / (end - start))
    return {
        "made_per_core_s": round(median(alone)),
        "made_per_core_s_best": round(max(alone)),
        "written_per_core_s": round(median(with_lines)),
        "written_per_core_s_best": round(max(with_lines)),
    }


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def memory(accounts: int, count: int) -> dict[str, float]:
    before = resident_mb()
    exchanges = made(Scenario.model_validate({"seed": 2, "days": 30, "people": {"ordinary": accounts}}))
    next(exchanges)
    there = resident_mb()
    for _ in islice(exchanges, count):
        pass
    return {
        "accounts": accounts,
        "memory_mb_all_there": round(there - before, 1),
        "memory_mb_later": round(resident_mb() - before, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and a tenth of the accounts")
    is_quick = parser.parse_args().quick
    found = speed(5 if is_quick else 25) | memory(*((10_000, 20_000) if is_quick else (100_000, 200_000)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
