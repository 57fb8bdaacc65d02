"""Fixtures for every test: an event loop whose clock jumps, so that waiting is tested without waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code. The same examples every time, so that a
# change is judged by what it changes;  pytest --hypothesis-profile=explore  looks at others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("spiritsafe", settings.get_profile("explore"), derandomize=True)
settings.load_profile("spiritsafe")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for no timer: where the loop would sleep, the clock jumps instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # With no timer pending only another thread (a commit) or a socket can go on: then really wait.
        ready = super().select(10.0 if timeout is None else 0.0)
        if not ready and timeout:
            ready = super().select(0.002)  # a thread that is about to answer goes before the clock
            self.now_s += 0.0 if ready else timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


@pytest.fixture
def in_virtual_time() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a loop whose clock jumps over every wait; `loop.time()` starts at 1000 s."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
            return runner.run(coroutine)

    return run
