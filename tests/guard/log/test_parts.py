"""Rows as Parquet files, merged and read back."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.log.logged import AT, received, whole, write

from spiritsafe.errors import StoreError
from spiritsafe.guard.log.compact import compact
from spiritsafe.guard.log.parts import (
    BODY_COLUMNS,
    ROWS_PER_GROUP,
    bucket_of,
    merge_parts,
    partition_of,
    read_parts,
    write_part,
)
from spiritsafe.guard.log.reading import exchange_from
from spiritsafe.guard.log.records import split
from spiritsafe.guard.log.stored import stored_exchanges

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def part(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    with path.open("wb") as file:
        write_part(file, "bodies", rows)
    return path


def body(identity: str) -> tuple[Any, ...]:
    return (identity, AT, "acme", "{}", None, "{}")


def test_merged_files_have_all_rows_in_their_order(tmp_path: Path) -> None:
    paths = [part(tmp_path / f"{number}", [body(f"{number}{letter}") for letter in "ab"]) for number in range(3)]
    merged = BytesIO()

    assert merge_parts(merged, "bodies", paths) == 6

    (tmp_path / "merged").write_bytes(merged.getvalue())
    assert [row["id"] for row in read_parts([tmp_path / "merged"])] == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert parquet.ParquetFile(tmp_path / "merged").num_row_groups == 1


def test_groups_do_not_grow_beyond_their_size(tmp_path: Path) -> None:
    path = part(tmp_path / "big", [body(f"{number}") for number in range(ROWS_PER_GROUP + 5)])
    merged = BytesIO()
    merge_parts(merged, "bodies", [path, part(tmp_path / "small", [body("x")])])

    sizes = [
        [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        for file in (parquet.ParquetFile(path), parquet.ParquetFile(BytesIO(merged.getvalue())))
    ]
    assert sizes == [[ROWS_PER_GROUP, 5], [ROWS_PER_GROUP, 6]]


def test_a_column_that_an_earlier_version_did_not_write_is_empty_after_a_merge(tmp_path: Path) -> None:
    table = pyarrow.table({"account": ["acme"], "id": ["old"], "gone": [1]})
    parquet.write_table(table, tmp_path / "old")
    merged = BytesIO()

    merge_parts(merged, "bodies", [tmp_path / "old", part(tmp_path / "new", [body("new")])])

    rows = parquet.read_table(BytesIO(merged.getvalue())).to_pylist()
    assert [list(row) for row in rows] == [[name for name, _ in BODY_COLUMNS]] * 2
    assert [(row["id"], row["account"], row["request"]) for row in rows] == [
        ("old", "acme", None),
        ("new", "acme", "{}"),
    ]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 100])
def test_a_damaged_file_is_a_store_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken").write_bytes(data)

    with pytest.raises(StoreError, match="broken is damaged"):
        list(read_parts([tmp_path / "broken"]))


def test_the_bucket_of_an_account_never_changes() -> None:
    assert [bucket_of(name, 8) for name in ("acme", "zeta", "", "müller")] == [1, 5, 4, 3]


@given(st.text(max_size=9), st.integers(1, 64))
def test_every_account_has_a_bucket(account: str, buckets: int) -> None:
    assert 0 <= bucket_of(account, buckets) < buckets


@given(st.text(max_size=9), st.floats(0, 1e11), st.text(max_size=5))
def test_a_partition_is_four_folders_and_never_leaves_its_tree(segment: str, at: float, account: str) -> None:
    folder = partition_of(segment, at, account, 8).folder

    assert folder.count("/") == 3
    assert ".." not in folder.split("/")
    assert folder.isprintable()


def test_what_was_compacted_is_read_back_as_it_was_logged(tmp_path: Path) -> None:
    records = [whole("a"), whole("b", account="zeta", segment="batch"), received("c")]
    write(tmp_path, records)
    compact(tmp_path, AT + 7200)
    wanted = [exchange_from(split(record)) for record in records]

    assert sorted(stored_exchanges(tmp_path), key=lambda exchange: exchange.id) == wanted
    assert list(stored_exchanges(tmp_path, account="zeta")) == [wanted[1]]
    assert list(stored_exchanges(tmp_path, segment="batch")) == [wanted[1]]
    assert list(stored_exchanges(tmp_path, segment="other")) == []
