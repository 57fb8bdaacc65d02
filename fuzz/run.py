"""Fuzzes every target for a share of the time: `python fuzz/run.py --seconds 60 [TARGET ...]`; needs the extra fuzz.

Each begins with its own seeds and with what earlier runs found worth keeping, in `--work`. The last lines say how many
inputs each has tried; an input that broke a promise is kept in `findings/`, shown, and makes the exit status 1. Write a
test from it: `python -m fuzz.one TARGET FILE` runs it again.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from fuzz import TARGETS  # noqa: E402  # the path comes first

LONGEST_BYTES = 4096
SLOW_S = 10
"""An input that takes longer is a finding too."""

_TRIED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_RAISED = re.compile(r"=== Uncaught Python exception: ===\n(.*?)\n\n", re.DOTALL)


def main() -> None:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "fuzz")
    options = parser.parse_args()
    targets = options.targets or TARGETS
    share_s = max(1, options.seconds // len(targets))
    found = [fuzzed(target, share_s, options.work / target) for target in targets]
    sys.exit(1 if any(found) else 0)


def fuzzed(target: str, seconds: int, work: Path) -> bool:
    """Fuzz one target; whether it broke a promise."""
    corpus, seeds, findings = work / "corpus", work / "seeds", work / "findings"
    for folder in (corpus, seeds, findings):
        folder.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"fuzz.{target}")
    write_seeds(seeds, module.SEEDS)
    (work / "words").write_text(dictionary(module.WORDS), encoding="ascii")
    before = set(findings.iterdir())
    said = subprocess.run(
        [
            *(sys.executable, "-m", "fuzz.one", target, f"-max_total_time={seconds}", f"-max_len={LONGEST_BYTES}"),
            *(f"-timeout={SLOW_S}", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"),
            *(f"-artifact_prefix={findings}/", f"-dict={work / 'words'}", str(corpus), str(seeds)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    log = said.stdout + said.stderr
    (work / "log").write_text(log, encoding="utf-8")
    tried = _TRIED.search(log)
    new = sorted(set(findings.iterdir()) - before)
    print(
        f"{target:9} {int(tried.group(1)) if tried else 0:>9,} inputs in {seconds} s, {len(new)} findings", flush=True
    )
    for path in new:
        raised = _RAISED.search(log)
        print(f"    {path}\n    {' '.join(raised.group(1).split())[-400:] if raised else log[-400:]}", flush=True)
    return bool(new) or said.returncode != 0


def write_seeds(folder: Path, seeds: Iterable[bytes]) -> None:
    """Put each seed into a file of its own."""
    for number, seed in enumerate(seeds):
        (folder / f"{number:03d}").write_bytes(seed)


def dictionary(words: Iterable[bytes]) -> str:
    """`words` as libFuzzer reads them."""
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
    return "".join(f'"{word}"\n' for word in escaped)


if __name__ == "__main__":
    main()
