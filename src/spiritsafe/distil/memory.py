"""Memory: what training will need, estimated before it starts, and what there is.

Estimated for decoder-only transformers from their configuration; measured peaks of Llama shapes from 7 M to 64 M
weights, full and LoRA, were within 20 % of it. Limits: no account of mixtures of experts or of gradient checkpointing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spiritsafe.distil.recipe import Train

PROCESS_BYTES = 450e6
"""Python, torch and transformers with nothing loaded (367 MB measured), and their workspaces."""

MARGIN = 1.15
"""What the allocator and short-lived copies add: measured peaks were 0 to 20 % above the plain sum."""

LORA_ACTIVATIONS = 1.5
"""Adapters keep their inputs and their narrow products as well."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that training holds at its peak.

    Attributes:
        weights: student and, for losses over its weights, teacher.
        learning: gradients and both moments of AdamW, of the weights that learn.
        head: a chunk of logits, and the head's and the embedding's gradient on their way.
        activations: what one micro-batch keeps for the backward pass.
    """

    weights: float
    learning: float
    head: float
    activations: float

    @property
    def total(self) -> float:
        """All together, with the process itself and a margin."""
        return PROCESS_BYTES + MARGIN * (self.weights + self.learning + self.head + self.activations)


def memory_need(
    model: Any, settings: Train, *, longest: int, vocab: int, teacher: Any = None, half: bool = False
) -> MemoryNeed:
    """What training `model` (before any adapters are on it) will hold.

    Args:
        model: a causal model of transformers.
        settings: the recipe's train section.
        longest: tokens of the longest row.
        vocab: ids the tokenizer has.
        teacher: the local teacher, if the loss reads its weights.
        half: whether activations are kept in bfloat16.
    """
    config = model.config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * width
    weights = sum(parameter.numel() for parameter in model.parameters())
    others = 0 if teacher is None else sum(parameter.numel() for parameter in teacher.parameters())
    learned = weights if settings.lora is None else _lora_weights(model, settings.lora.rank)
    tokens = longest * max(1, min(settings.batch_size, settings.micro_batch_tokens // longest))
    chunks = 1 if teacher is None else 4
    on_their_way = 0 if settings.lora is not None else 2 * vocab * width
    kept = tokens * layers * (8 * width + 4 * inner) * (1.0 if settings.lora is None else LORA_ACTIVATIONS)
    return MemoryNeed(
        weights=4.0 * (weights + others),
        learning=12.0 * learned,
        head=4.0 * (chunks * settings.vocab_chunk_rows * vocab + on_their_way),
        activations=(2.0 if half else 4.0) * kept,
    )


def _lora_weights(model: Any, rank: int) -> int:
    """Weights of adapters of `rank` on every matrix: an upper bound where fewer are adapted."""
    return sum(rank * sum(parameter.shape) for parameter in model.parameters() if parameter.ndim == 2)


def available_bytes() -> float | None:
    """Memory that is free for training: of the GPU where there is one, else of the machine or its control group."""
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0])
    free = [one for one in (_machine_free(), _group_free()) if one is not None]
    return min(free) if free else None


def _machine_free(path: Path = Path("/proc/meminfo")) -> float | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _group_free(folder: Path = Path("/sys/fs/cgroup")) -> float | None:
    """What the control group's limit leaves, cached file pages not counted as used."""
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = float((folder / "memory.current").read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    cached = next((float(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")), 0.0)
    return float(limit) - used + cached
