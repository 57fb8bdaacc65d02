"""The watch beside a gateway: from records in segments to evidence that policy decides from."""

from __future__ import annotations

from pathlib import Path

import orjson
from tests.guard.log.logged import received, whole, write
from tests.guard.watch.worlds import small_world

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.log.reading import exchange_from
from spiritsafe.guard.log.tail import Tail
from spiritsafe.guard.policy import Policy, Rule, Segment
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.watch.accounts import EPOCH_S
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.live import GRACE_S, Live, evidence
from spiritsafe.guard.watch.watch import Watch

POLICY = Policy("enforce", {"ordinary": Segment()}, (Rule(1_000.0, "block", detectors=("campaign",)),))


def record(exchange: Exchange) -> bytes:
    """What a gateway writes of an exchange over the chat dialect."""
    messages = [{"role": one.role, "content": one.content} for one in exchange.messages]
    return whole(
        exchange.id,
        {"model": "big-1", "messages": messages},
        at=exchange.at,
        account=exchange.account,
        segment=exchange.segment,
        client=dict(exchange.client),
    )


def test_it_raises_what_a_replay_raises_and_policy_decides(tmp_path: Path) -> None:
    world, folder = small_world(), GuardFolder(tmp_path)
    folder.make()
    with Rulings.open(tmp_path) as rulings:
        rulings.add_policy("enforce", POLICY)
    live = Live(tmp_path, world.reference)
    alarms = []
    for place in range(0, len(world.watched), 500):
        some = world.watched[place : place + 500]
        write(folder.log, [record(one) for one in some])
        alarms += live.step(some[-1].at)
    alarms += live.step(world.watched[-1].at + EPOCH_S + GRACE_S)

    in_log = [exchange_from(one) for one in Tail(folder.segments).read(1 << 30)]
    replayed = Watch(world.reference)
    expected = [alarm for one in epochs(sorted(in_log, key=lambda one: one.at)) for alarm in replayed.epoch(*one)]
    assert [alarm.line() for alarm in alarms] == [alarm.line() for alarm in expected]
    lines = (tmp_path / "alarms.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["subject"] for line in lines] == [alarm.subject for alarm in alarms]
    with Rulings.open(tmp_path, now_s=lambda: world.watched[-1].at) as rulings:
        blocked = {one.account for one in rulings.decisions() if one.action == "block" and one.acts}
    assert len(blocked & world.campaign) >= 0.9 * len(world.campaign)
    assert len(blocked - world.campaign) <= 1


def test_an_epoch_waits_for_its_last_exchanges(tmp_path: Path) -> None:
    world, folder = small_world(), GuardFolder(tmp_path)
    folder.make()
    write(folder.log, [record(one) for one in world.watched[:5]], [received("open", at=world.watched[0].at)])
    live = Live(tmp_path, world.reference)
    end = (world.watched[0].at // EPOCH_S + 1) * EPOCH_S

    live.step(end + GRACE_S - 1)
    assert live.watch.seen == 0
    live.step(end + GRACE_S)
    assert live.watch.seen == sum(one.at < end for one in world.watched[:5])


def test_evidence_names_the_campaign_of_each_account() -> None:
    world = small_world()
    alarms = [one for one in Watch(world.reference).take(world.watched) if one.scope == "campaign"]

    found = evidence(alarms)
    assert {one.account for one in found} == {name for alarm in alarms for name in alarm.accounts}
    assert {one.campaign for one in found} == {alarm.subject for alarm in alarms}
    assert all(one.detector == "campaign" and one.level >= 1 and one.reasons for one in found)
