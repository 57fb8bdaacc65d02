"""Checkpoint: all that an interrupted training needs to go on as if nothing had happened.

Weights, optimiser state and the number of steps done. Data order and dropout are functions of seed and step, so they
need no state. The file is replaced whole or not at all, and it carries the fingerprint of the run it belongs to: a
checkpoint of other rows or settings is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from spiritsafe.errors import StoreError, shown
from spiritsafe.exchanges.atomic import replacing


@dataclass(slots=True)
class Done:
    """How far training is.

    Attributes:
        steps: optimiser steps done.
        seconds: wall time they took, all sittings together.
        cpu_s: CPU time of this process for them.
        losses: mean loss of each step, in nats a supervised token.
    """

    steps: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    losses: list[float] = field(default_factory=list)


def save(path: Path, fingerprint: str, done: Done, model: Any, optimizer: torch.optim.Optimizer) -> None:
    """Write the state to `path`.

    Raises:
        StoreError: the disk did not take it; the checkpoint before it is still there.
    """
    state = {
        "fingerprint": fingerprint,
        "steps": done.steps,
        "seconds": done.seconds,
        "cpu_s": done.cpu_s,
        "losses": done.losses,
        "weights": _learned(model),
        "optimizer": optimizer.state_dict(),
    }
    with replacing(path) as file:
        torch.save(state, file)


def restore(path: Path, fingerprint: str, model: Any, optimizer: torch.optim.Optimizer) -> Done:
    """Put the state at `path` into model and optimiser, if it is there and of this run; returns how far it was.

    Raises:
        StoreError: the file is damaged.
    """
    if not path.exists():
        return Done()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds for a file that is not what it wrote
        raise StoreError(
            f"checkpoint {shown(str(path))} cannot be read ({type(error).__name__}); delete it to train from the start"
        ) from None
    if state["fingerprint"] != fingerprint:
        return Done()
    weights = _learned(model)
    with torch.no_grad():
        for name, saved in state["weights"].items():
            weights[name].copy_(saved)
    optimizer.load_state_dict(state["optimizer"])
    return Done(state["steps"], state["seconds"], state["cpu_s"], state["losses"])


def _learned(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
