"""Embeddings as whole numbers, so that sketches made of them are exact.

Sums of floats depend on their order, and a matrix product on how rows were put into batches. A log that is replayed in
other pieces, or on two machines, would then give other bits and, now and then, another alarm. Whole numbers below 2²⁴
pass through a float32 product without any rounding, in whatever order it adds. The price is a rounding of each
coordinate to a thousandth of the vector's length, far below what separates two prompts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError

UNIT = 1 << 10
"""What a length of 1 becomes."""

LONGEST = 1.01
"""Embeddings are unit vectors; a little more is let pass for their own rounding."""

EXACT = float(1 << 24)
"""Whole numbers up to here are exact in float32."""


def fixed_point(x_nd: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows times `UNIT`, rounded to whole numbers; still float32, for fast products.

    Args:
        x_nd: embeddings, a row each, of length at most 1 (zero rows are fine).

    Raises:
        InputError: not two-dimensional, not finite, or longer than 1.
    """
    if x_nd.ndim != 2:
        raise InputError(f"got embeddings of shape {x_nd.shape}, wanted one row an exchange")
    # One reduction finds NaN and infinity as well: neither compares as smaller.
    longest = float(np.sqrt(np.max(np.einsum("nd,nd->n", x_nd, x_nd, dtype=np.float64), initial=0.0)))
    if not longest <= LONGEST:
        raise InputError(f"got an embedding of length {longest:g}, wanted finite vectors of length 1: normalise them")
    rounded: NDArray[np.float32] = np.rint(np.asarray(x_nd, dtype=np.float32) * np.float32(UNIT))
    return rounded


def longest_row(dims: int) -> float:
    """An upper bound on the length of a row of `fixed_point`, its rounding included."""
    return float(LONGEST * UNIT + 0.5 * dims**0.5)
