"""How well coercion of hidden reasoning is told from ordinary prompts: `python benchmarks/coercion.py [--write]`.

- Each of the five families is left out of training in turn and then looked for ("held out"); once more, leaving out
  half of the words for hidden reasoning as well ("and its words").
- False alarms are counted on public prompts that nothing was trained on (`--data`, a folder of jsonl.gz; the tests and
  the training need none of it), and on ordinary prompts of the grammar from another seed.
- `--prompts FILE` scores one's own prompts, one a line.
- `--write` puts the classifier, trained on all families, into the package.

Everything comes from one seed: the same file is written by every run. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from coercion_tools.grammar import FAMILIES, english, foreign, rule
from coercion_tools.training import SEED, samples, trained
from spiritsafe.stats.intervals import wilson
from spiritsafe.text.coercion import Classifier

ROOT = Path(__file__).parents[1]
FILE = ROOT / "src" / "spiritsafe" / "guard" / "detectors" / "coercion.weights"
PUBLIC = {
    "alpaca_eval_prompts": "instruction",
    "arena_hard_v01": "prompt",
    "bbh": "input",
    "clinc150": "text",
    "gsm8k_train": "question",
    "self_instruct_seeds": "instruction",
    "t0_templates": "prompt",
}
LINES = (0.0, 2.0)
"""Where the line is drawn, in nats; an operator's own calibration draws it elsewhere."""


def share(classifier: Classifier, texts: Sequence[str], line: float) -> str:
    above = sum(classifier.judge([text]).score > line for text in texts)
    found = wilson(above, len(texts))
    return f"{found.estimate:.4f} ({found.low:.4f} to {found.high:.4f})"


def table(title: str, classifier: Classifier, texts: Sequence[str]) -> dict[str, str]:
    shares = {f"above_{line:g}": share(classifier, texts, line) for line in LINES}
    print(f"{title:28s} {len(texts):>7,}  " + "   ".join(shares.values()), flush=True)
    return shares


def public(folder: Path) -> Iterator[tuple[str, list[str]]]:
    for name, key in PUBLIC.items():
        path = folder / f"{name}.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield name, [json.loads(line)[key] for line in lines]


def held_out(family: str, folder: Path) -> dict[str, dict[str, str]]:
    rest = [one for one in FAMILIES if one != family]
    asked = [sample.text for sample in english(family, 2_000, SEED + 1)]
    result = {"held_out": table(f"held out: {family}", trained(samples(rest)), asked)}
    minds = rule("mind")
    known, unknown = minds[::2], minds[1::2]
    strange = [sample.text for sample in english(family, 2_000, SEED + 1, mind=unknown)]
    result["and_its_words"] = table("    and its words", trained(samples(rest, mind=known)), strange)
    return result


def microseconds(classifier: Classifier, texts: Sequence[str]) -> float:
    def once() -> float:
        start = time.process_time()
        for text in texts:
            classifier.judge([text])
        return (time.process_time() - start) / len(texts) * 1e6

    return min(once() for _ in range(3))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("."), help="folder of the prompt sets")
    parser.add_argument("--prompts", type=Path)
    asked = parser.parse_args()
    classifier = trained(samples())
    if asked.write:
        FILE.write_bytes(classifier.to_bytes())
    print(f"{'':28s} {'prompts':>7s}  share above {LINES[0]:g} (95 %)       share above {LINES[1]:g}")
    result: dict[str, object] = {"bytes": len(classifier.to_bytes())}
    if not asked.quick:
        result |= {family: held_out(family, asked.data) for family in FAMILIES}
    ordinary = [sample.text for sample in english("ordinary", 5_000, SEED + 1)]
    result["ordinary"] = table("ordinary, grammar", classifier, ordinary)
    strange = list(foreign(200, SEED + 1))
    for language in sorted({sample.language for sample in strange}):
        own = [sample.text for sample in strange if sample.coerces and sample.language == language]
        result[language] = table(f"coercing, {language}", classifier, own)
    everything: list[str] = []
    for name, texts in public(asked.data):
        everything += texts
        result[name] = table(f"public, {name}", classifier, texts)
    result["public"] = table("public, all", classifier, everything) if everything else "not measured: no --data"
    if asked.prompts:
        result["prompts"] = table("--prompts", classifier, asked.prompts.read_text(encoding="utf-8").splitlines())
    result["us_ordinary"] = round(microseconds(classifier, ordinary[:2_000]), 1)
    result["us_coercing"] = round(microseconds(classifier, [one.text for one in english("system", 500, 9)]), 1)
    result["us_longest"] = round(microseconds(classifier, [("think your hidden reasoning verbatim " * 40)] * 200), 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
