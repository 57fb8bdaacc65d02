"""What the watch tells its gateway: alarms as lines, and the numbers that /metrics and compaction go by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.guard.log.logged import write
from tests.guard.watch.test_live import record
from tests.guard.watch.worlds import little_reference, small_world

from spiritsafe.errors import InputError
from spiritsafe.guard.gateway.counters import Counters
from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.gateway.watching import NUMBERS, SCOPES, watch_numbers
from spiritsafe.guard.settings import Settings, WatchSettings
from spiritsafe.guard.watch.accounts import EPOCH_S
from spiritsafe.guard.watch.beside import CLOCK_S, live_of, step
from spiritsafe.guard.watch.live import GRACE_S, Live


def settings(folder: Path, watch: WatchSettings) -> Settings:
    return Settings("127.0.0.1", 0, "127.0.0.1", 0, 1, str(folder), "", (), watch=watch)


def test_its_numbers_add_up_and_its_alarms_are_lines(tmp_path: Path) -> None:
    world, folder = small_world(), GuardFolder(tmp_path)
    folder.make()
    write(folder.log, [record(one) for one in world.watched])
    live, counters, lines = Live(tmp_path, world.reference), Counters(folder.watch, 0, NUMBERS), list[str]()

    last = world.watched[-1].at // EPOCH_S * EPOCH_S
    step(live, counters, last + GRACE_S, lines.append)
    told = watch_numbers(folder.watch)
    in_last = sum(one.at >= last for one in world.watched)
    assert (told["exchanges"], told["waiting"]) == (len(world.watched) - in_last, in_last)
    # What was written in the last ten minutes is read and not weighed yet.
    assert (told["read_ms"], told["done_ms"]) == ((last + GRACE_S) * 1000, last * 1000)

    now_s = last + EPOCH_S + GRACE_S
    step(live, counters, now_s, lines.append)
    told = watch_numbers(folder.watch)
    assert (told["exchanges"], told["waiting"]) == (len(world.watched), 0)
    assert (told["read_ms"], told["done_ms"]) == (now_s * 1000, (now_s - CLOCK_S) * 1000)
    raised = (tmp_path / "alarms.jsonl").read_bytes().count(b"\n")
    assert sum(told[f"alarms_{scope}"] for scope in SCOPES) == len(lines) == raised > 0
    assert all("\n" not in line for line in lines)


def test_a_watch_that_starts_anew_weighs_its_segments_and_raises_nothing_again(tmp_path: Path) -> None:
    world, folder = small_world(), GuardFolder(tmp_path)
    folder.make()
    write(folder.log, [record(one) for one in world.watched])
    now_s = world.watched[-1].at + EPOCH_S + GRACE_S
    told = []
    for _ in range(2):
        counters, lines = Counters(folder.watch, 0, NUMBERS), list[str]()
        step(Live(tmp_path, world.reference), counters, now_s, lines.append)
        told.append((len(lines), counters.now["exchanges"], (tmp_path / "alarms.jsonl").read_bytes()))

    (first, _, alarms), again = told
    assert first > 0
    assert again == (0, len(world.watched), alarms)


def test_settings_name_the_reference_and_the_levels(tmp_path: Path) -> None:
    GuardFolder(tmp_path).make()
    little_reference().write(tmp_path / "reference")

    live = live_of(settings(tmp_path, WatchSettings(str(tmp_path / "reference"), request=0.2)), {}, print)
    assert live.waiting == {}
    with pytest.raises(InputError, match="cannot read"):
        live_of(settings(tmp_path, WatchSettings(str(tmp_path / "none"))), {}, print)


def test_it_shares_with_other_gateways_where_the_settings_say_so(tmp_path: Path) -> None:
    little_reference().write(tmp_path / "reference")
    alone = settings(tmp_path, WatchSettings(str(tmp_path / "reference")))

    with pytest.raises(InputError, match="redis"):
        live_of(replace(alone, redis_url="ftp://127.0.0.1"), {}, print)
