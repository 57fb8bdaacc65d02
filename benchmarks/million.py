"""Memory of `distil plan` and `distil collect` for a million prompts: `python benchmarks/million.py [--quick]`.

A million short prompts in a JSONL file, a tenth of them repeated, and one answer each from the loopback server of
`collect.py`. Measured: the largest resident memory of each command in a process of its own, and its CPU seconds; then
the same collection again, when every answer is in the ledger. `--quick` takes 100,000. Wanted: at most 300 MB.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from loopback import serve

CACHE = Path.home() / ".cache" / "spiritsafe-bench"
RECIPE = """
name = "million"
budget.dollars = 100000
[teacher]
endpoint = "bench"
base_url = "{base_url}"
model = "gpt-4o-mini"
terms.terms = "permits"
prices = {{ input_per_million = 0.15, output_per_million = 0.6 }}
limits.max_in_flight = 256
sampling = {{ max_tokens = 64, temperature = 0.0 }}
[student]
model = "none"
[prompts]
kind = "jsonl"
path = "{prompts}"
[evaluate]
held_out = 100
verifier.kind = "exact"
"""


def write_prompts(path: Path, count: int) -> None:
    with path.open("w") as file:
        for n in range(count):
            asked = n - 1 if n % 10 == 9 else n
            file.write(json.dumps({"prompt": f"In one word: what is the colour of parcel {asked} in warehouse nine?"}))
            file.write("\n")


def command(stage: str, recipe: Path, out: Path) -> dict[str, float]:
    """Run the stage in a process of its own; its peak memory in MB and CPU seconds."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("spiritsafe")), "distil", stage, str(recipe), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"distil {stage} failed: {told.decode()[-500:]}")
    return {"peak_mb": round(used.ru_maxrss / 1024, 1), "cpu_s": round(used.ru_utime + used.ru_stime, 1)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="100,000 prompts")
    count = 100_000 if arguments.parse_args().quick else 1_000_000
    CACHE.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, float]] = {}
    with serve(CACHE, 0, 100) as server, tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        write_prompts(folder / "prompts.jsonl", count)
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE.format(base_url=server.base_url, prompts=folder / "prompts.jsonl"))
        for stage in ("plan", "collect"):
            results[stage] = command(stage, recipe, folder / "run")
            print(f"{stage:16} {results[stage]}", flush=True)
        asked = server.stats()["requests"]
        # A second run folder beside the same ledger: everything is found, nothing is asked.
        command("plan", recipe, folder / "again")
        results["collect again"] = command("collect", recipe, folder / "again")
        print(f"{'collect again':16} {results['collect again']}")
        again = server.stats()["requests"] - asked
    peak_mb = max(one["peak_mb"] for one in results.values())
    print(json.dumps({"prompts": count, "asked": asked, "asked_again": again, "peak_mb": peak_mb, "stages": results}))


if __name__ == "__main__":
    main()
