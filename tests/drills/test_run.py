"""A scenario played through something that answers: in the order of each actor, refusals heard, the key kept apart."""

import asyncio
from collections import defaultdict
from math import inf
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.drills.conftest import scenario

from spiritsafe.drills.acting import Ask, Reply
from spiritsafe.drills.cast import cast
from spiritsafe.drills.key import read_key
from spiritsafe.drills.play import Play
from spiritsafe.drills.play_log import KEY, OWN, SCENARIO
from spiritsafe.drills.run import ASKED, RUN, play_over
from spiritsafe.drills.scenario import Scenario
from spiritsafe.drills.sending import Sent
from spiritsafe.errors import UpstreamError

FAST = 1e9


def small(**changes: Any) -> Scenario:
    campaign = {"name": "north", "preset": "failover", "scale": 0.01, "day": 0.1, **changes}
    return scenario(days=0.6, people={"ordinary": 12, "coding_agent": 3}, campaign=[campaign])


def rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_play_taken_up_to_a_time_is_the_same_play() -> None:
    made, again = cast(small()), cast(small())
    whole, pieces = Play(made.actors, small().ends_at), Play(again.actors, small().ends_at)
    wanted, got = [], []
    while (cue := whole.take()) is not None:
        wanted.append((cue.at, cue.id))
        whole.give(cue, Reply("Yes."))
    while (until := pieces.next_at) < inf:
        while (cue := pieces.take(until)) is not None:
            assert cue.at <= until
            got.append((cue.at, cue.id))
            pieces.give(cue, Reply("Yes."))

    assert got == wanted
    assert len(got) > 100


def test_everything_is_asked_once_and_the_key_lies_apart(tmp_path: Path) -> None:
    got: list[Ask] = []

    async def answering(ask: Ask) -> Sent:
        got.append(ask)
        return Sent(200, "An answer.")

    ran = asyncio.run(play_over(small(), tmp_path, answering, speed=FAST))
    asked, own = rows(tmp_path / ASKED), rows(tmp_path / OWN)
    key = read_key(tmp_path / KEY)

    assert ran.exchanges == len(asked) == len(got) > 100
    assert len({row["id"] for row in asked}) == len(asked)
    assert ran.own == len(own) == sum(truth.own for truth in key.accounts.values()) > 20
    assert {row["id"] for row in own} <= {row["id"] for row in asked}
    assert {row["prompt"] for row in own} == {ask.messages[-1].content for ask in got if ask.campaign}
    assert orjson.loads((tmp_path / RUN).read_bytes())["statuses"] == {"200": len(asked)}
    assert orjson.loads((tmp_path / SCENARIO).read_bytes())["seed"] == 5
    assert set(asked[0]) == {"id", "account", "at", "real", "took_s", "status", "fault"}, "no word on who is what"


def test_each_actor_hears_its_answer_before_it_asks_again(tmp_path: Path) -> None:
    """Several ask at a time; but of a person with one lane of life, no second request is out beside a first."""
    out: defaultdict[str, int] = defaultdict(int)
    most: defaultdict[str, int] = defaultdict(int)

    async def answering(ask: Ask) -> Sent:
        out[ask.account] += 1
        out[""] += 1
        for name in (ask.account, ""):
            most[name] = max(most[name], out[name])
        await asyncio.sleep(0)
        out[ask.account] -= 1
        out[""] -= 1
        return Sent(200, "Yes.")

    people = scenario(days=0.6, people={"ordinary": 25})
    asyncio.run(play_over(people, tmp_path, answering, speed=FAST, most_in_flight=5))
    times: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows(tmp_path / ASKED):
        times[row["account"]].append(row["at"])

    assert 1 < most.pop("") <= 5
    assert set(most.values()) == {1}
    assert all(at == sorted(at) for at in times.values())


def test_a_campaign_fails_over_when_it_is_refused_and_people_go_away(tmp_path: Path) -> None:
    made = cast(small())
    first = [name for name, truth in made.key.accounts.items() if truth.campaign][:4]
    person = next(name for name, truth in made.key.accounts.items() if truth.kind == "coding_agent")

    async def refusing(ask: Ask) -> Sent:
        return Sent(403, "", "refused") if ask.account in (*first, person) else Sent(200, "Here.")

    asyncio.run(play_over(small(), tmp_path, refusing, speed=FAST))
    asked = rows(tmp_path / ASKED)
    by_campaign = {row["account"] for row in asked if made.key.accounts[row["account"]].campaign}

    assert sum(row["account"] == person for row in asked) <= 5
    assert by_campaign - set(first), "a fresh account took over"
    assert {row["status"] for row in asked if row["account"] in first} == {403}


@pytest.mark.parametrize("status", [500, 404, 0])
def test_trouble_is_no_refusal(tmp_path: Path, status: int) -> None:
    async def failing(ask: Ask) -> Sent:
        return Sent(status, "", "server")

    wanted = small()
    ran = asyncio.run(play_over(wanted, tmp_path, failing, speed=FAST))
    active = sum(bool(truth.campaign) and truth.exchanges > 0 for truth in ran.key.accounts.values())

    assert ran.faults["server"] == ran.exchanges
    assert active == wanted.campaign[0].played.accounts, "the reserve stays where it is"


def test_a_gateway_that_is_not_there_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    async def unreachable(ask: Ask) -> Sent:
        raise UpstreamError("cannot reach it", kind="unreachable", retryable=True)

    with pytest.raises(UpstreamError, match="cannot reach"):
        asyncio.run(play_over(small(), tmp_path, unreachable, speed=FAST))

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_answered_before_it_was_stopped_is_kept(tmp_path: Path) -> None:
    async def playing() -> None:
        count = 0

        async def answering(ask: Ask) -> Sent:
            nonlocal count
            count += 1
            if count == 40:
                task.cancel()
            return Sent(200, "Yes.")

        task = asyncio.create_task(play_over(small(), tmp_path, answering, speed=FAST))
        ran = await task
        assert not ran.is_whole
        assert 0 < ran.exchanges <= 40

    asyncio.run(playing())
    assert rows(tmp_path / ASKED)
    assert not orjson.loads((tmp_path / RUN).read_bytes())["is_whole"]


def test_nobody_in_a_scenario_is_a_run_of_nothing(tmp_path: Path) -> None:
    async def never(ask: Ask) -> Sent:
        raise AssertionError

    assert asyncio.run(play_over(scenario(), tmp_path, never, speed=FAST)).exchanges == 0
