"""A replay on a Ray cluster of two nodes on this machine: the alarms of one process, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.guard.watch.test_logs import line
from tests.guard.watch.worlds import small_world

from spiritsafe.cli.guard_detect import replay
from spiritsafe.errors import InputError, StoreError
from spiritsafe.guard.watch.cluster import cluster
from spiritsafe.guard.watch.epochs import epochs

ray = pytest.importorskip("ray", reason="NOT TESTED: no ray here; pip install 'spiritsafe[scale]'")
ONE = {"num_cpus": 1, "object_store_memory": 100_000_000}
"""A node with one processor: two shards cannot both be on it."""


@pytest.fixture
def nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, connect=False, head_node_args=ONE | {"include_dashboard": False})
    try:
        made.add_node(**ONE)
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


@pytest.mark.slow
def test_two_nodes_raise_the_alarms_of_one_process(nodes: Any, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(map(line, small_world().watched)))
    small_world().reference.write(tmp_path / "reference")
    for out, address in (("alone", ""), ("shared", nodes.address)):
        replay(
            tmp_path / "log.jsonl",
            reference=tmp_path / "reference",
            out=tmp_path / out,
            account_level=0.1,
            ray=address,
            shards=2 if address else 0,
        )

    alarms = (tmp_path / "alone" / "alarms.jsonl").read_bytes()
    assert b'"scope":"campaign"' in alarms
    assert b'"scope":"account"' in alarms
    assert (tmp_path / "shared" / "alarms.jsonl").read_bytes() == alarms
    with (
        pytest.raises(InputError, match="got 3 shards, wanted 1 to 2"),
        cluster(nodes.address, small_world().reference, 3),
    ):
        pass


@pytest.mark.slow
def test_a_node_that_goes_ends_the_replay_and_is_told(nodes: Any) -> None:
    first, second, *_ = (held for _, held in epochs(small_world().watched))
    with cluster(nodes.address, small_world().reference) as crowd:
        assert crowd.epoch(first).exchanges == len(first)
        nodes.remove_node(nodes.list_all_nodes()[-1])
        with pytest.raises(StoreError, match="a shard of the replay was lost"):
            crowd.epoch(second)


@pytest.mark.parametrize("address", ["", "127.0.0.1", "ray://", "127.0.0.1:", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="wanted host:port"), cluster(address, small_world().reference):
        pass


def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(InputError, match="no Ray cluster is reached"), cluster("127.0.0.1:1", small_world().reference):
        pass


def test_shards_need_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(line(small_world().watched[0]))
    small_world().reference.write(tmp_path / "reference")
    with pytest.raises(InputError, match="wanted --ray HOST:PORT"):
        replay(tmp_path / "log.jsonl", reference=tmp_path / "reference", out=tmp_path / "out", shards=2)
