"""Made-up embeddings: unit vectors around topics."""

import numpy as np
from numpy.typing import NDArray

DIMS = 32


def cloud(count: int, topics: list[int], seed: int, wide: float = 0.5) -> NDArray[np.float32]:
    """`count` unit vectors, each near one of the numbered topics, all with a direction in common."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((64, DIMS))
    rows = centres[rng.choice(topics, count)] + wide * rng.standard_normal((count, DIMS)) + 0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
