from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.drills.conftest import scenario

from spiritsafe.drills.alarms import Alarm, read_alarms
from spiritsafe.drills.key import ATTACKER, AnswerKey, Truth
from spiritsafe.drills.play_log import LOG, OWN, play_into_log, write_key
from spiritsafe.drills.results import Results
from spiritsafe.drills.run import ASKED
from spiritsafe.drills.score_table import score_lines
from spiritsafe.errors import InputError

ALARM = {"scope": "account", "subject": "a", "accounts": ["a"], "at": 1.0}


def written(path: Path, *lines: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((line if isinstance(line, bytes) else orjson.dumps(line)) + b"\n" for line in lines))
    return path


def test_alarms_come_in_the_order_of_time_with_what_could_not_fire(tmp_path: Path) -> None:
    more = {"exchanges_seen": 3, "e_value": 50.0, "evidence": [{"detector": "template", "score": 1.0}], "void": ["mmd"]}
    path = written(tmp_path / "alarms.jsonl", {**ALARM, **more, "at": 9}, ALARM, b"")

    first, second = read_alarms(path)
    assert (first.at, second.at, second.void_names) == (1.0, 9.0, ("mmd",))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{broken", "not JSON"),
        (b"[1]", "no alarm"),
        ({**ALARM, "scope": "planet"}, "scope"),
        ({**ALARM, "accounts": []}, "accounts"),
        ({**ALARM, "accounts": "a"}, "accounts"),
        ({**ALARM, "accounts": [7]}, "accounts"),
        ({**ALARM, "at": None}, "at"),
        ({**ALARM, "at": "2026-06-01"}, "at"),
        ({"scope": "account"}, "subject"),
    ],
)
def test_a_line_that_is_no_alarm_is_an_error_with_its_number(tmp_path: Path, line: Any, says: str) -> None:
    path = written(tmp_path / "alarms.jsonl", ALARM, line)

    with pytest.raises(InputError, match=r"alarms\.jsonl:2: ") as caught:
        read_alarms(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_log_is_scored_against_its_own_key(tmp_path: Path) -> None:
    campaign = {"name": "a", "preset": "one_template", "scale": 0.01, "day": 0.1}
    played = scenario(days=0.5, people={"ordinary": 15}, campaign=[campaign])
    done = play_into_log(played, tmp_path)
    (accounts,) = done.key.campaigns().values()
    results = Results.of(tmp_path)
    times = [one.at for one in results.asked() if one.account == accounts[0]]
    alarms = [Alarm(scope="account", subject=accounts[0], accounts=[accounts[0]], at=times[4])]
    score = results.score(alarms)

    assert score["campaign"]["a"]["own"] == done.own
    assert score["campaign"]["a"]["exchanges_until_caught"] == 5
    assert sum(row["exchanges"] for row in score["class"].values()) == done.exchanges - done.own
    assert any(line.startswith("a  ") for line in score_lines(score))
    through = [is_through for _, is_through in results.queries("a", alarms)]
    assert sum(through) == score["campaign"]["a"]["answered_until_caught"]
    assert len(through) == done.own


def live(tmp_path: Path, *asked: dict[str, Any]) -> Results:
    key = AnswerKey({"a": Truth(ATTACKER, "north", 0, 3, 3), "b": Truth("ordinary", "", 0, 1, 0)})
    write_key(scenario(), key, tmp_path)
    own = [
        {"id": row["id"], "campaign": "north", "prompt": f"ask {row['id']}"} for row in asked if row["account"] == "a"
    ]
    written(tmp_path / OWN, *own)
    written(tmp_path / ASKED, *asked)
    return Results.of(tmp_path)


def asked(name: str, at: float, real: float, account: str = "a", status: int = 200) -> dict[str, Any]:
    return {"id": name, "account": account, "at": at, "real": real, "status": status}


def test_real_times_of_alarms_are_taken_back_into_the_scenarios_time(tmp_path: Path) -> None:
    results = live(
        tmp_path,
        asked("1", 1000.0, 50.0),
        asked("3", 3000.0, 52.0, "b"),
        asked("2", 2000.0, 51.0),
        asked("4", 9000.0, 53.0, status=403),
    )
    alarms = [Alarm(scope="account", subject="a", accounts=["a"], at=51.5)]

    assert [one.at for one in results.in_simulated_time(alarms)] == [2000.0]
    row = results.score(alarms)["campaign"]["north"]
    assert (row["exchanges_until_noticed"], row["seconds_until_noticed"]) == (2, 1000.0)
    assert (row["answered"], row["answered_until_caught"]) == (2, 2)
    assert list(results.queries("north", [])) == [("ask 1", True), ("ask 2", True), ("ask 4", False)]


def test_what_is_no_drill_or_two_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a log nor a run"):
        Results.of(tmp_path)
    live(tmp_path, asked("1", 1.0, 1.0))
    written(tmp_path / LOG, {})
    with pytest.raises(InputError, match="both a log and a run"):
        Results.of(tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [(b"{", "not JSON"), (b"3", "JSON object"), ({"id": "1", "at": 1.0}, "account"), (asked("1", None, 1.0), "at")],  # type: ignore[arg-type]
)
def test_a_damaged_line_of_a_drill_is_an_error_with_its_number(tmp_path: Path, line: Any, says: str) -> None:
    results = live(tmp_path, asked("1", 1.0, 1.0))
    written(tmp_path / ASKED, asked("1", 1.0, 1.0), line)

    with pytest.raises(InputError, match=r"asked\.jsonl:2: ") as caught:
        list(results.asked())
    assert says in str(caught.value)


def test_an_unknown_campaign_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wanted one of north"):
        list(live(tmp_path, asked("1", 1.0, 1.0)).queries("south", []))
