"""Exchange files: JSONL and Parquet, streamed, whole or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import exchanges

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.files import read_exchanges, to_parquet, write_exchanges
from spiritsafe.exchanges.record import Exchange, Message, Sampling, Source, TokenLogprobs, Usage


def an_exchange(number: int) -> Exchange:
    return Exchange(
        id=f"{number:032x}",
        at=float(number),
        dialect="chat",
        messages=(Message("user", "What?", ({"type": "image_url", "image_url": {"url": "data:,"}},)),),
        sampling=Sampling(temperature=0.5),
        answer=f"Answer {number}",
        usage=Usage(3, 4),
        source=Source("here", "big", terms="permits"),
        logprobs=TokenLogprobs(2, 1, b"\x01\x02", has_ids=False, table=(b"a", b"\xff")),
        dollars=0.25,
        other={"x": 1},
    )


@settings(max_examples=25)
@given(st.lists(exchanges(), max_size=4))
def test_a_file_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, given: list[Exchange]) -> None:
    path = tmp_path_factory.mktemp("files") / "deep" / "some.jsonl"

    assert write_exchanges(path, iter(given)) == len(given)
    assert list(read_exchanges(path)) == given


def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    write_exchanges(path, [an_exchange(1)])

    def breaking() -> Iterator[Exchange]:
        yield an_exchange(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_exchanges(path, breaking())

    assert list(read_exchanges(path)) == [an_exchange(1)]
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_line_is_named_by_its_number_after_the_good_ones(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    write_exchanges(path, [an_exchange(1)])
    path.write_bytes(path.read_bytes() + b'\n{"v": 1}\n')
    lines = read_exchanges(path)

    assert next(lines) == an_exchange(1)
    with pytest.raises(InputError, match=r"some\.jsonl:3: exchange has no"):
        next(lines)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(read_exchanges(tmp_path / "none.jsonl"))


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot write"):
        write_exchanges(tmp_path / "file" / "some.jsonl", [an_exchange(1)])


def test_parquet_holds_every_field_in_row_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "some.parquet"
    plain = Exchange(id="", at=1.0, dialect="", messages=())

    count = to_parquet(path, (an_exchange(n) if n else plain for n in range(5)), rows_per_group=2)

    file = parquet.ParquetFile(path)
    rows = file.read().to_pylist()
    assert (count, file.num_row_groups, len(rows)) == (5, 3, 5)
    assert rows[0]["dollars"] is None
    assert rows[0]["logprobs_k"] is None
    one = rows[3]
    assert (one["id"], one["answer"], one["model"], one["endpoint"]) == (f"{3:032x}", "Answer 3", "big", "here")
    assert (one["terms"], one["dollars"], one["input_tokens"], one["reasoning_tokens"]) == ("permits", 0.25, 3, None)
    assert one["messages"][0]["content"] == "What?"
    assert json.loads(one["messages"][0]["parts"])[0]["type"] == "image_url"
    assert json.loads(one["sampling"]) == {"temperature": 0.5}
    assert json.loads(one["other"]) == {"x": 1}
    assert (one["logprobs_packed"], one["logprobs_table"]) == (b"\x01\x02", [b"a", b"\xff"])
