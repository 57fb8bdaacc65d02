"""Semantic cells: a number for each prompt, equal for prompts that mean about the same.

The signs of projections onto random directions (Charikar 2002): two embeddings agree in each with probability
1 − angle/π. Counting distinct cells (`sketches`) gives coverage growth; equal cells at equal times link accounts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError
from spiritsafe.stats.coverage import directions
from spiritsafe.stats.fixed_point import fixed_point


def cells(
    x_nd: NDArray[np.floating], *, bits: int = 12, seed: int = 1, centre_d: NDArray[np.floating] | None = None
) -> NDArray[np.int64]:
    """The cell of each embedding, a number below 2**bits; whole-number arithmetic, so no batch changes it.

    Args:
        x_nd: embeddings, a row each.
        bits: how fine; each bit halves a cell.
        seed: of the directions.
        centre_d: the mean of ordinary embeddings; without it, cells around the common direction are overfull.

    Raises:
        InputError: the embeddings are not finite rows of length 1, or bits are not from 2 to 62.
    """
    if not 2 <= bits <= 62:
        raise InputError(f"got {bits} bits, wanted 2 to 62")
    whole = fixed_point(x_nd)
    planes = directions(x_nd.shape[1], bits, seed)
    middle = np.zeros(bits) if centre_d is None else (fixed_point(centre_d[None]) @ planes)[0]
    return ((whole @ planes) > middle).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
