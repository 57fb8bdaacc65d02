"""Ranks: one process a device, started by `torchrun`, each working on a share of every batch.

Every rank holds all rows and draws the same batches, so the number of supervised tokens of a batch is known everywhere
without asking. Gradients are sums already divided by it; adding them up over the ranks gives the gradient of the batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which process this is (`rank`) of how many (`world`), and which device of its machine it has (`local`)."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The rank's GPU where there is one, else the CPU."""
        return torch.device("cuda", self.local) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def joined() -> Iterator[Ranks]:
    """This process's place, from the variables `torchrun` sets; alone without them."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    if dist.is_initialized():
        yield _ranks(world)
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield _ranks(world)
    finally:
        dist.destroy_process_group()


def _ranks(world: int) -> Ranks:
    return Ranks(dist.get_rank(), world, int(os.environ.get("LOCAL_RANK", "0")))


def add_gradients(parameters: Iterable[torch.nn.Parameter], ranks: Ranks) -> None:
    """Replace every gradient by its sum over the ranks; a rank that had no rows adds zeros."""
    if ranks.world == 1:
        return
    waiting = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        waiting.append(dist.all_reduce(parameter.grad, async_op=True))
    for one in waiting:
        one.wait()


def total_of(value: float, ranks: Ranks) -> float:
    """`value` added up over the ranks."""
    if ranks.world == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64, device=ranks.device if torch.cuda.is_available() else "cpu")
    dist.all_reduce(total)
    return float(total)


def wait_for_all(ranks: Ranks) -> None:
    """Return when every rank has come this far."""
    if ranks.world > 1:
        dist.barrier()
