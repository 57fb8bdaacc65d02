"""The loss over a large vocabulary on a GPU, against its own three matrix products.

    python benchmarks/gpu/loss.py            8,192 positions, width 4,096, vocabulary 151,936, bfloat16
    python benchmarks/gpu/loss.py --toy      the same code at toy size, on a CPU too; its times mean nothing

Ways: `products` (the products alone, in the same chunks), `sparse` and `sequence` (ours), the same `compiled` (their
passes over a chunk fused by torch.compile), `held` (cross-entropy on logits that are held). Each way is timed with the
device's own events, the median of ten after three. The last line is one JSON object; milliseconds and peak GiB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spiritsafe.distil.loss import Loss, LossSettings, Signal, Targets
from spiritsafe.distil.losses import LOSSES
from spiritsafe.distil.losses.linear import Head, add_product, linear_loss, product_into

TARGET_MS = 50.0
"""What the sparse loss is to stay under on an H100; the arithmetic is in this folder's README."""


@dataclass(frozen=True)
class Size:
    positions: int
    width: int
    vocab: int
    top: int
    chunks: tuple[int, ...]
    warmup: int
    rounds: int


FULL = Size(8_192, 4_096, 151_936, 64, chunks=(1_024, 2_048, 4_096), warmup=3, rounds=10)
TOY = Size(64, 32, 1_000, 8, chunks=(16, 32), warmup=1, rounds=2)


class Compiled:
    """A loss whose passes over a chunk are fused into as few kernels as the compiler finds."""

    def __init__(self, loss: Loss) -> None:
        self.name, self.signal, self.paper = f"{loss.name} compiled", loss.signal, loss.paper
        self.apply: Callable[[Tensor, Targets, LossSettings], Tensor] = torch.compile(loss.apply, dynamic=False)

    name: str
    signal: Signal
    paper: str


def inputs(size: Size, device: torch.device, dtype: torch.dtype) -> tuple[Head, Targets]:
    torch.manual_seed(0)
    hidden = torch.randn(size.positions, size.width, device=device, dtype=dtype).requires_grad_()
    weight = (torch.randn(size.vocab, size.width, device=device) * size.width**-0.5).to(dtype).requires_grad_()
    ids = torch.randint(0, size.vocab, (size.positions, size.top), device=device)
    ids[:, 1:] = torch.where(ids[:, 1:] == ids[:, :1], (ids[:, 1:] + 1) % size.vocab, ids[:, 1:])
    probs = torch.softmax(torch.randn(size.positions, size.top, device=device) * 2, 1) * 0.95
    return Head(hidden, weight), Targets(ids[:, 0].clone(), ids, probs)


def products(head: Head, chunk: int) -> None:
    """Logits, gradient of the hidden states and float32 gradient of the weight, and nothing between them."""
    hidden, weight = head.hidden_N_H.detach(), head.weight_V_H.detach()
    exact = torch.promote_types(hidden.dtype, torch.float32) if hidden.is_cuda else hidden.dtype
    buffer = hidden.new_empty((chunk, len(weight)), dtype=exact)
    to_hidden, to_weight = torch.empty_like(hidden, dtype=exact), torch.empty_like(weight, dtype=exact)
    for start in range(0, len(hidden), chunk):
        part = slice(start, min(len(hidden), start + chunk))
        made = product_into(buffer[: part.stop - start], hidden[part], weight.T).to(hidden.dtype)
        product_into(to_hidden[part], made, weight)
        add_product(to_weight, made.T, hidden[part], 1.0, keep=start > 0)


def ours(loss: Loss, head: Head, targets: Targets, chunk: int) -> None:
    linear_loss(head, loss, targets, chunk_rows=chunk, scale=1 / len(targets.labels_N))[0].backward()


def held(head: Head, targets: Targets) -> None:
    logits = head.hidden_N_H @ head.weight_V_H.T
    torch.nn.functional.cross_entropy(logits.float(), targets.labels_N).backward()


def timed(way: Callable[[], None], head: Head, size: Size) -> dict[str, float]:
    """Median milliseconds and peak GiB of `way`."""
    took: list[float] = []
    on_gpu = head.hidden_N_H.is_cuda
    for number in range(size.warmup + size.rounds):
        head.hidden_N_H.grad = head.weight_V_H.grad = None
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        milliseconds = _gpu_ms(way) if on_gpu else _cpu_ms(way)
        took += [milliseconds] if number >= size.warmup else []
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0
    return {"ms": round(statistics.median(took), 3), "peak_gib": round(peak, 2)}


def _gpu_ms(way: Callable[[], None]) -> float:
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    began.record()
    way()
    ended.record()
    torch.cuda.synchronize()
    return float(began.elapsed_time(ended))


def _cpu_ms(way: Callable[[], None]) -> float:
    began = time.perf_counter()
    way()
    return 1000 * (time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="toy size, on a CPU too")
    toy = parser.parse_args(arguments).toy
    on_gpu = torch.cuda.is_available()
    if not on_gpu and not toy:
        raise SystemExit("no GPU: wanted an NVIDIA GPU with 24 GiB or more; use --toy to try the script without one")
    size = TOY if toy else FULL
    device, dtype = torch.device("cuda" if on_gpu else "cpu"), torch.bfloat16 if on_gpu else torch.float32
    head, targets = inputs(size, device, dtype)
    losses: list[Loss] = [LOSSES.get("topk_forward_kl"), LOSSES.get("sequence")]
    losses += [Compiled(loss) for loss in losses] if on_gpu else []

    found: dict[str, dict[str, float]] = {"held": timed(lambda: held(head, targets), head, size)}
    for chunk in size.chunks:
        found[f"products, chunk {chunk}"] = timed(lambda chunk=chunk: products(head, chunk), head, size)
        for loss in losses:
            name = f"{loss.name}, chunk {chunk}"
            found[name] = timed(lambda loss=loss, chunk=chunk: ours(loss, head, targets, chunk), head, size)
    for name, numbers in found.items():
        print(f"{name:36}{numbers['ms']:12,.2f} ms{numbers['peak_gib']:10,.2f} GiB")
    best = min(numbers["ms"] for name, numbers in found.items() if name.startswith("topk"))
    floor = min(numbers["ms"] for name, numbers in found.items() if name.startswith("products"))
    told = {"loss_ms": best, "products_ms": floor, "target_ms": None if toy else TARGET_MS, "toy": toy, "ways": found}
    told["device"] = torch.cuda.get_device_name() if on_gpu else "cpu"
    print(json.dumps(told))
    return told


if __name__ == "__main__":
    main()
