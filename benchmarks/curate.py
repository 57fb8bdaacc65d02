"""How many rows a CPU second the cuts take, on made-up rows: `python benchmarks/curate.py [--quick]`.

Rows are 80-word prompts with 60-word answers, one in ten a near-duplicate of an earlier one (one word of each part
replaced); 1,000 held-out prompts. The peer for near-duplicates is rensa's own deduplicator over the same 3-grams, of
words split at spaces: it neither folds text nor verifies nor tells prompt from answer. The last line is JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence

from rensa import RMinHashDeduplicator

from spiritsafe.checks.curator import example_row
from spiritsafe.distil.curator import Surroundings
from spiritsafe.distil.curators import CURATORS
from spiritsafe.distil.prompt import CollectedRow, make_prompt
from spiritsafe.exchanges.record import Message

VOCABULARY = [f"word{n}" for n in range(5000)]
CUTS = ("truncated", "refusal", "empty", "exact_duplicate", "near_duplicate", "contamination", "diversity")


def text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(VOCABULARY, k=words))


def nearly(draw: random.Random, original: str) -> str:
    words = original.split()
    words[draw.randrange(len(words))] = draw.choice(VOCABULARY)
    return " ".join(words)


def make_rows(draw: random.Random, count: int) -> list[CollectedRow]:
    rows = [example_row(text(draw, 80), text(draw, 60)) for _ in range(count * 9 // 10)]
    again = draw.choices(rows, k=count - len(rows))
    return rows + [example_row(nearly(draw, r.prompt.text), nearly(draw, r.exchange.answer)) for r in again]


def cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def run_cut(name: str, rows: Sequence[CollectedRow], around: Surroundings) -> int:
    curator = CURATORS.get(name)
    return sum(reason is not None for _, reason in curator.cut(iter(rows), curator.settings(), around))


def run_peer(rows: Sequence[CollectedRow]) -> int:
    index = RMinHashDeduplicator(0.8, 128, True)
    texts = (f"{row.prompt.text} {row.exchange.answer}".split() for row in rows)
    shingled = ((str(n), list(map(" ".join, zip(w, w[1:], w[2:], strict=False)))) for n, w in enumerate(texts))
    return sum(not kept for kept in index.add_pairs(shingled))


def main() -> None:
    count = 3_000 if "--quick" in sys.argv[1:] else 10_000
    draw = random.Random(0)
    rows = make_rows(draw, count)
    held_out = [make_prompt((Message("user", text(draw, 80)),)) for _ in range(1_000)]
    around = Surroundings(lambda: held_out)
    speed: dict[str, int] = {}
    for name in CUTS:
        cut: list[int] = []
        taken = min(cpu_s(lambda name=name, cut=cut: cut.append(run_cut(name, rows, around))) for _ in range(3))
        speed[name] = round(count / taken)
        print(f"{name:16s} {speed[name]:>9,} rows/CPU-s   cut {cut[0]:,} of {count:,}")
    peer_cut: list[int] = []
    speed["rensa_alone"] = round(count / min(cpu_s(lambda: peer_cut.append(run_peer(rows))) for _ in range(3)))
    print(f"{'rensa alone':16s} {speed['rensa_alone']:>9,} rows/CPU-s   cut {peer_cut[0]:,} of {count:,}")
    print(json.dumps({"rows": count, "rows_per_cpu_s": speed}))


if __name__ == "__main__":
    main()
