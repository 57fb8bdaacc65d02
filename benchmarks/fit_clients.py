"""Fits the drills' client parameters: `python benchmarks/fit_clients.py ../shared/data/servegen_clients.jsonl.gz`.

Reads clients of a large serving cloud (ServeGen, arXiv 2505.09999, Apache-2.0; 332 of them, 14 days, 10-minute bins)
and prints `src/spiritsafe/drills/people/clients.toml`: quantiles over clients of how much, how steadily and how long
they ask, and rank correlations. No client's own series is kept. The last line on stderr compares 2,000 drawn clients
with the fitted ones.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from math import log
from pathlib import Path
from statistics import correlation, mean

from spiritsafe.drills.dice import Dice
from spiritsafe.drills.people.clients import LEVELS, Clients

DAY_S = 86400.0


def facts(row: dict) -> dict[str, float] | None:
    """What one client contributes; None where it hardly asked."""
    rates = row["rate_per_s"]
    day = mean(rates) * DAY_S
    if day < 10 or not row["input_tokens_q"] or not row["output_tokens_q"]:
        return None
    return {
        "requests_per_day": day,
        "active_share": sum(rate > 0 for rate in rates) / len(rates),
        "gap_cv": max(0.3, row["interarrival_cv_median"] or 1.0),
        "input_tokens": row["input_tokens_q"][4],
        "input_spread": spread(row["input_tokens_q"]),
        "output_tokens": max(1.0, row["output_tokens_q"][4]),
        "output_spread": spread(row["output_tokens_q"]),
    }


def spread(levels: Sequence[float]) -> float:
    """Standard deviation of the log, from the quartiles of a client's lengths."""
    return max(0.01, log(max(levels[5], 1) / max(levels[3], 1)) / 1.349)


def ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    places = [0.0] * len(values)
    for place, index in enumerate(order):
        places[index] = float(place)
    return places


def at_level(values: Sequence[float], level: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(level * len(ordered)))]


def main() -> None:
    with gzip.open(Path(sys.argv[1])) as file:
        rows = [found for line in file if (found := facts(json.loads(line)))]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    print("# Printed by `python benchmarks/fit_clients.py`; ServeGen's clients (arXiv 2505.09999, Apache-2.0), fitted.")
    print(f"# {len(rows)} clients. Of each fact the value at the levels {', '.join(map(str, LEVELS))} over clients.")
    for name, values in columns.items():
        print(f"{name} = [{', '.join(f'{at_level(values, level):.4g}' for level in LEVELS)}]")
    rate = ranks(columns["requests_per_day"])
    print("\n# Rank correlation of each fact with requests_per_day.\n[with_rate]")
    for name, values in columns.items():
        if name != "requests_per_day":
            print(f"{name} = {correlation(rate, ranks(values)):.2f}")
    compare(columns)


def compare(columns: dict[str, list[float]]) -> None:
    clients, dice = Clients.read(), Dice.of("fit")
    drawn = [clients.draw(dice) for _ in range(2000)]
    said = []
    for name, values in columns.items():
        ours = [getattr(client, name) for client in drawn]
        said.append(
            f"{name} {at_level(values, 0.25):.3g}/{at_level(ours, 0.25):.3g} "
            f"{at_level(values, 0.5):.3g}/{at_level(ours, 0.5):.3g} "
            f"{at_level(values, 0.75):.3g}/{at_level(ours, 0.75):.3g}"
        )
    print("fitted/drawn at 25, 50, 75 %: " + "; ".join(said), file=sys.stderr)


if __name__ == "__main__":
    main()
