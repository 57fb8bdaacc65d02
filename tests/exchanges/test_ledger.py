"""The ledger: found again by key, charged once, rebuilt from its log, held by one process."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import attempts, exchanges

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.entries import nanodollars
from spiritsafe.exchanges.ledger import Attempt, Ledger, Spend
from spiritsafe.exchanges.record import Exchange, Message, Usage
from spiritsafe.exchanges.segments import segment_path

KEYS = [bytes([number]) * 16 for number in range(8)]


def an_answer(number: int, answer: str = "yes", charged_to: str = "demo", dollars: float | None = 0.25) -> Exchange:
    return Exchange(
        id=KEYS[number].hex(),
        at=1.0,
        dialect="chat",
        messages=(Message("user", f"Question {number}"),),
        answer=answer,
        usage=Usage(10, 5),
        charged_to=charged_to,
        dollars=dollars,
    )


def a_failure(kind: str = "timeout", dollars: float | None = 0.5) -> Attempt:
    return Attempt(2.0, KEYS[0], "demo", kind, dollars, 10, 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger"


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    with Ledger.open(folder) as opened:
        yield opened


def first_segment(folder: Path) -> Path:
    return segment_path(folder / "segments", 1)


def contents(ledger: Ledger) -> tuple[object, ...]:
    """All that can be asked of a ledger."""
    found = [ledger.get(bytes.fromhex(one.id)) for one in ledger.exchanges()]
    spent = [ledger.spent_by_kind(name) for name in ("", "demo", "other")]
    return list(ledger.exchanges()), list(ledger.attempts()), found, spent


def test_what_was_appended_is_found_by_its_key(ledger: Ledger) -> None:
    ledger.append([an_answer(0), an_answer(1)])
    ledger.append([an_answer(2)])

    assert [ledger.get(key) for key in KEYS[:4]] == [an_answer(0), an_answer(1), an_answer(2), None]
    assert [ledger.has(key) for key in KEYS[:4]] == [True, True, True, False]


def test_an_answer_given_twice_is_found_as_the_last_and_charged_twice(ledger: Ledger) -> None:
    ledger.append([an_answer(0, "first")])
    ledger.append([an_answer(0, "second")])

    assert ledger.get(KEYS[0]) == an_answer(0, "second")
    assert ledger.spent("demo").exchanges == 2
    assert ledger.spent("demo").dollars == 0.5


def test_spending_counts_failures_and_keeps_what_is_unknown_unknown(ledger: Ledger) -> None:
    ledger.append([an_answer(0), an_answer(1, dollars=None), an_answer(2, charged_to="other")])
    ledger.append([a_failure(), a_failure(dollars=None), a_failure("malformed")])
    ledger.append([replace(an_answer(3), usage=Usage(None, 7))])

    spent = ledger.spent("demo")

    assert spent == Spend(1_500_000_000, 50, 317, exchanges=3, attempts=3, unknown_prices=2, unknown_usage=1)
    assert spent.dollars == 1.5
    assert {kind: one.attempts for kind, one in ledger.spent_by_kind("demo").items()} == {
        "answered": 0,
        "malformed": 1,
        "timeout": 2,
    }
    assert ledger.spent("nobody") == Spend()


def test_an_attempt_is_no_answer(ledger: Ledger) -> None:
    ledger.append([a_failure()])

    assert not ledger.has(KEYS[0])
    assert list(ledger.exchanges()) == []
    assert list(ledger.attempts()) == [a_failure()]


def test_a_record_that_cannot_be_stored_stores_nothing_of_its_batch(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="wanted a request key"):
        ledger.append([an_answer(0), replace(an_answer(1), id="")])

    assert not ledger.has(KEYS[0])
    assert ledger.spent("demo") == Spend()


batches = st.lists(st.lists(exchanges() | attempts(), max_size=3), max_size=4)


@settings(max_examples=20, deadline=None)
@given(batches, st.sets(st.integers(0, 3)))
def test_a_ledger_holds_the_same_opened_again_read_only_and_with_its_index_made_again(
    tmp_path_factory: pytest.TempPathFactory, given: list[list[Exchange | Attempt]], reopen_before: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger.open(folder)
    for number, batch in enumerate(given):
        if number in reopen_before:
            ledger.close()
            ledger = Ledger.open(folder)
        ledger.append(batch)
    records = [record for batch in given for record in batch]
    answers = [record for record in records if isinstance(record, Exchange)]

    before = contents(ledger)

    assert before[0] == answers
    assert before[1] == [record for record in records if isinstance(record, Attempt)]
    assert before[2] == [{one.id: one for one in answers}[one.id] for one in answers]
    assert ledger.spent("demo").nanodollars == sum(
        nanodollars(record.dollars or 0.0) for record in records if record.charged_to == "demo"
    )
    with Ledger.open(folder, read_only=True) as reader:
        assert contents(reader) == before
    ledger.close()
    for path in folder.glob("index.sqlite*"):
        path.unlink()
    with Ledger.open(folder, read_only=True) as reader:
        assert contents(reader) == before
    with Ledger.open(folder) as ledger:
        assert contents(ledger) == before


def keep_an_old_copy(folder: Path) -> None:
    """The index as it was before the last batch."""
    shutil.copy(folder / "index.sqlite", folder / "old")
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(4)])
    (folder / "old").replace(folder / "index.sqlite")


def replace_by_rubbish(folder: Path) -> None:
    (folder / "index.sqlite").write_bytes(b"no database" * 1000)


def make_of_another_version(folder: Path) -> None:
    with sqlite3.connect(folder / "index.sqlite") as one:
        one.execute("PRAGMA user_version = 99")


def replace_the_segment(folder: Path) -> None:
    """Another log under the old index, as after a restored copy."""
    shutil.rmtree(folder / "segments")
    with Ledger.open(folder.parent / "another") as another:
        another.append([an_answer(5), an_answer(6), an_answer(7)])
    shutil.copytree(folder.parent / "another" / "segments", folder / "segments")


def cut_the_last_batch_off(folder: Path) -> None:
    """The log as it was before the last batch, under a newer index."""
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(4)])
    second = segment_path(folder / "segments", 2)
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(5)])
    second.write_bytes(second.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        (keep_an_old_copy, {0, 1, 4}),
        (replace_by_rubbish, {0, 1}),
        (make_of_another_version, {0, 1}),
        (replace_the_segment, {5, 6, 7}),
        (cut_the_last_batch_off, {0, 1, 5}),
        (lambda folder: first_segment(folder).unlink(), set()),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_an_index_that_does_not_fit_the_log_is_made_again(
    folder: Path, harm: Callable[[Path], None], left: set[int], read_only: bool
) -> None:
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(0), an_answer(1)])
    harm(folder)

    with Ledger.open(folder, read_only=read_only) as ledger:
        assert {number for number, key in enumerate(KEYS) if ledger.has(key)} == left
        assert ledger.spent("demo").exchanges == len(left)
        assert {one.id for one in ledger.exchanges()} == {KEYS[number].hex() for number in left}


def test_a_torn_tail_is_reported_and_costs_nothing_before_it(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(0)])
    path = first_segment(folder)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"FRME half a frame")

    with Ledger.open(folder) as ledger:
        assert ledger.get(KEYS[0]) == an_answer(0)
        assert [(torn.path, torn.offset, torn.length) for torn in ledger.torn] == [(path, size, 17)]
        ledger.append([an_answer(1)])
    with Ledger.open(folder, read_only=True) as ledger:
        assert ledger.has(KEYS[1])


def damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_damage_in_the_middle_is_named_and_what_is_before_it_can_be_read(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(0)])
        offset = first_segment(folder).stat().st_size
        ledger.append([an_answer(1)])
        ledger.append([an_answer(2)])
    damage(first_segment(folder), offset + 40)

    with Ledger.open(folder) as ledger:  # the index is up to date, so nothing is read before it is asked for
        assert (ledger.get(KEYS[0]), ledger.get(KEYS[2])) == (an_answer(0), an_answer(2))
        with pytest.raises(StoreError, match=f"damaged at offset {offset}"):
            ledger.get(KEYS[1])
        rows = ledger.exchanges()
        assert next(rows) == an_answer(0)
        with pytest.raises(StoreError, match=f"{first_segment(folder)} is damaged at offset {offset}"):
            next(rows)
    (folder / "index.sqlite").unlink()
    with pytest.raises(StoreError, match="salvage"):
        Ledger.open(folder)


SECOND = """
import sys
from pathlib import Path
from spiritsafe.errors import StoreError
from spiritsafe.exchanges.ledger import Ledger
try:
    Ledger.open(Path(sys.argv[1]))
except StoreError as error:
    print(error)
with Ledger.open(Path(sys.argv[1]), read_only=True) as ledger:
    print(ledger.spent("demo").exchanges)
"""


def test_a_second_process_is_told_who_has_it_and_may_read(ledger: Ledger, folder: Path) -> None:
    ledger.append([an_answer(0)])

    done = subprocess.run([sys.executable, "-c", SECOND, folder], capture_output=True, text=True, check=True)

    refusal, count = done.stdout.splitlines()
    assert f"in use by process {os.getpid()};" in refusal
    assert count == "1"


def test_a_closed_ledger_can_be_opened_again_in_the_same_process(folder: Path) -> None:
    first = Ledger.open(folder)
    with pytest.raises(StoreError, match="in use"):
        Ledger.open(folder)
    first.close()
    first.close()

    Ledger.open(folder).close()


def test_a_reader_sees_the_ledger_as_it_was_when_it_was_opened(ledger: Ledger, folder: Path) -> None:
    ledger.append([an_answer(0)])
    with Ledger.open(folder, read_only=True) as reader:
        ledger.append([an_answer(1)])

        assert (reader.has(KEYS[0]), reader.has(KEYS[1])) == (True, False)
        with pytest.raises(StoreError, match="read-only"):
            reader.append([an_answer(2)])


def test_reading_changes_neither_log_nor_index(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(0)])
        ledger.lease("demo").raise_to(1.0, 10)
    files = [first_segment(folder), folder / "index.sqlite"]
    before = [path.read_bytes() for path in files]

    with Ledger.open(folder, read_only=True) as ledger:
        assert ledger.spent("demo").attempts == 0

    assert [path.read_bytes() for path in files] == before
    assert list((folder / "segments").iterdir()) == files[:1]


def test_there_is_nothing_to_read_where_there_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger"):
        Ledger.open(tmp_path, read_only=True)


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot make ledger"):
        Ledger.open(tmp_path / "file" / "ledger")


def test_appending_after_closing_is_a_store_error(folder: Path) -> None:
    ledger = Ledger.open(folder)
    ledger.close()

    with pytest.raises(StoreError, match="closed"):
        ledger.append([an_answer(0)])


def test_a_batch_whose_index_fails_is_stored_and_nothing_is_after_it(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        with sqlite3.connect(folder / "index.sqlite") as one:
            one.execute("DROP TABLE spending")
        with pytest.raises(StoreError, match="stored the batch but not its index"):
            ledger.append([an_answer(0)])
        with pytest.raises(StoreError, match="closed"):
            ledger.append([an_answer(1)])
        with pytest.raises(StoreError, match="remove the file: it is made again"):
            ledger.spent("demo")
    (folder / "index.sqlite").unlink()

    with Ledger.open(folder) as ledger:
        assert (ledger.has(KEYS[0]), ledger.has(KEYS[1])) == (True, False)


def test_a_settled_lease_costs_nothing(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        lease = ledger.lease("demo")
        lease.raise_to(2.0, 500)
        lease.settle()

    with Ledger.open(folder) as ledger:
        assert ledger.spent("demo") == Spend()


@pytest.mark.parametrize("index_lost", [True, False])
def test_a_left_lease_is_charged_once_and_in_full(folder: Path, index_lost: bool) -> None:
    with Ledger.open(folder) as ledger:
        ledger.append([an_answer(0)])
        ledger.lease("demo").raise_to(2.0, 500)
        ledger.lease("other").raise_to(None, 70)
    if index_lost:
        (folder / "index.sqlite").unlink()

    for _ in range(2):
        with Ledger.open(folder, now_s=lambda: 99.0) as ledger:
            assert ledger.spent_by_kind("demo")["crashed"] == Spend(2_000_000_000, 0, 500, attempts=1)
            assert ledger.spent("other") == Spend(0, 0, 70, attempts=1, unknown_prices=1)
            assert Attempt(99.0, b"", "demo", "crashed", 2.0, 0, 500) in list(ledger.attempts())


def test_one_lease_at_a_time_for_one_budget(ledger: Ledger) -> None:
    first = ledger.lease("demo")
    with pytest.raises(StoreError, match="held already"):
        ledger.lease("demo")
    first.settle()

    ledger.lease("demo").raise_to(1.0, 1)


def test_a_batch_of_many_bytes_is_several_frames_and_one_ledger(folder: Path) -> None:
    long = [replace(an_answer(number), answer="x" * 3_000_000) for number in range(4)]

    with Ledger.open(folder) as ledger:
        ledger.append(long)

        assert [ledger.get(key) for key in KEYS[:4]] == long
        assert list(ledger.exchanges()) == long


def test_the_ledger_starts_without_anything_heavy() -> None:
    code = "import sys, spiritsafe.exchanges.ledger, spiritsafe.exchanges.logprobs; print(' '.join(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )

    assert not loaded & {"numpy", "asyncio", "pyarrow", "pydantic", "torch"}
