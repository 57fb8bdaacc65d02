"""A watch over a small world: it finds the campaign and nobody else, and says the same however the log was shuffled."""

from dataclasses import replace
from pathlib import Path
from random import Random

import orjson
import pytest
from tests.guard.watch.test_logs import line, logs
from tests.guard.watch.worlds import little_log, little_reference, small_world

from spiritsafe.cli.guard_detect import calibrate, replay
from spiritsafe.drills.alarms import read_alarms
from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.watch.alarms import Alarm
from spiritsafe.guard.watch.epochs import epochs
from spiritsafe.guard.watch.reference import Ranks, Reference
from spiritsafe.guard.watch.replay import replay as replay_logs
from spiritsafe.guard.watch.watch import Levels, Watch

LEVELS = Levels(request=0.02, account=0.02)
"""That a small world's reference can promise."""

ALARM_KEYS = {"scope", "subject", "accounts", "at", "exchanges_seen", "e_value", "evidence", "void"}


@pytest.fixture(scope="module")
def found() -> tuple[Watch, list[Alarm]]:
    world = small_world()
    watch = Watch(world.reference, LEVELS)
    return watch, list(watch.take(world.watched))


def named(alarms: list[Alarm]) -> list[str]:
    return [name for one in alarms if one.scope == "campaign" for name in one.accounts]


def test_the_campaign_is_found_and_only_its_accounts_are_named(found: tuple[Watch, list[Alarm]]) -> None:
    watch, alarms = found
    accused = named(alarms)

    assert len(accused) == len(set(accused))
    assert len(small_world().campaign & set(accused)) >= 25
    assert len(set(accused) - small_world().campaign) <= 1
    assert len(watch.campaigns) == 1
    assert set(accused) == set(watch.campaigns[0].accounts)


def test_an_alarm_carries_what_a_person_needs(found: tuple[Watch, list[Alarm]]) -> None:
    _, alarms = found
    ids = {one.id for one in small_world().watched}
    for alarm in alarms:
        row = orjson.loads(alarm.line())
        assert row.keys() == ALARM_KEYS
        assert row["scope"] in ("request", "account", "campaign")
        assert row["accounts"]
        assert row["exchanges_seen"] >= 1
        assert row["e_value"] >= 1
        assert row["evidence"]
        for reason in row["evidence"]:
            assert reason.keys() == {"detector", "score", "reason", "exchanges"}
            assert reason["reason"]
            assert "\n" not in reason["reason"]
            assert set(reason["exchanges"]) <= ids
    campaign = next(one for one in alarms if one.scope == "campaign")
    assert campaign.e_value >= 1 / LEVELS.campaign
    assert {one.detector for one in campaign.evidence} >= {"alike", "harvest", "lockstep"}
    assert [one.at for one in alarms] == sorted(one.at for one in alarms)


def test_no_evidence_holds_a_customers_words(found: tuple[Watch, list[Alarm]]) -> None:
    _, alarms = found
    said = b" ".join(one.line() for one in alarms).decode()
    prompts = {one.messages[-1].content for one in small_world().watched if len(one.messages[-1].content) > 12}

    assert not [prompt for prompt in prompts if prompt in said]


def test_no_alarm_depends_on_the_order_or_repeats_within_an_epoch(found: tuple[Watch, list[Alarm]]) -> None:
    random, mixed = Random(5), list[Exchange]()
    for _, held in epochs(small_world().watched):
        own = held + random.choices(held, k=len(held) // 3)
        random.shuffle(own)
        mixed += own

    assert [one.line() for one in Watch(small_world().reference, LEVELS).take(mixed)] == [x.line() for x in found[1]]


def test_two_shuffled_files_raise_what_the_stream_raised(tmp_path: Path, found: tuple[Watch, list[Alarm]]) -> None:
    lines = [line(one) for one in small_world().watched]
    Random(6).shuffle(lines)
    told, seen = logs(tmp_path, lines[::2] + lines[1:400:2], lines[1::2]), list[int]()
    summary = replay_logs(told, small_world().reference, tmp_path / "out", LEVELS, seen.append)

    assert (tmp_path / "out" / "alarms.jsonl").read_bytes() == b"".join(one.line() for one in found[1])
    assert summary["exchanges"] == len(lines) == seen[-1]
    assert summary["duplicates"] == 200
    assert summary["accounts_named"]["campaign"] == len(named(found[1]))
    assert summary["campaigns"][0]["accounts"] == len(named(found[1]))


def test_accounts_under_a_contract_to_learn_are_never_named() -> None:
    world = small_world()
    contracted = dict(zip(sorted(world.campaign), ["licensed"] * 8 + ["internal"] * 2, strict=False))
    said = [replace(one, segment=contracted.get(one.account, one.segment)) for one in world.watched]
    accused = named(list(Watch(world.reference, LEVELS).take(said)))

    assert not set(accused) & set(contracted)
    assert len(set(accused) & world.campaign) >= 16


def test_ordinary_accounts_alone_are_no_campaign() -> None:
    world = small_world()
    watch = Watch(world.reference)
    alarms = list(watch.take([one for one in world.watched if one.account not in world.campaign]))

    assert not [one for one in alarms if one.scope == "campaign"]
    assert not watch.campaigns


def test_what_cannot_be_promised_is_not_raised_and_said() -> None:
    watch = Watch(little_reference())
    alarms = list(watch.take([replace(one, segment="never seen") for one in little_log()]))

    assert not alarms
    assert any("'never seen' has 0 accounts" in one for one in watch.voids.values())


def test_levels_that_the_reference_can_promise_are_used() -> None:
    ordinary = little_reference()
    nothing = {name: Ranks.of(ranks.columns_DN.T * 0 - 1) for name, ranks in ordinary.segments.items()}
    low: Reference = replace(ordinary, segments=nothing)
    alarms = list(Watch(low, Levels(account=0.1)).take(little_log()))
    accused = [one.subject for one in alarms if one.scope == "account"]

    # Whoever scores at all is beyond a reference in which nobody does; each once.
    assert accused
    assert len(accused) == len(set(accused))
    assert all(one.e_value > 1 for one in alarms)


def test_alarms_about_accounts_wait_until_few_of_them_can_be_false() -> None:
    world = small_world()
    nothing = {name: Ranks.of(ranks.columns_DN.T[:10] * 0 - 1) for name, ranks in world.reference.segments.items()}
    low: Reference = replace(world.reference, segments=nothing)

    def named_by(account_fdr: float | None) -> list[tuple[str, float]]:
        alarms = Watch(low, Levels(account=0.1, account_fdr=account_fdr)).take(world.watched[:6_000])
        return [(one.subject, one.at) for one in alarms if one.scope == "account"]

    by_level, by_rate = dict(named_by(None)), named_by(0.9)
    # Together they are more than chance gives; none is told twice, nor before it was found, and some had to wait.
    assert 6 <= len({name for name, _ in by_rate}) == len(by_rate)
    assert {name for name, _ in by_rate} <= by_level.keys()
    assert all(at >= by_level[name] for name, at in by_rate)
    assert any(at > by_level[name] for name, at in by_rate)
    # One in a million may be false: so few accounts can never show that.
    assert not named_by(1e-6)


def test_the_commands_learn_and_find(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = len(little_log()) // 2
    for name, part in (("before", little_log()[:half]), ("after", little_log()[half:])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(map(line, part)) + b"hello\n" + line(part[0]))
    calibrate(tmp_path / "before.jsonl", out=tmp_path / "reference")
    said = capsys.readouterr()
    replay(tmp_path / "after.jsonl", reference=tmp_path / "reference", out=tmp_path / "out")
    summary = orjson.loads((tmp_path / "out" / "summary.json").read_bytes())

    assert "cannot be promised" in said.out
    assert "passed over 1 lines: 'not JSON'" in said.err or "passed over 1 lines: not JSON" in said.err
    assert read_alarms(tmp_path / "out" / "alarms.jsonl") == []
    assert summary["exchanges"] == len(little_log()) - half
    assert summary["passed_over"] == {
        "not JSON": {"lines": 1, "first": f"{tmp_path / 'after.jsonl'}:{len(little_log()) - half + 1}"}
    }
    assert summary["duplicates"] == 1
    assert summary["void"]
    assert {"accounts", "alarms", "campaigns", "levels", "reference", "state_bytes", "unordered"} <= summary.keys()


def test_the_commands_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log"):
        replay(reference=tmp_path / "reference", out=tmp_path)
    with pytest.raises(InputError, match="no log"):
        calibrate(out=tmp_path / "reference")
    (tmp_path / "log.jsonl").write_bytes(line(little_log()[0]))
    (tmp_path / "reference").write_bytes(b"hello")
    with pytest.raises(StoreError, match="no reference"):
        replay(tmp_path / "log.jsonl", reference=tmp_path / "reference", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
