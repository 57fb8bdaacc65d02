"""One way of taking the loss over a large vocabulary, its time or its memory: head_loss.py WAY ROWS ROUNDS CHUNK.

Ways: `products` (the three matrix products alone), `sparse` and `sequence` (ours), `both` (products and sparse in turn,
so that their ratio is of the same minutes), `gathered` (top-k KL on logits that are held: log-softmax and gather),
`dense` (KL over the full vocabulary on logits that are held, the teacher's given).
"""

from __future__ import annotations

import json
import sys
import time

import torch
from training_job import peak_mb

from spiritsafe.distil.loss import Targets
from spiritsafe.distil.losses import LOSSES
from spiritsafe.distil.losses.linear import Head, linear_loss

WIDTH, VOCAB, TOP = 576, 151_936, 64
way, rows, rounds, chunk = sys.argv[1], *(int(one) for one in sys.argv[2:5])

torch.set_num_threads(1)
torch.manual_seed(0)
hidden = torch.randn(rows, WIDTH).requires_grad_()
weight = (torch.randn(VOCAB, WIDTH) * WIDTH**-0.5).requires_grad_()
ids = torch.randint(0, VOCAB, (rows, TOP))
probs = torch.softmax(torch.randn(rows, TOP) * 2, 1) * 0.95
targets = Targets(ids[:, 0].clone(), ids, probs)
teacher = torch.randn(rows, VOCAB) if way == "dense" else None


def products() -> float:
    with torch.no_grad():
        logits, to_hidden, to_weight = torch.empty(chunk, VOCAB), torch.empty_like(hidden), torch.zeros_like(weight)
        for start in range(0, rows, chunk):
            part = slice(start, min(rows, start + chunk))
            made = torch.mm(hidden[part], weight.T, out=logits[: part.stop - start])
            torch.mm(made, weight, out=to_hidden[part])
            to_weight.addmm_(made.T, hidden[part])
    return 0.0


def ours(name: str) -> float:
    total, _ = linear_loss(Head(hidden, weight), LOSSES.get(name), targets, chunk_rows=chunk, scale=1 / rows)
    total.backward()
    return float(total.detach())


def gathered() -> float:
    log_q = torch.log_softmax(hidden @ weight.T, 1).gather(1, ids)
    tail = torch.log1p(-log_q.exp().sum(1).clamp(max=1 - 1e-6))
    p_tail = 1 - probs.sum(1)
    total = ((probs * (probs.log() - log_q)).sum(1) + p_tail * (p_tail.log() - tail)).sum() / rows
    total.backward()
    return float(total.detach())


def dense() -> float:
    assert teacher is not None
    total = torch.nn.functional.kl_div(
        torch.log_softmax(hidden @ weight.T, 1), torch.log_softmax(teacher, 1), log_target=True, reduction="batchmean"
    )
    total.backward()
    return float(total.detach())


WAYS = {
    "products": products,
    "sparse": lambda: ours("topk_forward_kl"),
    "sequence": lambda: ours("sequence"),
    "gathered": gathered,
    "dense": dense,
}
measured = ["products", "sparse", "sequence"] if way == "both" else [way]
cpu_s: dict[str, list[float]] = {name: [] for name in measured}
loss = 0.0
for _ in range(rounds):
    for name in measured:
        hidden.grad = weight.grad = None
        began = time.process_time()
        loss = WAYS[name]()
        cpu_s[name].append(round(time.process_time() - began, 3))
print(json.dumps({"cpu_s": cpu_s, "loss": loss, "peak_mb": peak_mb()}))
