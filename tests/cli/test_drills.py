"""What an operator types to have a drill: played into a log, against a real gateway on this machine, and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.guard.gateway.gateways import gateway

from spiritsafe.cli.drills_student import Queries, asking, kept_of, sorted_out, streams
from spiritsafe.cli.main import app
from spiritsafe.distil.recipe import Recipe
from spiritsafe.distil.run import RunFolder
from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.settings import ClientSettings
from spiritsafe.models.replies import Asked, Reply, served_in_thread
from spiritsafe.wire import DIALECTS
from spiritsafe.wire.base import Answer

SCENARIO = """
seed = 7
days = 0.5
[people]
ordinary = 8
labelling = { accounts = 1, rate = 0.05 }
[[campaign]]
name = "north"
preset = "failover"
scale = 0.01
day = 0.1
per_day = 60
"""

BEHIND_PROXY = ClientSettings(("127.0.0.1",), {"x-real-ip": "ip", "x-asn": "asn", "x-ja4": "ja4"})


def said(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    app([str(word) for word in words], result_action="return_value")
    return capsys.readouterr().out.splitlines()


def rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def answers(got: Asked) -> Reply:
    spoken = next(one for one in DIALECTS if got.path == f"/v1{one.path}")
    return Reply(spoken.write("large-1", Answer("It depends.")))


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return path


def test_a_drill_in_a_log_is_scored(tmp_path: Path, scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "drill"
    assert said(capsys, "drills", "log", scenario, "--out", out)[0].endswith(f"accounts in {out}/log/exchanges.jsonl")
    key = {row["account"]: row for row in rows(out / "key" / "accounts.jsonl")}
    attacker = next(name for name, row in key.items() if row["campaign"] and row["own"] > 3)
    times = [row["at"] for row in rows(out / "log" / "exchanges.jsonl") if row["account"] == attacker]
    alarm = {"scope": "account", "subject": attacker, "accounts": [attacker], "at": times[2]}
    (tmp_path / "alarms.jsonl").write_bytes(orjson.dumps(alarm))

    lines = said(capsys, "drills", "score", out, "--alarms", tmp_path / "alarms.jsonl")
    score = orjson.loads((out / "score.json").read_bytes())
    assert lines[0] == "drill (seed 7, 0.5 days, played into a log)"
    assert any("1 noticed; 1 of 4 accounts caught" in line for line in lines)
    assert score["campaign"]["north"]["exchanges_until_caught"] == 3


def test_a_drill_over_http_meets_the_gateways_own_decisions(
    tmp_path: Path, scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard, keys, out = tmp_path / "guard", tmp_path / "keys.jsonl", tmp_path / "live"
    listed = [orjson.loads(line) for line in said(capsys, "drills", "accounts", scenario)]
    assert said(capsys, "drills", "enrol", scenario, "--keys", keys, "--folder", guard)[0].startswith("17 accounts in ")
    with Accounts.open(guard) as accounts:
        known = {one.name: (one.segment, dict(one.facts)) for one in accounts.all()}
        assert known == {row["account"]: (row["segment"], row["facts"]) for row in listed}
        # of the campaign's first four, one is stopped before it begins
        said(capsys, "drills", "log", scenario, "--out", tmp_path / "foreseen")
        foreseen = rows(tmp_path / "foreseen" / "key" / "accounts.jsonl")
        stopped = next(row["account"] for row in foreseen if row["campaign"] and row["own"])
        accounts.revoke(stopped)
    with (
        served_in_thread(answers) as upstream,
        gateway(upstream.base_url, guard, client=BEHIND_PROXY) as running,
    ):
        play = ("drills", "run", scenario, "--out", out, "--gateway", running.url, "--keys", keys, "--speed", "1e9")
        said(capsys, *play)
        records: dict[str, dict[str, Any]] = {}
        for one in running.records():
            records.setdefault(one["id"], {}).update(one)

    asked, key = (
        rows(out / "run" / "asked.jsonl"),
        {row["account"]: row for row in rows(out / "key" / "accounts.jsonl")},
    )
    by_status = {status: {row["account"] for row in asked if row["status"] == status} for status in (200, 401)}
    assert by_status[401] == {stopped}
    assert {row["status"] for row in asked} == {200, 401}
    fresh = {name for name in by_status[200] if key[name]["campaign"]} - {
        row["account"] for row in foreseen if row["own"]
    }
    assert fresh, "another account took over from the one that was refused"
    answered = sorted(row["account"] for row in asked if row["status"] == 200)
    assert sorted(one["account"] for one in records.values() if one["status"] == 200) == answered
    clients = [one["client"] for one in records.values() if one["status"] == 200]
    assert all(one["ip"].startswith("10.") and one["ja4"] and one["payment"] for one in clients)
    assert not any("north" in str(one) or "campaign" in one for one in records.values()), "nothing tells"

    named = sorted(name for name in by_status[200] if key[name]["campaign"])
    alarm = {"scope": "campaign", "subject": "c", "accounts": named, "at": max(row["real"] for row in asked)}
    (tmp_path / "alarms.jsonl").write_bytes(orjson.dumps(alarm))
    said(capsys, "drills", "score", out, "--alarms", tmp_path / "alarms.jsonl")
    score = orjson.loads((out / "score.json").read_bytes())
    own = {row["id"] for row in rows(out / "key" / "own.jsonl")}
    mine = [row["status"] == 200 for row in asked if row["id"] in own]
    assert score["campaign"]["north"]["answered_share"] == sum(mine) / len(mine) < 1
    assert score["accounts"]["caught"] == len(named)


def test_a_second_enrolment_gives_new_keys_to_the_same_accounts(
    tmp_path: Path, scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard, keys = tmp_path / "guard", tmp_path / "keys.jsonl"
    said(capsys, "drills", "enrol", scenario, "--keys", keys, "--folder", guard)
    first = rows(keys)
    said(capsys, "drills", "enrol", scenario, "--keys", keys, "--folder", guard)

    with Accounts.open(guard) as accounts:
        assert accounts.find(first[0]["key"]) is None
        again = accounts.find(rows(keys)[0]["key"])
    assert again is not None
    assert again.name == first[0]["account"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"--gateway": "http://api.openai.com:80"}, "your own gateway only"),
        ({"--speed": "0"}, "wanted simulated seconds"),
        ({"--in-flight": "0"}, "wanted at least 1"),
        ({"--dialect": "morse"}, "morse"),
        ({"--keys": "nowhere.jsonl"}, "cannot read"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_is_sent(
    tmp_path: Path, scenario: Path, changes: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.jsonl"
    keys.write_text("")
    options = {"--out": tmp_path / "live", "--gateway": "http://127.0.0.1:9", "--keys": keys, **changes}

    with pytest.raises(InputError, match=says):
        said(capsys, "drills", "run", scenario, *(word for pair in options.items() for word in pair))
    assert not (tmp_path / "live").exists()


def test_a_folder_holds_one_drill(tmp_path: Path, scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "asked.jsonl").write_text("")
    with pytest.raises(InputError, match="a folder holds one drill"):
        said(capsys, "drills", "log", scenario, "--out", tmp_path)


# --- students --------------------------------------------------------------------------------------------------------

QUESTIONS = [f"What is {number} and {number}?" for number in range(12)]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    lines = (orjson.dumps({"prompt": text, "answer": text[-2]}) for text in QUESTIONS)
    (tmp_path / "prompts.jsonl").write_bytes(b"\n".join(lines))
    return Recipe.model_validate(
        {
            "name": "sums",
            "teacher": {"endpoint": "embedded", "model": "smollm2-135m"},
            "student": {"model": "smollm2-135m", "layers": [0, 29]},
            "prompts": {"kind": "jsonl", "path": tmp_path / "prompts.jsonl"},
            "evaluate": {"held_out": 4, "verifier": {"kind": "numeric"}},
        }
    )


def test_a_prompt_counts_once_and_as_let_through_if_it_ever_was() -> None:
    queries = [("a", True), ("b", False), ("a", False), ("c", False), ("b", True), ("c", False)]

    assert sorted_out(queries) == Queries(("a", "b"), ("c",))


def test_a_campaigns_student_learns_what_it_asked_and_never_what_is_held_out(tmp_path: Path, recipe: Recipe) -> None:
    training, held_out = streams(recipe)
    texts = [prompt.text for prompt in training]
    asked = Queries((texts[3], texts[0]), (texts[5], "Something else?"))
    made = asking(recipe, "north", tmp_path / "queries", asked)
    now, held = streams(made)

    assert [prompt.text for prompt in now] == [texts[3], texts[0], texts[5], "Something else?"]
    assert now[0] == training[3], "with the answer that the recipe knows"
    assert [(one.id, one.expected) for one in held] == [(one.id, one.expected) for one in held_out]
    with pytest.raises(InputError, match="asked nothing"):
        asking(recipe, "north", tmp_path / "queries", Queries((), ()))


def test_what_was_kept_of_what_came_through_is_counted(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    line = {"v": 1, "id": "1", "account": "", "at": 1.0, "messages": [{"role": "user", "content": "x"}], "answer": "y"}
    lines = [{**line, "prompt": {"id": text, "messages": [{"role": "user", "content": text}]}} for text in "abc"]
    run.curated.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in lines))

    assert kept_of(run, frozenset("ab")) == (2, 3)
    run.curated.write_bytes(b"")
    with pytest.raises(InputError, match="curation kept nothing"):
        kept_of(run, frozenset())


SMALL_DEMO = """
days = 0.5
[[campaign]]
name = "apprentice"
preset = "pure"
scale = 0.1
per_day = 24
asks = "file"
file = "questions.jsonl"
"""


@pytest.mark.slow
def test_students_of_what_came_through_and_of_all_are_trained_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packaged = Path(__file__).parents[2] / "src" / "spiritsafe" / "recipes" / "demo.toml"
    small = {"draw = 350": "draw = 60", "held_out = 100": "held_out = 10", "epochs = 6": "epochs = 1"}
    text = packaged.read_text(encoding="utf-8").replace("[0, 1, 2, 3, 4, 5, 28, 29]", "[0, 29]")
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "small.toml").write_text(text.replace("budgets = [25, 75, 200]\n", ""), encoding="utf-8")
    (tmp_path / "scenario.toml").write_text(SMALL_DEMO)
    out, recipe = tmp_path / "drill", tmp_path / "small.toml"

    said(capsys, "drills", "prompts", recipe, tmp_path / "questions.jsonl")
    said(capsys, "drills", "log", tmp_path / "scenario.toml", "--out", out)
    own = {row["id"] for row in rows(out / "key" / "own.jsonl")}
    mine = [row for row in rows(out / "log" / "exchanges.jsonl") if row["id"] in own]
    accounts = sorted({row["account"] for row in mine})
    alarm = {"scope": "campaign", "subject": "c", "accounts": accounts, "at": mine[len(mine) // 2]["at"]}
    (tmp_path / "alarms.jsonl").write_bytes(orjson.dumps(alarm))
    alarms = ("--alarms", tmp_path / "alarms.jsonl")
    said(capsys, "drills", "student", out, "--recipe", recipe, *alarms)
    lines = said(capsys, "drills", "score", out, *alarms)

    found = orjson.loads((out / "score.json").read_bytes())["student"]["apprentice"]
    assert 0 < found["let_through"] == len(mine) // 2 + 1 < found["queries"] == len(mine)
    assert 0 < found["kept_let_through"] <= found["kept"] <= found["queries"]
    assert found["from_all"]["items"] == 10
    assert lines[-1].startswith("apprentice")
