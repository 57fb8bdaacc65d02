"""Batches: which rows each optimiser step sees, how they are cut into micro-batches, and the tensors of one.

Everything here is a function of the rows, the seed and the step, so a resumed run needs to know nothing but its step,
and every rank knows the whole batch without being told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from spiritsafe.distil.loss import Targets
from spiritsafe.distil.rows import TokenRow


def steps_of(rows: int, batch_size: int, epochs: int, seed: int) -> list[list[int]]:
    """Row numbers of every optimiser step: each epoch is shuffled anew; its last batch may be smaller."""
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = list(range(rows))
        Random(f"{seed}/{epoch}").shuffle(order)
        steps += [order[start : start + batch_size] for start in range(0, rows, batch_size)]
    return steps


def micro_batches(rows: Sequence[TokenRow], max_tokens: int) -> list[list[TokenRow]]:
    """`rows` by length, the longest first, in groups of at most `max_tokens` tokens with padding, at least one row."""
    groups: list[list[TokenRow]] = []
    for row in sorted(rows, key=lambda row: len(row.ids), reverse=True):
        if groups and (len(groups[-1]) + 1) * len(groups[-1][0].ids) <= max_tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def share_of(rows: Sequence[TokenRow], rank: int, world: int) -> list[TokenRow]:
    """The rows of a batch that `rank` of `world` works on: every world-th by length, so that shares weigh the same."""
    return sorted(rows, key=lambda row: len(row.ids), reverse=True)[rank::world]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The tensors of one micro-batch.

    Attributes:
        ids_B_L: right-padded ids.
        at_N: where in the flattened (B*L) the N supervised tokens are predicted: one before each.
        targets: what is wanted there.
        teacher_ids_B_L: what a local teacher reads, where there is one.
        teacher_at_N: where in it the same tokens are predicted.
        tokens: ids that are not padding.
    """

    ids_B_L: Tensor
    at_N: Tensor
    targets: Targets
    teacher_ids_B_L: Tensor | None
    teacher_at_N: Tensor | None
    tokens: int


def collate(rows: Sequence[TokenRow], pad_id: int, device: torch.device | str = "cpu") -> MicroBatch:
    """The tensors of `rows`. `pad_id` may be any id: what is supervised is known by position, never by id."""
    ids_B_L, at_N = _padded([(row.ids, row.start) for row in rows], pad_id, device)
    labels_N = torch.from_numpy(np.concatenate([row.ids[row.start :] for row in rows]).astype(np.int64))
    heard = [(row.teacher_ids, row.teacher_start) for row in rows if row.teacher_ids is not None]
    teacher_ids_B_L, teacher_at_N = _padded(heard, pad_id, device) if len(heard) == len(rows) else (None, None)
    top_ids_N_K, top_probs_N_K = _top(rows, device)
    targets = Targets(labels_N.to(device), top_ids_N_K, top_probs_N_K)
    return MicroBatch(ids_B_L, at_N, targets, teacher_ids_B_L, teacher_at_N, sum(len(row.ids) for row in rows))


def _padded(parts: Sequence[tuple[np.ndarray, int]], pad_id: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    longest = max(len(ids) for ids, _ in parts)
    ids_B_L = np.full((len(parts), longest), pad_id, np.int64)
    at: list[np.ndarray] = []
    for number, (ids, start) in enumerate(parts):
        ids_B_L[number, : len(ids)] = ids
        at.append(np.arange(start, len(ids)) - 1 + number * longest)
    return torch.from_numpy(ids_B_L).to(device), torch.from_numpy(np.concatenate(at)).to(device)


def _top(rows: Sequence[TokenRow], device: torch.device | str) -> tuple[Tensor | None, Tensor | None]:
    """Ids and probabilities of all rows, as wide as the widest; a row without any holds its own tokens for certain."""
    widest = max((row.top.ids_S_K.shape[1] for row in rows if row.top is not None), default=0)
    if not widest:
        widest = 1
    total = sum(row.supervised for row in rows)
    ids_N_K, probs_N_K = np.full((total, widest), -1, np.int64), np.zeros((total, widest), np.float32)
    start = 0
    for row in rows:
        part = slice(start, start + row.supervised)
        if row.top is None:
            ids_N_K[part, 0], probs_N_K[part, 0] = row.ids[row.start :], 1
        else:
            width = row.top.ids_S_K.shape[1]
            ids_N_K[part, :width], probs_N_K[part, :width] = row.top.ids_S_K, row.top.probs_S_K
        start = part.stop
    return torch.from_numpy(ids_N_K).to(device), torch.from_numpy(probs_N_K).to(device)
