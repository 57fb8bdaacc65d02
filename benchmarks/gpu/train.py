"""Our training loop on a GPU: tokens a second in bfloat16, and what share of the device's peak that is.

    python benchmarks/gpu/train.py --peak-tflops 989     a Llama of SmolLM2-135M's shape, 8,192 tokens a micro-batch
    python benchmarks/gpu/train.py --toy                 the same code at toy size, on a CPU too

Rows are random ids of random lengths. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.distil.recipe import Train
from spiritsafe.distil.rows import TokenRow
from spiritsafe.distil.train import fit

FULL = {"width": 576, "inner": 1536, "layers": 30, "heads": 9, "kv_heads": 3, "vocab": 49_152, "rows": 2_048}
TOY = {"width": 32, "inner": 64, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 300, "rows": 12}


def student(shape: dict[str, int]) -> Any:
    config = LlamaConfig(
        vocab_size=shape["vocab"],
        hidden_size=shape["width"],
        intermediate_size=shape["inner"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def tokenizer(vocab: int) -> Any:
    known = {"<pad>": 0, "<eos>": 1} | {f"t{one}": one for one in range(2, vocab)}
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(known, unk_token="<pad>")), pad_token="<pad>", eos_token="<eos>"
    )
    made.chat_template = "{% for m in messages %}{{ m.content }} <eos>{% endfor %}"
    return made


def rows(shape: dict[str, int], longest: int) -> list[TokenRow]:
    draw = random.Random(0)
    made = []
    for number in range(shape["rows"]):
        length = min(longest, max(8, int(draw.lognormvariate(5.6, 0.5))))
        ids = np.asarray([draw.randrange(2, shape["vocab"]) for _ in range(length)], np.int32)
        made.append(TokenRow(str(number), ids, length // 2))
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="toy size, on a CPU too")
    parser.add_argument("--peak-tflops", type=float, help="the device's peak in dense bfloat16")
    given = parser.parse_args(arguments)
    on_gpu = torch.cuda.is_available()
    if not on_gpu and not given.toy:
        raise SystemExit("no GPU: wanted an NVIDIA GPU; use --toy to try the script without one")
    shape = TOY if given.toy else FULL
    torch.manual_seed(0)
    model = student(shape).to("cuda" if on_gpu else "cpu")
    settings = Train(
        epochs=1,
        batch_size=4 if given.toy else 64,
        micro_batch_tokens=256 if given.toy else 8_192,
        vocab_chunk_rows=64 if given.toy else 2_048,
    )
    summary = fit(model, tokenizer(shape["vocab"]), rows(shape, 64 if given.toy else 1_024), settings)
    told: dict[str, Any] = {
        "tokens_per_s": summary.tokens_per_s,
        "loss": summary.last_loss,
        "precision": summary.precision,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None,
        "toy": given.toy,
    }
    if given.peak_tflops:
        told["share_of_peak"] = 6 * summary.parameters * summary.tokens_per_s / (given.peak_tflops * 1e12)
    print(json.dumps(told))
    return told


if __name__ == "__main__":
    main()
