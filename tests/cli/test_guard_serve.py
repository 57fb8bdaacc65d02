"""What an operator types around a gateway: init, policy, rule, decisions, log; and the demo that goes through one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.guard.gateway.gateways import records_in

from spiritsafe.cli.demo import ACCOUNT, KEY_VARIABLE, behind_gateway
from spiritsafe.cli.distil import recipe_named
from spiritsafe.cli.main import app
from spiritsafe.distil.ask import ask_all
from spiritsafe.distil.prompt import make_prompt
from spiritsafe.errors import InputError
from spiritsafe.exchanges.ledger import Ledger
from spiritsafe.exchanges.record import Message
from spiritsafe.guard.accounts import Accounts
from spiritsafe.guard.policy_file import STARTING_TEXT, parse_policy
from spiritsafe.guard.rulings import Rulings
from spiritsafe.guard.settings_file import read_settings


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    app(words, result_action="return_value")
    return capsys.readouterr().out.splitlines()


def test_init_writes_files_that_are_right_and_never_over_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "guard", "init", str(tmp_path))
    assert lines[-1] == f"then: spiritsafe guard serve {tmp_path / 'guard.toml'}"
    assert read_settings(tmp_path / "guard.toml").upstreams[0].embedded == "smollm2-135m"
    policy = str(tmp_path / "policy.toml")
    assert said(capsys, "guard", "policy", "check", policy) == [f"{policy}: shadow, 5 segments, 3 rules"]
    with pytest.raises(InputError, match="is there already"):
        said(capsys, "guard", "init", str(tmp_path))


def test_a_ruling_is_made_looked_up_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--folder", str(tmp_path))
    with Accounts.open(tmp_path) as accounts, Rulings.open(tmp_path) as rulings:
        accounts.add("acme")
        rulings.add_policy(STARTING_TEXT, parse_policy(STARTING_TEXT, "policy"))
    ruled = ("guard", "rule", "acme", "block", "--reason", "confirmed by mail", "--by", "jo", "--days", "3")
    (line,) = said(capsys, *ruled, *folder)
    name = line.partition(":")[0]
    assert "acme, block until" in line
    assert line.endswith("by jo: confirmed by mail")
    assert said(capsys, "guard", "decisions", *folder) == [line]
    assert said(capsys, "guard", "decisions", name.lower(), *folder) == [line]
    assert said(capsys, "guard", "decisions", "--account", "acme", *folder)[0] == line
    assert said(capsys, "guard", "policy", "history", *folder)[0].startswith("1: since ")
    assert "\n".join(said(capsys, "guard", "policy", "show", "1", *folder)) + "\n" == STARTING_TEXT
    with pytest.raises(InputError, match="wanted one of the history"):
        said(capsys, "guard", "policy", "show", "7", *folder)


def test_another_tools_log_is_read_and_its_bad_lines_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "log.jsonl"
    source.write_text('{"v":1,"account":"a","at":1.0,"messages":[{"role":"user","content":"hi"}]}\n{broken\n')
    app(
        ("guard", "log", "import", str(source), str(tmp_path / "out.jsonl"), "--form", "exchanges"),
        result_action="return_value",
    )
    told = capsys.readouterr()
    assert told.out.startswith("1 exchanges in ")
    assert told.err.startswith(f"{source}:2: ")


@pytest.mark.slow
def test_the_demos_teacher_answers_through_the_gateway_and_is_on_record(tmp_path: Path) -> None:
    recipe = recipe_named("demo")
    lines: list[str] = []
    prompts = [make_prompt((Message("user", "I am Anna from Oslo. I ordered a tent and will be home on Friday."),))]
    with (
        behind_gateway(tmp_path / "guard", recipe, lines.append) as reached,
        Ledger.open(tmp_path / "ledger") as ledger,
    ):
        assert reached.teacher.base_url is not None
        assert os.environ[KEY_VARIABLE].startswith("ss-")
        summary = ask_all(prompts, reached, ledger)
        assert len(list(ledger.exchanges())) == 1, summary
    record: dict[str, object] = {}
    for one in records_in(tmp_path / "guard" / "log" / "segments"):
        record |= one
    assert (record["account"], record["segment"], record["outcome"]) == (ACCOUNT, "licensed", "completed")
