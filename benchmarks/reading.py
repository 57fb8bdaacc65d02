"""What detectors read out of prompts, how fast and how well: `python benchmarks/reading.py [--data FOLDER] [--quick]`.

- Embeddings: texts a CPU second by length, ours and WordLlama's own call, in turn.
- Templates: accounts of one template of T0 each (`--data`, a folder of jsonl.gz); share of prompts recognised as of one
  template, alone, mixed among other prompts, and with words replaced at random (fixed words and fillings alike).
- Request detectors: CPU microseconds an exchange, looked at, observed and learned from, all of them together.

Without the folder the prompts are made up and the templates are not measured. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from os.path import dirname
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import wordllama

from spiritsafe.exchanges.record import Exchange, Message
from spiritsafe.guard.detectors import DETECTORS
from spiritsafe.guard.detectors.view import view_of
from spiritsafe.text.embed import embed
from spiritsafe.text.templates import Template, Templates

SOURCES = {"alpaca_eval_prompts": "instruction", "arena_hard_v01": "prompt", "bbh": "input", "gsm8k_train": "question"}
ROUNDS = 3


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def per_cpu_s(count: int, work: Callable[[], object]) -> float:
    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return count / min(once() for _ in range(ROUNDS))


def embedding_speeds(prompts: Sequence[str], count: int) -> dict[str, list[int]]:
    library = wordllama.WordLlama.load(cache_dir=dirname(wordllama.__file__), disable_download=True)
    words = " ".join(prompts).split()
    dice = random.Random(1)
    speeds = {}
    print("characters   ours, texts a CPU second   WordLlama's own")
    for length in (50, 400, 1_000, 10_000):
        texts = [" ".join(dice.choices(words, k=length // 5))[:length] for _ in range(count)]
        own = per_cpu_s(count, lambda texts=texts: embed(texts))
        theirs = per_cpu_s(count, lambda texts=texts: library.embed(texts, norm=True))
        speeds[str(length)] = [round(own), round(theirs)]
        print(f"{length:>10,} {own:>25,.0f} {theirs:>17,.0f}")
    return speeds


def largest(prompts: Iterable[str]) -> Template | None:
    state = Templates()
    for prompt in prompts:
        state.add("", prompt)
    return next(iter(state.found()), None)


def replaced(text: str, share: float, words: Sequence[str], dice: random.Random) -> str:
    return " ".join(dice.choice(words) if dice.random() < share else word for word in text.split())


def template_shares(templates: Sequence[Sequence[str]], others: Sequence[str]) -> dict[str, float]:
    dice = random.Random(2)
    words = " ".join(others).split()
    found = {"alone": [largest(prompts) for prompts in templates]}
    for share in (0.5, 0.25, 0.1):
        found[f"mixed {share:.0%}"] = [
            largest([*prompts[: round(100 * share)], *dice.sample(others, 100 - round(100 * share))])
            for prompts in templates
        ]
    for share in (0.05, 0.1, 0.2, 0.3):
        found[f"words replaced {share:.0%}"] = [
            largest(replaced(prompt, share, words, dice) for prompt in prompts) for prompts in templates
        ]
    found["no template"] = [largest(dice.sample(others, 200)) for _ in range(50)]
    print(f"{'':22s} share found: mean, quartiles of {len(templates)} templates")
    shares = {}
    for name, some in found.items():
        own = [0.0 if one is None else one.share for one in some]
        low, middle, high = quantiles(own, n=4)
        shares[name] = round(mean(own), 3)
        print(f"{name:22s} {mean(own):.3f}   {low:.3f} {middle:.3f} {high:.3f}")
    halves = [(largest(prompts[::2]), largest(prompts[1::2])) for prompts in templates]
    same = [one is not None and other is not None and bool(one.anchors & other.anchors) for one, other in halves]
    shares["same in two accounts"] = round(mean(same), 3)
    print(f"{'same in two accounts':22s} {mean(same):.3f}")
    return shares


def detector_us(prompts: Sequence[str]) -> float:
    system = Message("system", "You are a helpful assistant of a bank. Never talk about other banks.")
    exchanges = [
        Exchange(f"{at:x}", float(at), "chat", (system, Message("user", text)), account=str(at % 50))
        for at, text in enumerate(prompts)
    ]

    def once() -> None:
        states: dict[tuple[str, str], Any] = {}
        for exchange in exchanges:
            view = view_of(exchange)
            for detector in DETECTORS:
                state = states.setdefault((exchange.account, detector.name), detector.fresh())
                ordinary = states.setdefault(("", detector.name), detector.fresh())
                detector.look(view, state, ordinary)
                detector.observe(view, state)
                detector.learn(view, ordinary)

    return 1e6 / per_cpu_s(len(exchanges), once)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("."), help="folder of the prompt sets")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    prompts = [line[key] for name, key in SOURCES.items() for line in lines_of(asked.data, name)[:1_000]]
    prompts = prompts or [f"What is {at} plus {at * 7}, and why does it matter to you?" for at in range(1_000)]
    by_template: dict[str, list[str]] = defaultdict(list)
    for line in lines_of(asked.data, "t0_templates"):
        by_template[line["template"]].append(line["prompt"])
    result: dict[str, object] = {"embeddings": embedding_speeds(prompts, 100 if asked.quick else 500)}
    templates = [some for some in by_template.values() if len(some) >= 100][:: 4 if asked.quick else 1]
    result["templates"] = template_shares(templates, prompts) if templates else "not measured: no --data"
    result["request_detectors_us"] = round(detector_us(prompts), 1)
    print(f"request detectors, all together: {result['request_detectors_us']} CPU microseconds an exchange")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
