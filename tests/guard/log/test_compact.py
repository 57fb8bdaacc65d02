"""Segments into Parquet: every exchange once, where it belongs."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.guard.log.logged import AT, DECISION, REQUEST, RESPONSE, ended, received, whole, write

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.lock import FolderLock
from spiritsafe.exchanges.segments import SegmentWriter, segment_numbers
from spiritsafe.guard.log.compact import SETTLED_S, compact
from spiritsafe.guard.log.parts import bucket_of, read_parts
from spiritsafe.guard.log.retention import Retention, Rule

pytest.importorskip("pyarrow")

HOUR_S = 3600.0


def parts(folder: Path, kind: str = "features") -> list[Path]:
    return sorted((folder / kind).rglob("*.parquet"))


def rows(folder: Path, kind: str = "features") -> list[dict[str, Any]]:
    return list(read_parts(parts(folder, kind)))


def ids(folder: Path, kind: str = "features") -> list[str]:
    return sorted(row["id"] for row in rows(folder, kind))


def names(files: Sequence[Path], folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in files]


def test_an_exchange_lies_by_segment_day_hour_and_bucket_with_its_body_apart(tmp_path: Path) -> None:
    write(tmp_path, [received("a"), ended("a")])

    report = compact(tmp_path, AT + 2)

    folder = f"segment=ordinary/day=2025-11-24/hour=16/bucket={bucket_of('acme', 8):02d}"
    assert names(parts(tmp_path), tmp_path) == [f"features/{folder}/part-0000000001.parquet"]
    assert names(parts(tmp_path, "bodies"), tmp_path) == [f"bodies/{folder}/part-0000000001-raw.parquet"]
    assert (report.exchanges, report.parts, report.segments, report.unfinished) == (1, 2, 1, 0)
    assert segment_numbers(tmp_path / "segments") == []


def test_the_row_of_facts_has_no_text_and_the_body_is_as_it_was_sent(tmp_path: Path) -> None:
    write(tmp_path, [whole("a")])

    compact(tmp_path, AT)

    [facts] = rows(tmp_path)
    assert (facts["account"], facts["action"], facts["status"], facts["output_tokens"]) == ("acme", "observe", 200, 1)
    assert "2 + 2?" not in str(facts)
    [body] = rows(tmp_path, "bodies")
    assert orjson.loads(body["request"]) == REQUEST
    assert orjson.loads(body["response"]) == RESPONSE
    assert orjson.loads(body["record"])["decision"] == DECISION


def test_a_second_pass_adds_what_is_new_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    writer = SegmentWriter(tmp_path / "segments")
    writer.append([whole("a"), received("b")])
    first = compact(tmp_path, AT)
    nothing = compact(tmp_path, AT)
    writer.append([ended("b"), whole("c")])
    last = compact(tmp_path, AT)
    writer.close()

    assert [one.exchanges for one in (first, nothing, last)] == [1, 0, 2]
    assert ids(tmp_path) == ids(tmp_path, "bodies") == ["a", "b", "c"]


def test_a_pass_with_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, [whole("a")])
    compact(tmp_path, AT)
    compact(tmp_path, AT)
    manifest = tmp_path / "manifest.json"
    written = manifest.stat().st_mtime_ns

    compact(tmp_path, AT)

    assert manifest.stat().st_mtime_ns == written


def test_what_workers_write_meanwhile_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()

    def work(name: str) -> None:
        writer = SegmentWriter(tmp_path / "segments", roll_bytes=4096)
        for number in range(60):
            writer.append([received(f"{name}{number}"), whole(f"{name}{number}-whole")])
            writer.append([ended(f"{name}{number}")])
        writer.close()

    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(work, name) for name in "xy"]
        while not all(worker.done() for worker in workers):
            compact(tmp_path, AT)
        for worker in workers:
            worker.result()
    compact(tmp_path, AT)

    every = sorted(f"{name}{number}{kind}" for name in "xy" for number in range(60) for kind in ("", "-whole"))
    assert ids(tmp_path) == ids(tmp_path, "bodies") == every
    assert segment_numbers(tmp_path / "segments") == []


def test_a_segment_stays_while_it_has_a_writer_or_a_request_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    writer = SegmentWriter(tmp_path / "segments")
    writer.append([received("a")])
    compact(tmp_path, AT)
    assert segment_numbers(tmp_path / "segments") == [1]
    writer.close()
    compact(tmp_path, AT)
    assert segment_numbers(tmp_path / "segments") == [1]

    write(tmp_path, [ended("a")])
    compact(tmp_path, AT)

    assert segment_numbers(tmp_path / "segments") == []
    assert ids(tmp_path) == ["a"]


def test_a_segment_lingers_for_its_other_readers(tmp_path: Path) -> None:
    write(tmp_path, [whole("a")])
    written_s = (tmp_path / "segments" / "00000001.seg").stat().st_mtime

    compact(tmp_path, written_s + 5, linger_s=60.0)
    assert segment_numbers(tmp_path / "segments") == [1]
    compact(tmp_path, written_s + 61, linger_s=60.0)

    assert segment_numbers(tmp_path / "segments") == []
    assert ids(tmp_path) == ["a"]


def test_a_request_whose_writer_was_killed_is_unfinished_after_an_hour(tmp_path: Path) -> None:
    write(tmp_path, [received("a")])
    assert compact(tmp_path, AT + HOUR_S - 1).exchanges == 0

    report = compact(tmp_path, AT + HOUR_S + 1)

    assert (report.exchanges, report.unfinished, report.segments) == (1, 1, 1)
    [facts] = rows(tmp_path)
    assert (facts["outcome"], facts["finish_reason"], facts["status"]) == ("unfinished", "error", None)
    write(tmp_path, [ended("a")])
    assert compact(tmp_path, AT + HOUR_S + 2).lines() == [
        "1 exchanges that ended after they had been written as unfinished"
    ]


def test_files_of_an_hour_that_has_settled_become_one_a_bucket(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, [whole(f"{number}-{name}", account=name) for name in ("acme", "zeta", "other")])
        compact(tmp_path, AT + number)
    before = rows(tmp_path)

    early = compact(tmp_path, AT + HOUR_S + SETTLED_S - 1)
    report = compact(tmp_path, AT + HOUR_S + SETTLED_S)

    buckets = {bucket_of(name, 8) for name in ("acme", "zeta", "other")}
    assert (early.merged, report.merged) == (0, 2 * 5 * len(buckets))
    assert len(parts(tmp_path)) == len(parts(tmp_path, "bodies")) == len(buckets)
    assert sorted(map(str, rows(tmp_path))) == sorted(map(str, before))
    assert compact(tmp_path, AT + 9 * HOUR_S).merged == 0


def test_what_comes_late_is_merged_with_what_was_there(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, [whole(f"{number}")])
        compact(tmp_path, AT + 2 * HOUR_S)

    assert len(parts(tmp_path)) == 1
    assert ids(tmp_path) == ["0", "1", "2"]


def test_a_backlog_is_taken_in_several_commits(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, [whole(f"{number}-a")], [whole(f"{number}-b")])

    report = compact(tmp_path, AT, most_bytes=1)

    assert (report.exchanges, report.parts, report.segments) == (8, 16, 4)
    assert len(set(ids(tmp_path))) == 8


@pytest.mark.parametrize(("mode", "suffix"), [("raw", "-raw"), ("redacted", "-redacted"), ("features", None)])
def test_a_segments_rule_says_how_bodies_are_kept(tmp_path: Path, mode: Any, suffix: str | None) -> None:
    request = {"messages": [{"role": "user", "content": "I am jo@example.org"}]}
    write(tmp_path, [whole("a", request)])

    compact(tmp_path, AT, retention=Retention({"ordinary": Rule(mode)}))

    assert ids(tmp_path) == ["a"]
    assert [path.stem.removeprefix("part-0000000001") for path in parts(tmp_path, "bodies")] == (
        [] if suffix is None else [suffix]
    )
    assert ("jo@example.org" in str(rows(tmp_path, "bodies"))) == (mode == "raw")
    assert ("[email]" in str(rows(tmp_path, "bodies"))) == (mode == "redacted")


def test_bodies_kept_in_different_ways_are_not_merged(tmp_path: Path) -> None:
    for number, mode in enumerate(["raw", "redacted", "raw", "redacted"]):
        write(tmp_path, [whole(f"{number}")])
        compact(tmp_path, AT, retention=Retention(otherwise=Rule(mode)))  # type: ignore[arg-type]
    compact(tmp_path, AT + 2 * HOUR_S)

    assert [path.stem.rpartition("-")[2] for path in parts(tmp_path, "bodies")] == ["raw", "redacted"]
    assert ids(tmp_path) == ids(tmp_path, "bodies") == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("fields", "folder"),
    [
        ({"segment": ""}, "segment=__HIVE_DEFAULT_PARTITION__/day=2025-11-24/hour=16"),
        ({"segment": "../x y"}, "segment=..%2Fx%20y/day=2025-11-24/hour=16"),
        ({"at": None}, "segment=ordinary/day=2025-11-24/hour=16"),
        ({"at": 1e300}, "segment=ordinary/day=2025-11-24/hour=16"),
        ({"at": AT - 1}, "segment=ordinary/day=2025-11-24/hour=15"),
    ],
)
def test_odd_segments_and_times_have_a_place_too(tmp_path: Path, fields: dict[str, Any], folder: str) -> None:
    write(tmp_path, [whole("a", **fields)])

    compact(tmp_path, AT)

    [path] = parts(tmp_path)
    assert str(path.parent.parent.relative_to(tmp_path / "features")) == folder


def test_the_number_of_buckets_is_that_of_the_first_pass(tmp_path: Path) -> None:
    write(tmp_path, [whole(f"{number}", account=f"{number}") for number in range(40)])

    assert compact(tmp_path, AT, buckets=4).buckets == 4
    assert compact(tmp_path, AT, buckets=8).buckets == 4
    assert {path.parent.name for path in parts(tmp_path)} == {f"bucket={number:02d}" for number in range(4)}
    with pytest.raises(InputError, match=r"got 0 buckets, wanted 1\.\.1024"):
        compact(tmp_path, AT, buckets=0)


def test_one_pass_at_a_time(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)

    with pytest.raises(StoreError, match="in use by process"):
        compact(tmp_path, AT)
    lock.close()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"v":1}', b'{"v":1,"number":1,"what":2}'])
def test_a_damaged_manifest_is_a_store_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(data)

    with pytest.raises(StoreError, match="damaged; restore it"):
        compact(tmp_path, AT)


def test_a_manifest_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"v":2}')

    with pytest.raises(StoreError, match="version 2, wanted at most 1"):
        compact(tmp_path, AT)


def test_a_segment_with_records_of_others_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, [b"what?", whole("a")])

    report = compact(tmp_path, AT)

    [path] = (tmp_path / "segments").iterdir()
    assert path.match("00000001-????????.damaged")
    assert report.lines() == ["1 records that are none of this log's; their segments are kept as *.damaged"]
    assert ids(tmp_path) == ["a"]


def test_duckdb_reads_it(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    write(tmp_path, [whole(f"{number}", account=f"account{number % 5}") for number in range(20)])
    write(tmp_path, [whole("late", segment="batch", at=AT + HOUR_S)])
    compact(tmp_path, AT)

    facts = f"read_parquet('{tmp_path}/features/**/*.parquet', hive_partitioning = true)"
    bodies = f"read_parquet('{tmp_path}/bodies/**/*.parquet', hive_partitioning = true)"

    assert duckdb.sql(
        f"select segment, day::text, hour, count(*), count(distinct account) from {facts} group by all order by all"
    ).fetchall() == [("batch", "2025-11-24", 17, 1, 1), ("ordinary", "2025-11-24", 16, 20, 5)]
    assert duckdb.sql(f"select count(*) from {facts} where list_contains(reasons, 'asks a lot')").fetchall() == [(21,)]
    assert duckdb.sql(
        f"select request->>'$.messages[1].content' from {bodies} join {facts} f using (id) where f.hour = 17"
    ).fetchall() == [("2 + 2?",)]
