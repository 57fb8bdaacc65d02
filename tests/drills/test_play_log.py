import subprocess
import sys
from heapq import merge
from itertools import pairwise
from multiprocessing import Pipe
from pathlib import Path

import orjson
import pytest
from tests.drills.conftest import EVERYBODY, scenario, seen

from spiritsafe.drills.cast import cast
from spiritsafe.drills.key import AnswerKey, Truth, read_key
from spiritsafe.drills.logged import played
from spiritsafe.drills.parts import lines, received, work
from spiritsafe.drills.play import Play
from spiritsafe.drills.play_log import KEY, LOG, OWN, SCENARIO, play_into_log
from spiritsafe.drills.scenario import Scenario, read_scenario
from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.files import read_exchanges
from spiritsafe.exchanges.line import dumps

SMALL = {"ordinary": 30, "coursework": 20, "labelling": {"accounts": 1, "rate": 0.1}, "coding_agent": 3}
TWO = [
    {"name": "a", "preset": "one_template", "scale": 0.01, "day": 0.1},
    {"name": "b", "preset": "camouflage_25", "scale": 0.02, "day": 0.1},
]
FILES = (LOG, KEY, OWN, SCENARIO)


def small(**changes: object) -> Scenario:
    return scenario(days=0.6, people=SMALL, campaign=TWO, **changes)


def test_the_log_is_whole_and_the_key_lies_apart(tmp_path: Path) -> None:
    done = play_into_log(small(), tmp_path)
    logged = list(read_exchanges(tmp_path / LOG))
    own = [orjson.loads(line) for line in (tmp_path / OWN).read_bytes().splitlines()]
    key = read_key(tmp_path / KEY)

    assert done.exchanges == len(logged) > 300
    assert done.own == len(own) > 20
    assert [one.at for one in logged] == sorted(one.at for one in logged)
    assert key.accounts == done.key.accounts
    assert {row["id"] for row in own} <= {one.id for one in logged}
    assert sum(truth.own for truth in key.accounts.values()) == len(own)
    assert orjson.loads((tmp_path / SCENARIO).read_bytes())["campaign"][0]["played"]["accounts"] == 3
    assert {path.name for path in (tmp_path / "log").iterdir()} == {"exchanges.jsonl"}


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(
        'seed = 11\ndays = 0.5\n[people]\nordinary = 20\n[[campaign]]\nname="a"\npreset="adaptive"\nscale=0.02'
    )
    code = (
        "import sys; from pathlib import Path; from spiritsafe.drills.scenario import read_scenario; "
        "from spiritsafe.drills.play_log import play_into_log; "
        "play_into_log(read_scenario(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, str(path), str(tmp_path / "there")]
    subprocess.run(arguments, check=True, env={"PYTHONHASHSEED": "1"})
    play_into_log(read_scenario(path), tmp_path / "here")

    for name in FILES:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    one, two = (play_into_log(small(), tmp_path / str(count), count) for count in (1, 2))

    assert one == two
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_parts_of_everybody_merge_into_the_whole() -> None:
    wanted = scenario(days=0.4, people=EVERYBODY, campaign=TWO)
    keys = [AnswerKey() for _ in range(4)]
    whole = list(lines(wanted, keys[0]))
    parts = [lines(wanted, keys[1], part, 3) for part in range(3)]

    assert list(merge(*parts, key=lambda line: line[:2])) == whole
    assert keys[1].accounts == keys[0].accounts


def test_a_play_that_fails_leaves_no_log(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder of prompt sets"):
        play_into_log(small(prompts=tmp_path / "none"), tmp_path)

    assert not (tmp_path / LOG).exists()


def test_an_error_in_another_process_is_that_error(tmp_path: Path) -> None:
    here, there = Pipe(duplex=False)
    work(there, small(prompts=tmp_path / "none"), 0, 2)

    with pytest.raises(InputError, match="folder of prompt sets"):
        list(received(here, AnswerKey()))


def test_a_process_that_is_gone_before_its_part_is_an_error() -> None:
    here, there = Pipe(duplex=False)
    there.close()

    with pytest.raises(StoreError, match="ended before"):
        list(received(here, AnswerKey()))


def test_another_seed_gives_another_world() -> None:
    first, second = (seen(small(seed=seed)) for seed in (1, 2))

    assert not {one.id for one in first.exchanges} & {one.id for one in second.exchanges}
    assert not set(first.key.accounts) & set(second.key.accounts)


def test_what_one_does_does_not_depend_on_who_else_is_there() -> None:
    alone = seen(scenario(people={"ordinary": 10}))
    crowded = seen(scenario(people={"ordinary": 10, "labelling": 2}, campaign=TWO))

    assert [dumps(one) for one in alone.exchanges] == [dumps(one) for one in crowded.of("ordinary")]


def test_a_play_holds_one_entry_an_actor_however_long_it_is() -> None:
    made = cast(small())
    play = Play(made.actors, small().ends_at)

    assert len(play._waiting) == len(made.actors)
    for _ in played(made, small().ends_at):
        pass
    assert all(second - first >= 0 for first, second in pairwise(sorted(one[0] for one in play._waiting)))


def test_a_key_survives_its_file(tmp_path: Path) -> None:
    key = AnswerKey()
    key.accounts = {"acct-1": Truth("attacker", "north", 0, 7, 3), "acct-0": Truth("ordinary", "", 4, 2, 0)}
    key.write(tmp_path / "key.jsonl")

    assert read_key(tmp_path / "key.jsonl").accounts == key.accounts
    assert key.campaigns() == {"north": ["acct-1"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [("{}", "version"), ('{"v":1}', "no line of an answer key"), ("x", "not JSON"), ("[1]", "version")],
)
def test_a_bad_key_is_an_error_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "key.jsonl"
    path.write_text(text)

    with pytest.raises(InputError, match=says):
        read_key(path)


def test_a_missing_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_key(tmp_path / "none.jsonl")
