"""A log's file as rows, and an import that says what it could not read."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import exchanges, json_values

from spiritsafe.errors import InputError
from spiritsafe.exchanges.files import read_exchanges, write_exchanges
from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import Exchange, Message
from spiritsafe.guard.log.imports import FORMATS, import_log
from spiritsafe.guard.log.imports.rows import BadRow, Row, rows_of, seconds_of


def rows(tmp_path: Path, text: str) -> list[Row | BadRow]:
    path = tmp_path / "log"
    path.write_text(text)
    return list(rows_of(path))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a":1}\n\n{"b":2}\n', [(1, {"a": 1}), (3, {"b": 2})]),
        ('{"a":1}', [(1, {"a": 1})]),
        ('[{"a":1},{"b":2}]', [(1, {"a": 1}), (2, {"b": 2})]),
        ('[\n  {"a":1}\n]\n', [(1, {"a": 1})]),
        ('{\n  "a": 1\n}\n', [(1, {"a": 1})]),
        ('{"data":[{"a":1},{"b":2}],"total":2}', [(1, {"a": 1}), (2, {"b": 2})]),
        ('{"id":"x","data":[{"a":1}]}', [(1, {"id": "x", "data": [{"a": 1}]})]),
        ("", []),
        ("\n \n", []),
    ],
)
def test_lines_arrays_and_objects_are_rows(tmp_path: Path, text: str, wanted: list[Any]) -> None:
    assert rows(tmp_path, text) == wanted


@pytest.mark.parametrize(
    ("text", "numbers", "good"),
    [
        ('{"a":1}\n{"b"\n{"c":3}\n', [2], [{"a": 1}, {"c": 3}]),
        ('{broken\n{"a":1}\n', [1], [{"a": 1}]),
        ('{"a":1}\n7\n[]\n"x"\nnull\n', [2, 4, 5], [{"a": 1}]),
        ('[{"a":1},7]', [2], [{"a": 1}]),
        ("[1", [1], []),
        ("what?\n", [1], []),
    ],
)
def test_a_bad_row_has_its_number_and_stops_nothing(
    tmp_path: Path, text: str, numbers: list[int], good: list[Any]
) -> None:
    found = rows(tmp_path, text)

    assert [row.number for row in found if isinstance(row, BadRow)] == numbers
    assert all("mend or remove it" in row.why for row in found if isinstance(row, BadRow))
    assert len([row for row in found if isinstance(row, Row)]) == text.count("{") - text.count("{b") - text.count(
        '{"b"'
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1_764_000_000, 1_764_000_000.0),
        (1_764_000_000_250, 1_764_000_000.25),
        ("2025-11-24T16:00:00Z", 1_764_000_000.0),
        ("2025-11-24 16:00:00.500", 1_764_000_000.5),
        ("2025-11-24T17:00:00+01:00", 1_764_000_000.0),
        ("yesterday", None),
        (None, None),
        (-1, None),
        ([], None),
    ],
)
def test_times_are_read_however_they_are_written(value: Any, wanted: float | None) -> None:
    assert seconds_of(value) == wanted


@settings(max_examples=25)
@given(st.lists(exchanges(), max_size=4))
def test_our_own_lines_come_back(tmp_path_factory: pytest.TempPathFactory, wanted: list[Exchange]) -> None:
    folder = tmp_path_factory.mktemp("import")
    write_exchanges(folder / "in", wanted)

    report = import_log(folder / "in", "exchanges", folder / "out")

    assert (report.exchanges, report.passed_over, report.bad) == (len(wanted), 0, [])
    assert list(read_exchanges(folder / "out")) == wanted


def test_bad_lines_are_reported_with_their_numbers_and_the_others_are_written(tmp_path: Path) -> None:
    line = dumps(Exchange("a1", 1.0, "chat", (Message("user", "hi"),))).decode()
    (tmp_path / "in").write_text(f'{line}\n{{"v":1}}\n{{\n{line}\n')

    report = import_log(tmp_path / "in", "exchanges", tmp_path / "out")

    assert report.exchanges == 2
    assert [row.number for row in report.bad] == [2, 3]
    assert "has no 'at'" in report.bad[0].why


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=40)
@given(values=st.lists(json_values(8), max_size=3))
def test_every_format_reads_anything_and_loses_no_row(
    tmp_path_factory: pytest.TempPathFactory, name: str, values: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("import")
    (folder / "in").write_bytes(orjson.dumps(values))

    report = import_log(folder / "in", name, folder / "out")

    assert report.exchanges + report.passed_over + len(report.bad) == len(values)


def test_a_format_that_is_none_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got log format 'csv', wanted one of exchanges, litellm, otel"):
        import_log(tmp_path / "in", "csv", tmp_path / "out")


def test_a_file_that_is_missing_is_an_input_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        import_log(tmp_path / "in", "litellm", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
