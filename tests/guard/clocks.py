"""A clock for tests that count requests to a limit."""

from __future__ import annotations

import time
from collections.abc import Callable


def still() -> Callable[[], float]:
    """A clock, unix seconds, that stands five seconds into the present minute: none turns in the middle of a test."""
    stands_at = time.time() // 60 * 60 + 5
    return lambda: stands_at
