"""What is kept no longer than its rule says."""

from pathlib import Path
from typing import Any

import pytest
from tests.guard.log.logged import AT, whole, write

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.lock import FolderLock
from spiritsafe.guard.log.compact import compact
from spiritsafe.guard.log.parts import read_parts
from spiritsafe.guard.log.retention import Retention, Rule, sweep

pytest.importorskip("pyarrow")

HOUR_S, DAY_S = 3600.0, 86400.0
FOR_EVER = Retention(otherwise=Rule("raw", None))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with exchanges of three hours and two segments."""
    for number, hour in enumerate([0, 1, 30]):
        write(tmp_path, [whole(f"{segment}-{number}", at=AT + hour * HOUR_S, segment=segment) for segment in "ab"])
    compact(tmp_path, AT, retention=FOR_EVER)
    return tmp_path


def ids(folder: Path, kind: str = "features") -> list[str]:
    return sorted(row["id"] for row in read_parts(sorted((folder / kind).rglob("*.parquet"))))


def days(a: float | None, b: float | None) -> Retention:
    return Retention({"a": Rule("raw", a), "b": Rule("raw", b)})


EVERY = ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]


@pytest.mark.parametrize(
    ("now_s", "retention", "left"),
    [
        (AT + HOUR_S + 2 * DAY_S - 1, days(2, None), EVERY),
        (AT + HOUR_S + 2 * DAY_S, days(2, None), EVERY[1:]),
        (AT + 2 * HOUR_S + 2 * DAY_S, days(2, 2), ["a-2", "b-2"]),
        (AT + 99 * DAY_S, days(None, 2), EVERY[:3]),
        (AT + 2 * HOUR_S, days(0, 0.5), ["a-2", *EVERY[3:]]),
        (AT + 9999 * DAY_S, FOR_EVER, EVERY),
        (AT - 9999 * DAY_S, days(0, 0), EVERY),
    ],
)
def test_hours_go_that_were_over_so_many_days_ago(
    log: Path, now_s: float, retention: Retention, left: list[str]
) -> None:
    sweep(log, now_s, retention)

    assert ids(log) == ids(log, "bodies") == left


def test_a_dry_run_says_what_would_go_and_leaves_it(log: Path) -> None:
    would = sweep(log, AT + 99 * DAY_S, days(None, 2), dry_run=True)
    assert ids(log) == EVERY

    did = sweep(log, AT + 99 * DAY_S, days(None, 2))

    assert would == did
    assert (did.files, did.by_segment) == (6, {"b": 6})
    assert did.size > 0
    assert sweep(log, AT + 99 * DAY_S, days(None, 2)).files == 0


def test_nothing_is_left_of_an_empty_folder(log: Path) -> None:
    sweep(log, AT + 99 * DAY_S, days(1, None))

    assert list((log / "features" / "segment=a").iterdir()) == []
    assert len(list((log / "features" / "segment=b").iterdir())) == 2


def test_facts_only_means_that_earlier_bodies_go_too(log: Path) -> None:
    sweep(log, AT, Retention({"a": Rule("features", None)}, Rule("raw", None)))

    assert ids(log) == EVERY
    assert ids(log, "bodies") == ["b-0", "b-1", "b-2"]


def test_redacted_means_that_earlier_raw_bodies_go_and_redacted_ones_stay(log: Path) -> None:
    retention = Retention({"a": Rule("redacted", None)}, Rule("raw", None))
    write(log, [whole("a-3", segment="a")])
    compact(log, AT, retention=retention)

    sweep(log, AT, retention)

    assert ids(log, "bodies") == ["a-3", "b-0", "b-1", "b-2"]
    assert ids(log) == sorted([*EVERY, "a-3"])


def test_a_file_is_unlinked_and_never_written_anew(log: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in log.rglob("*.parquet")}

    sweep(log, AT + HOUR_S + 2 * DAY_S, days(2, 2))

    after = {path: path.stat().st_mtime_ns for path in log.rglob("*.parquet")}
    assert len(after) == 8
    assert after.items() < before.items()


def test_compaction_goes_on_after_a_sweep(log: Path) -> None:
    write(log, [whole("a-9", segment="a")])
    sweep(log, AT + 99 * DAY_S, days(1, 1))

    compact(log, AT + 99 * DAY_S)

    assert ids(log) == ["a-9"]


def test_a_log_in_use_is_not_swept_but_may_be_looked_at(log: Path) -> None:
    lock = FolderLock(log)

    with pytest.raises(StoreError, match="in use by process"):
        sweep(log, AT, FOR_EVER)
    assert sweep(log, AT, FOR_EVER, dry_run=True).files == 0
    lock.close()


def test_segments_with_odd_names_have_their_rule(tmp_path: Path) -> None:
    write(tmp_path, [whole("a", segment=""), whole("b", segment="x/y z")])
    compact(tmp_path, AT)

    sweep(tmp_path, AT + DAY_S, Retention({"": Rule("raw", 0), "x/y z": Rule("raw", None)}, Rule("raw", None)))

    assert ids(tmp_path) == ["b"]


@pytest.mark.parametrize(("mode", "kept_days"), [("all", 1), ("raw", -1), ("raw", float("nan"))])
def test_a_rule_that_is_none_is_an_input_error(mode: Any, kept_days: float) -> None:
    with pytest.raises(InputError, match="got retention"):
        Rule(mode, kept_days)
