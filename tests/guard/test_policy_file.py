"""policy.toml: the first one, what is wrong with one, and following it."""

import os
from pathlib import Path

import pytest

from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import SEGMENTS
from spiritsafe.guard.hygiene import Hygiene
from spiritsafe.guard.limits import Limits
from spiritsafe.guard.policy import Rule, policy_from_json, policy_to_json
from spiritsafe.guard.policy_file import STARTING_TEXT, PolicyFile, parse_policy, read_policy
from spiritsafe.guard.rulings import Rulings

START = parse_policy(STARTING_TEXT, "policy")


def test_the_first_policy_has_every_segment_and_only_watches() -> None:
    assert tuple(START.segments) == SEGMENTS
    assert (START.mode, START.throttle) == ("shadow", 0.1)
    ordinary = START.segments["ordinary"]
    assert ordinary.limits == Limits(600, 200_000, 16)
    assert ordinary.hygiene == Hygiene(5, 3, 8, True)
    assert (ordinary.retention, ordinary.days) == ("raw", 30.0)
    assert START.segments["internal"].limits == Limits()
    assert START.rules[0] == Rule(20, "observe", days=14)
    assert not any(rule.action in ("allow", "block") for rule in START.rules)


def test_what_is_commented_out_in_the_first_policy_is_right_too() -> None:
    lines = [line.removeprefix("# ") if "=" in line or "[[" in line else line for line in STARTING_TEXT.splitlines()]
    policy = parse_policy("\n".join(lines), "policy")

    assert len(policy.rules) == len(START.rules) + 1
    assert policy.segments["ordinary"].limits == Limits(600, 200_000, 16, 20_000_000, 50.0)


def test_a_policy_from_a_file_goes_to_a_worker_and_stays_the_same() -> None:
    assert policy_from_json(policy_to_json(START)) == START


WRONG = [
    ('mode = "shadow"', 'mode = "off"', "field 'mode': got 'off'"),
    ('mode = "shadow"', "", "field 'mode' is missing; add it"),
    ("throttle = 0.1", "throttle = 1.0", "field 'throttle': got 1.0"),
    (
        "concurrency = 16",
        "concurency = 16",
        "'segments.ordinary.concurency'; did you mean 'concurrency'?",
    ),
    ("concurrency = 16", "concurrency = 0", "field 'segments.ordinary.concurrency': got 0"),
    ("concurrency = 16", 'concurrency = "16"', "field 'segments.ordinary.concurrency': got '16'"),
    ("concurrency = 16", "dollars_per_day = inf", "field 'segments.ordinary.dollars_per_day': got inf"),
    ("max_n = 8", "max_n = true", "field 'segments.ordinary.max_n': got True"),
    ("[segments.internal]", "[segments.inside]", "field 'segments.internal' is missing"),
    ("min_level = 20", "min_level = nan", "field 'rules.0.min_level': got nan"),
    ('action = "observe"', 'action = "ban"', "field 'rules.0.action': got 'ban'"),
    ('action = "observe"', 'action = "allow"', "a rule that allows does nothing"),
    ("days = 14", 'segments = ["gold"]', "field 'rules.0.segments.0': got 'gold'"),
    ("min_level = 1000", 'min_level = 1000\nsegments = ["internal"]', "throttles the segment internal"),
    ("concurrency = 16", "concurrency =", "policy is not TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_place(right: str, wrong: str, said: str) -> None:
    assert right in STARTING_TEXT

    with pytest.raises(InputError) as error:
        parse_policy(STARTING_TEXT.replace(right, wrong, 1), "policy")
    assert said in str(error.value)
    assert str(error.value).startswith("policy")
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read policy .*No such file"):
        read_policy(tmp_path / "policy.toml")
    (tmp_path / "policy.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="save it as UTF-8"):
        read_policy(tmp_path / "policy.toml")


def write(path: Path, text: str, second: int) -> None:
    """A file that a look at its time tells from the one before."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (second, second))


def test_a_followed_file_is_in_force_once_it_has_changed_and_is_right(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with Rulings.open(tmp_path) as rulings:
        write(path, STARTING_TEXT, 1)
        file = PolicyFile(path, rulings)
        assert [file.follow(), file.follow()] == [True, False]
        assert policy_from_json(rulings.current_policy()).mode == "shadow"

        write(path, STARTING_TEXT.replace('mode = "shadow"', 'mode = "enforce"'), 2)
        assert [file.follow(), file.follow()] == [True, False]
        assert policy_from_json(rulings.current_policy()).mode == "enforce"
        assert policy_from_json(rulings.current_policy()).version == 2

        write(path, STARTING_TEXT.replace('mode = "shadow"', 'mode = "off"'), 3)
        with pytest.raises(InputError, match="field 'mode'"):
            file.follow()
        assert not file.follow(), "said once"
        assert policy_from_json(rulings.current_policy()).mode == "enforce"

        path.unlink()
        with pytest.raises(InputError, match="No such file"):
            file.follow()
        assert not file.follow()

        write(path, STARTING_TEXT, 4)
        assert file.follow()
        assert [version.number for version in rulings.policies()] == [3, 2, 1]


def test_a_file_that_is_only_touched_makes_no_new_version(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with Rulings.open(tmp_path) as rulings:
        for second in (1, 2):
            write(path, STARTING_TEXT, second)
            PolicyFile(path, rulings).follow()

        assert rulings.policy_number() == 1
