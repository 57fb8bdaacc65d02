"""Machines that share through one Redis, each a gateway in a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.guard.clocks import still
from tests.guard.gateway.gateways import ASK, OPEN, Running, gateway
from tests.guard.gateway.redises import RealRedis, real_redis

from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.gateway.book import Book
from spiritsafe.guard.gateway.following import Following
from spiritsafe.guard.gateway.sharing import Sharing, joined
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.settings import Settings
from spiritsafe.models.replies import served_in_thread

PEPPER = b"p" * 32
EVERY_S, ALIVE_S = 0.02, 0.5


@dataclass
class Machine:
    """A gateway that shares, as one of several; `said` is what it has said of that."""

    guard: Running
    folder: Path
    sharing: Sharing
    said: list[str] = field(default_factory=list)

    def status(self, key: str = "") -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return self.guard.post(ASK, headers=headers).status

    def asks(self, times: int) -> list[int]:
        return [self.status() for _ in range(times)]

    def until(self, status: int, key: str = "") -> None:
        """Return when a request is answered so."""
        for _ in range(2000):
            if self.status(key) == status:
                return
        raise AssertionError(f"never {status}")

    def hears(self, **fields: int) -> None:
        """Return when others have used so much of the first account, as far as this machine knows."""
        others = self.guard.desk.meter.others
        self.guard.until(lambda: 1 in others and all(getattr(others[1], f) == n for f, n in fields.items()))

    @property
    def is_alone(self) -> bool:
        return self.guard.desk.counters.now["redis_failing"] == 1


def limited(**limits: Any) -> Policy:
    return Policy("enforce", {**OPEN.segments, "ordinary": Segment(Limits(**limits))})


@contextmanager
def machine(
    up: str,
    folder: Path,
    redis: str,
    policy: Policy = OPEN,
    *,
    pepper: bytes = PEPPER,
    now_s: float | None = None,
    number: int = 0,
) -> Iterator[Machine]:
    """A machine with an account "acme" of its own key, in `folder`, while the block lasts; its worker `number`.

    Its clock stands still, so that no minute turns in the middle of a test.
    """
    stands_at = still()() if now_s is None else now_s
    folder.mkdir(exist_ok=True)
    (folder / "pepper").write_bytes(pepper)
    settings = Settings("127.0.0.1", 0, "127.0.0.1", 0, 1, str(folder), "", (), redis_url=redis)
    with gateway(up, folder, policy=policy) as guard:
        said: list[str] = []

        async def begin() -> tuple[Sharing, asyncio.Task[None]]:
            rulings, accounts = Rulings.open(folder), Accounts.open(folder)
            rulings.add_policy(repr(policy), policy)
            desk = guard.desk
            desk.book = Book(accounts)  # one that can be read again
            desk.now_s = lambda: stands_at
            sharing = await joined(
                settings, number, desk, desk.counters, {}, said.append, every_s=EVERY_S, alive_s=ALIVE_S
            )
            sharing.start()
            return sharing, asyncio.create_task(_follow(Following(desk, rulings), rulings, accounts))

        def run(what: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(what, guard._loop).result(20)

        sharing, following = run(begin())
        try:
            yield Machine(guard, folder, sharing, said)
        finally:
            guard.do(following.cancel)
            run(sharing.leave())


async def _follow(following: Following, rulings: Rulings, accounts: Accounts) -> None:
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            following.look()
    finally:
        rulings.close()
        accounts.close()


@contextmanager
def two(tmp_path: Path, policy: Policy = OPEN) -> Iterator[tuple[Machine, Machine, RealRedis]]:
    now_s = still()()
    with (
        served_in_thread(lambda asked: "blue") as up,
        real_redis(tmp_path / "redis") as redis,
        machine(up.base_url, tmp_path / "a", redis.url, policy, now_s=now_s) as a,
        machine(up.base_url, tmp_path / "b", redis.url, policy, now_s=now_s) as b,
    ):
        yield a, b, redis
