"""`spiritsafe guard accounts`, at the command line, on real files."""

from pathlib import Path

import pytest

from spiritsafe.cli.guard import app
from spiritsafe.errors import InputError
from spiritsafe.guard.accounts import Accounts


def said(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> list[str]:
    app(["accounts", *words, "--folder", str(folder)], result_action="return_value")
    return capsys.readouterr().out.splitlines()


def test_an_account_from_its_first_key_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = said(capsys, tmp_path, "add", "acme", "--segment", "batch")
    (second,) = said(capsys, tmp_path, "rotate", "acme", "--overlap-hours", "0")
    with Accounts.open(tmp_path) as accounts:
        assert accounts.find(first) is None
        assert accounts.find(second) is not None

    noted = said(capsys, tmp_path, "note", "acme", "--org", "Acme", "--payment", "9f2c", "--country", "IE")
    assert noted == ["acme: org Acme, payment 9f2c, country IE"]
    assert said(capsys, tmp_path, "note", "acme", "--payment", "") == ["acme: org Acme, country IE"]
    assert said(capsys, tmp_path, "segment", "acme", "licensed") == ["acme: licensed"]
    assert said(capsys, tmp_path, "list") == [f"acme: licensed, {second[:7]}…"]
    assert said(capsys, tmp_path, "revoke", "acme") == ["acme: revoked"]
    assert said(capsys, tmp_path, "list") == ["acme: licensed, revoked"]


def test_an_account_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody"):
        app(["accounts", "revoke", "nobody", "--folder", str(tmp_path)], result_action="return_value")
