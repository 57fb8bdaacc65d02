"""Training against TRL, and the loss over a large vocabulary against its own matrix products.

    python benchmarks/train.py [--quick]

1. Tokens per CPU second of our loop and of TRL's SFTTrainer: the same student, rows, batch size, optimiser and number
   of threads (1), float32, without torch.compile; processes of their own, in turn, the best round of each. Once with
   every token supervised, so that both do the same work (`ratio_trl`, the headline), once with the answers alone
   supervised (`ratio_trl_answers`), as distillation is.
2. CPU seconds of the sparse loss and of its three matrix products, in turn in one process, at 512 positions, width 576,
   vocabulary 151,936 and 64 log-probabilities a token.
3. Peak memory (VmHWM of a process of its own) of the same loss and of a dense KL on held logits, at two lengths.

The first run makes an environment for TRL under ~/.cache/spiritsafe-bench (1.5 GB). Rows are random ids; lengths are
those of short chats. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

PEERS = Path(__file__).parent / "peers"
CACHE = Path.home() / ".cache" / "spiritsafe-bench"
# torch first and by itself: asked so, pip takes a CPU build where one is at hand.
TRL = (("torch==2.13.0",), ("trl==1.16.0", "transformers>=5.20,<6"))
ONE_THREAD = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Shape(NamedTuple):
    """A Llama's shape, and how much of it is trained."""

    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    rows: int
    epochs: int


SHAPES = {
    "6m": Shape(width=256, inner=1024, layers=6, heads=4, kv_heads=4, vocab=4_096, rows=64, epochs=1),
    "64m": Shape(width=576, inner=1536, layers=10, heads=9, kv_heads=3, vocab=49_152, rows=32, epochs=1),
}
"""A small student, and ten layers of SmolLM2-135M."""


def environment(name: str, steps: tuple[tuple[str, ...], ...]) -> Path:
    """The Python of a virtual environment with the packages of `steps`, made once."""
    folder = CACHE / name
    stamp, wanted = folder / "packages.json", json.dumps(steps)
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"setting up {folder}")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for packages in steps:
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
        stamp.write_text(wanted)
    return python


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def child(python: str | Path, script: str, *arguments: object) -> dict[str, Any]:
    """What `script` says on its last line."""
    done = subprocess.run(
        [str(python), str(PEERS / script), *map(str, arguments)],
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def make_job(folder: Path, shape: Shape, answers_only: bool) -> Path:
    """A model with random weights, a tokenizer that knows its ids, and rows of random ids."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocab = {"<pad>": 0, "<bos>": 1, "<eos>": 2} | {f"t{one}": one for one in range(3, shape.vocab)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocab, unk_token="<pad>")),
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} <eos>{% endfor %}"
    tokenizer.save_pretrained(folder)
    draw = random.Random(0)
    rows = []
    for _ in range(shape.rows):
        length = min(512, max(48, int(draw.lognormvariate(5.2, 0.4))))
        ids = [draw.randrange(3, shape.vocab) for _ in range(length - 1)] + [2]
        rows.append({"ids": ids, "start": int(0.7 * length) if answers_only else 1})
    job = {"rows": rows, "epochs": shape.epochs, "batch_size": 8, "learning_rate": 1e-4}
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def against_trl(name: str, rounds: int) -> dict[str, float]:
    """Best tokens per CPU second of ours and TRL's, with all tokens and with the answers supervised."""
    trl_python = environment("train", TRL)
    found: dict[str, float] = {}
    for suffix, answers_only in (("", False), ("_answers", True)):
        with tempfile.TemporaryDirectory() as folder:
            job = make_job(Path(folder), SHAPES[name], answers_only)
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(child(sys.executable, "spiritsafe_fit.py", job))
                theirs.append(child(trl_python, "trl_sft.py", job))
        speeds = [max(one["tokens"] / one["cpu_s"] for one in side) for side in (ours, theirs)]
        peaks = [max(one["peak_mb"] for one in side) for side in (ours, theirs)]
        found |= {
            f"tokens_per_cpu_s{suffix}": round(speeds[0], 1),
            f"trl_tokens_per_cpu_s{suffix}": round(speeds[1], 1),
            f"ratio_trl{suffix}": round(speeds[0] / speeds[1], 3),
            f"train_peak_mb{suffix}": round(peaks[0]),
            f"trl_peak_mb{suffix}": round(peaks[1]),
        }
        say(f"{name}, {'answers' if answers_only else 'all tokens'} supervised: {ours[-1]} | {theirs[-1]}")
    return found


def against_products(rounds: int) -> dict[str, float]:
    """The sparse and the sequence loss over their three matrix products, best round of each."""
    cpu_s = child(sys.executable, "head_loss.py", "both", 512, rounds, 256)["cpu_s"]
    say(f"loss at 512 positions: {cpu_s}")
    best = {name: min(taken) for name, taken in cpu_s.items()}
    return {
        "products_cpu_s": best["products"],
        "loss_cpu_s": best["sparse"],
        "loss_over_gemm": round(best["sparse"] / best["products"], 3),
        "sequence_over_gemm": round(best["sequence"] / best["products"], 3),
    }


def memory(short: int, long: int) -> dict[str, float]:
    """Peak memory of the sparse loss and of the dense KL at two lengths."""
    found: dict[str, float] = {}
    for way, name in (("sparse", "loss"), ("gathered", "gathered"), ("dense", "dense")):
        peaks = [child(sys.executable, "head_loss.py", way, rows, 1, 256)["peak_mb"] for rows in (short, long)]
        found |= {f"{name}_peak_mb_short": round(peaks[0]), f"{name}_peak_mb": round(peaks[1])}
    return found | {"positions_short": short, "positions": long}


def table(found: dict[str, float]) -> None:
    print(f"{'tokens per CPU second':44}{'ours':>10}{'TRL':>10}{'ratio':>8}")
    for title, suffix in (("every token supervised", ""), ("answers supervised", "_answers")):
        ours, theirs = found[f"tokens_per_cpu_s{suffix}"], found[f"trl_tokens_per_cpu_s{suffix}"]
        print(f"{title:44}{ours:10,.1f}{theirs:10,.1f}{found[f'ratio_trl{suffix}']:8.2f}")
    print(f"\n{'loss, 512 positions, vocabulary 151,936':44}{'CPU s':>10}{'x products':>12}")
    print(f"{'three matrix products':44}{found['products_cpu_s']:10.2f}{1:12.2f}")
    print(f"{'sparse, top 64 and tail':44}{found['loss_cpu_s']:10.2f}{found['loss_over_gemm']:12.2f}")
    print(f"\n{'peak MB, by positions':44}{found['positions_short']:10,}{found['positions']:10,}")
    for title, way in (("sparse, ours", "loss"), ("sparse on held logits", "gathered"), ("dense, held", "dense")):
        print(f"{title:44}{found[f'{way}_peak_mb_short']:10,}{found[f'{way}_peak_mb']:10,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the 6 M student, fewer rounds, shorter lengths")
    quick = parser.parse_args().quick
    model = "6m" if quick else "64m"
    found = against_trl(model, rounds=2 if quick else 3)
    found |= against_products(rounds=3 if quick else 5)
    found |= memory(512, 1024 if quick else 2048)
    table(found)
    print(json.dumps(found | {"model": model, "threads": 1, "machine": platform.processor() or platform.machine()}))


if __name__ == "__main__":
    main()
