"""Optim: AdamW with weight decay on matrices only, and a learning rate that warms up, then falls in a line to zero."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from spiritsafe.distil.recipe import Train


def adamw(parameters: Iterable[torch.nn.Parameter], settings: Train) -> torch.optim.AdamW:
    """The optimiser: decoupled weight decay (Loshchilov and Hutter 2019), none on norms and biases, fused kernel."""
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def learning_rate_at(step: int, steps: int, settings: Train) -> float:
    """The rate of `step` (from 0) of `steps`: a linear rise over `warmup_share`, then a linear fall to zero."""
    warmup = round(steps * settings.warmup_share)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    return settings.learning_rate * (steps - step) / (steps - warmup)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
