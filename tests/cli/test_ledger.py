"""`spiritsafe ledger`, at the command line, on a ledger of real files."""

from dataclasses import replace
from pathlib import Path

import pytest

from spiritsafe.cli.ledger import app
from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.files import read_exchanges
from spiritsafe.exchanges.ledger import Attempt, Ledger
from spiritsafe.exchanges.record import Exchange, Message, Usage

QUESTION = (Message("user", "What is the capital of Peru?"),)
ANSWER = Exchange(
    "00" * 16, 1.0, "chat", QUESTION, answer="Lima", usage=Usage(1200, 5), dollars=0.25, charged_to="demo"
)
UNPRICED = replace(ANSWER, id="11" * 16, charged_to="other", dollars=None)
FAILURE = Attempt(2.0, bytes(16), "demo", "timeout", 0.5, 100, 20)
LOST = replace(FAILURE, charged_to="unlucky")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines that the command prints."""
    app(list(words), result_action="return_value")
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger of two recipes that were answered and one that was not."""
    with Ledger.open(tmp_path / "ledger") as ledger:
        ledger.append([ANSWER, FAILURE])
        ledger.append([UNPRICED, LOST])
    return tmp_path / "ledger"


def test_show_says_for_each_recipe_what_was_paid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = "failed attempts that may have been billed"

    assert said(capsys, "show", str(folder)) == [
        f"demo: 1 exchanges, 1 {failed}, 1,300 tokens in, 25 out, $0.750000",
        f"other: 1 exchanges, 0 {failed}, 1,200 tokens in, 5 out, $0.000000 and more",
        f"unlucky: 0 exchanges, 1 {failed}, 100 tokens in, 20 out, $0.500000",
    ]


def test_show_of_a_ledger_without_a_payment_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ledger.open(tmp_path / "new").close()

    assert said(capsys, "show", str(tmp_path / "new")) == ["nothing was paid"]


def test_show_leaves_a_ledger_that_is_being_written_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger.open(folder) as writing:
        assert len(said(capsys, "show", str(folder))) == 3
        writing.append([replace(ANSWER, id="22" * 16)])

    assert said(capsys, "show", str(folder))[0].startswith("demo: 2 exchanges")


def test_export_writes_every_exchange_in_order(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "all.jsonl"

    assert said(capsys, "export", str(folder), str(to)) == [f"2 exchanges in {to}"]
    assert list(read_exchanges(to)) == [ANSWER, UNPRICED]


def test_export_to_parquet_has_a_row_an_exchange(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="extra parquet")
    to = tmp_path / "all.parquet"

    assert said(capsys, "export", str(folder), str(to)) == [f"2 exchanges in {to}"]
    rows = parquet.read_table(to).to_pylist()
    assert [(row["id"], row["answer"], row["dollars"]) for row in rows] == [
        (ANSWER.id, "Lima", 0.25),
        (UNPRICED.id, "Lima", None),
    ]


def test_export_to_another_kind_of_file_is_refused_and_leaves_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wanted one that ends in \.jsonl or \.parquet"):
        app(["export", str(folder), str(tmp_path / "all.csv")], result_action="return_value")

    assert not (tmp_path / "all.csv").exists()


@pytest.mark.parametrize("words", [("show",), ("export", "all.jsonl")])
def test_a_folder_that_is_not_there_is_named_and_not_made(words: tuple[str, ...], tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    command, *to = words

    with pytest.raises(InputError, match=r"got no ledger at .*missing"):
        app([command, str(missing), *(str(tmp_path / name) for name in to)], result_action="return_value")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_ledger_is_told_from_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger in"):
        app(["show", str(tmp_path)], result_action="return_value")
