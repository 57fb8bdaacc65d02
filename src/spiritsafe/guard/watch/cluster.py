"""Shards on a Ray cluster: each an actor of its own, on whichever node has a processor free.

    with cluster("10.0.0.1:6379", reference) as crowd:
        Watch(reference, levels, crowd)

Exchanges travel to the nodes, so these must be as trusted as the log. Every node needs the same release with the
extras `detect` and `scale`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from spiritsafe.errors import InputError, MissingExtra, SpiritSafeError, StoreError, shown
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.shards import Answer, Ask, Report, Shard, Shards

PATIENCE_S = 5.0
"""How long the head of a cluster may take to answer."""

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""A shard has one processor, and threads would only wait for one another."""


@contextmanager
def cluster(address: str, reference: Reference, shards: int = 0) -> Iterator[Shards]:
    """Accounts kept by shards on the Ray cluster at `address`, host:port of its head.

    Args:
        address: as `ray start --head` says it.
        reference: what is ordinary.
        shards: how many; 0 for as many as the cluster has processors.

    Raises:
        InputError: the address is none, nobody is there, or the cluster has fewer processors than shards are wanted.
        MissingExtra: Ray is not installed.
    """
    ray = _ray()
    _reach(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"no Ray cluster is reached at {shown(address)} ({shown(said, 160)}); start one") from None
    try:
        have = max(1, int(ray.cluster_resources().get("CPU", 0)))
        count = shards or have
        if not 1 <= count <= have:
            raise InputError(f"got {count} shards, wanted 1 to {have}: the cluster has so many processors; start more")
        held = ray.put(reference)
        actor = ray.remote(Shard).options(
            num_cpus=1, scheduling_strategy="SPREAD", runtime_env={"env_vars": _ENVIRONMENT}
        )
        yield Shards(reference, [_ask(ray, actor.remote(held)) for _ in range(count)])
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        # Imported here: it takes a second, and only who has a cluster wants it.
        import ray
    except ImportError:
        raise MissingExtra.of("a replay on a Ray cluster", "scale") from None
    return ray


def _reach(address: str) -> None:
    """Find out whether anybody is there: Ray itself would try for minutes.

    Raises:
        InputError: nobody is, or the address is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(
            f"got Ray address {shown(address)}, wanted host:port; give the one that `ray start --head` says"
        )
    try:
        socket.create_connection((host, int(port)), PATIENCE_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster is reached at {shown(address)} ({error}); start one with `ray start --head`"
        ) from None


def _ask(ray: Any, shard: Any) -> Ask:
    def ask(lines: bytes, models_at: Mapping[int, float]) -> Answer:
        return partial(_answer, ray, shard.epoch.remote(lines, models_at))

    return ask


def _answer(ray: Any, under_way: Any) -> Report:
    """A shard's report.

    Raises:
        SpiritSafeError: it failed as the watch of one process would have.
        StoreError: it is gone.
    """
    try:
        report: Report = ray.get(under_way)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, SpiritSafeError):
            raise cause from None
        first = str(error).strip().splitlines()[-1]
        raise StoreError(f"a shard of the replay was lost ({shown(first, 160)}); start the replay again") from None
    return report
