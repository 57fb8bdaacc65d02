"""Files of exchanges as a watch wants them: in the order of time, each once, and nothing wrong in them stops it."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guard.watch.worlds import AT, asked, little_log, little_reference

from spiritsafe.errors import InputError
from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.watch.epochs import epoch_of, epochs, in_order
from spiritsafe.guard.watch.logs import Logs
from spiritsafe.guard.watch.watch import Watch


def line(exchange: Exchange) -> bytes:
    return dumps(exchange).rstrip(b"\n") + b"\n"


def changed(exchange: Exchange, **fields: object) -> bytes:
    """A line with some fields set to something else, or taken away where None."""
    row = orjson.loads(line(exchange)) | fields
    return orjson.dumps({name: value for name, value in row.items() if value is not None}) + b"\n"


def logs(folder: Path, *files: Sequence[bytes]) -> Logs:
    paths = [folder / f"{number}.jsonl" for number in range(len(files))]
    for path, lines in zip(paths, files, strict=True):
        path.write_bytes(b"".join(lines))
    return Logs(paths)


GOOD = [asked(f"Question {number}", at=AT + number) for number in range(6)]

BAD: dict[str, tuple[bytes, str]] = {
    "no account": (changed(GOOD[0], account=None), "no account"),
    "an empty account": (changed(GOOD[0], account=""), "no account"),
    "an account of no kind": (changed(GOOD[0], account=["a"]), "no account"),
    "no time": (changed(GOOD[0], at=None), "no time"),
    "a time of no kind": (changed(GOOD[0], at="now"), "no time"),
    "time 0": (changed(GOOD[0], at=0), "no time"),
    "a time beyond all": (changed(GOOD[0], at=1e300), "no time"),
    "no JSON": (b"hello\n", "not JSON"),
    "half a line": (line(GOOD[0])[:40] + b"\n", "not JSON"),
    "no UTF-8": (b'{"account": "\xff\xfe"}\n', "not JSON"),
    "NaN": (b'{"account": "a", "at": NaN}\n', "not JSON"),
    "a list": (b"[1, 2]\n", "no account"),
    "a number": (b"7\n", "no account"),
    "too deep": (b"[" * 5_000 + b"]" * 5_000 + b"\n", "not JSON"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_exchange_is_counted_and_passed_over(tmp_path: Path, bad: bytes, reason: str) -> None:
    found = logs(tmp_path, [line(GOOD[1]), b"\n", bad, line(GOOD[2])])

    assert [one.id for one in found] == [GOOD[1].id, GOOD[2].id]
    assert found.passed.reasons == {reason: 1}
    assert found.passed.first == {reason: f"{tmp_path / '0.jsonl'}:3"}


def test_a_line_whose_fields_are_wrong_is_counted_once_however_often_a_log_is_gone_through(tmp_path: Path) -> None:
    found = logs(tmp_path, [line(GOOD[1]), changed(GOOD[0], id="bad", messages=7), line(GOOD[2])])
    for _ in range(3):
        assert [one.id for one in found] == [GOOD[1].id, GOOD[2].id]

    assert sum(found.passed.reasons.values()) == 1
    assert not any("\n" in reason for reason in found.passed.reasons)


@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_exchanges_come_by_time_and_once_from_files_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, random: Random, count: int
) -> None:
    lines = [line(one) for one in GOOD] + [line(one) for one in random.choices(GOOD, k=4)]
    random.shuffle(lines)
    found = logs(tmp_path_factory.mktemp("log"), *(lines[place::count] for place in range(count)))

    assert list(found) == GOOD
    assert len(found) == len(GOOD)
    assert found.passed.duplicates == 4
    assert not found.passed.reasons


def test_a_log_in_order_has_nothing_to_report(tmp_path: Path) -> None:
    found = logs(tmp_path, [line(one) for one in GOOD])

    assert (found.passed.duplicates, found.passed.unordered) == (0, 0)
    assert logs(tmp_path, [line(one) for one in GOOD[::-1]]).passed.unordered == 5
    late_first = [GOOD[5], *GOOD[:5]]
    assert logs(tmp_path, [line(one) for one in late_first]).passed.unordered == 5
    overlapping = [[line(one) for one in GOOD[start::2]] for start in (1, 0)]
    assert logs(tmp_path, *overlapping).passed.unordered == 0


def test_a_last_line_without_an_end_counts(tmp_path: Path) -> None:
    assert list(logs(tmp_path, [line(GOOD[0]), line(GOOD[1]).rstrip()])) == GOOD[:2]


def test_exchanges_without_an_id_are_told_apart_by_what_they_say(tmp_path: Path) -> None:
    lines = [changed(one, id="") for one in GOOD]

    assert len(logs(tmp_path, lines, lines[:3])) == len(GOOD)


@given(st.randoms(use_true_random=False))
def test_exchanges_of_one_moment_without_an_id_all_count_whatever_their_order(random: Random) -> None:
    said = [asked(f"Question {number}", at=AT, id="") for number in range(5)]
    mixed = said + said[:2]
    random.shuffle(mixed)

    assert len(in_order(said)) == 5
    assert in_order(mixed) == in_order(said)


def test_a_folder_is_gone_through_and_one_without_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    with pytest.raises(InputError, match=r"without a \.jsonl file"):
        Logs([tmp_path])
    (tmp_path / "deep" / "a.jsonl").write_bytes(line(GOOD[0]))
    (tmp_path / "notes.txt").write_bytes(b"no log")

    assert list(Logs([tmp_path])) == GOOD[:1]


@pytest.mark.parametrize("held", [b"", b"\n\n", b"hello\n"])
def test_a_log_without_an_exchange_is_refused(tmp_path: Path, held: bytes) -> None:
    with pytest.raises(InputError, match="without an exchange") as caught:
        logs(tmp_path, [held])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        Logs([tmp_path / "none.jsonl"])


def test_a_watch_goes_on_over_empty_and_huge_prompts_and_odd_times(tmp_path: Path) -> None:
    odd = [
        asked("", "empty", AT),
        asked(" \n\t", "blank", AT + 1),
        Exchange("no messages", AT + 2, "chat", (), account="none"),
        asked("word " * 2_000_000, "huge", AT + 3, id="huge"),
        asked("x" * 10_000_000, "long", AT + 4, id="long"),
        asked("\U0001f642\u0000\u202e" * 50, "signs", AT + 5, id="signs"),
        asked("Early", "early", 0.5),
        asked("In milliseconds", "late", AT * 1_000),
        asked("In the last second", "last", 2.0**53 - 1),
    ]
    watch = Watch(little_reference())
    alarms = list(watch.take(logs(tmp_path, [line(one) for one in odd])))

    assert watch.seen == len(odd)
    assert sorted(watch.accounts.sketches.names) == sorted(one.account for one in odd)
    assert not [one for one in alarms if one.scope == "campaign"]


def test_one_account_with_all_traffic_is_watched_and_no_campaign() -> None:
    said = [asked(f"What is {number} times {number + 1}?", "all", AT + number) for number in range(3_000)]
    watch = Watch(little_reference())
    alarms = list(watch.take(said))

    assert watch.accounts.sketches.columns["seen"][0] == 3_000
    assert not alarms
    assert not watch.campaigns


def test_epochs_are_ten_minutes_each_in_order_and_without_repeats() -> None:
    said = [*little_log()]
    found = list(epochs(said))

    assert [number for number, _ in found] == sorted({epoch_of(one.at) for one in said})
    assert all(epoch_of(one.at) == number for number, held in found for one in held)
    assert [one for _, held in found for one in held] == said


@given(st.randoms(use_true_random=False))
def test_the_order_within_an_epoch_does_not_depend_on_the_order_of_coming(random: Random) -> None:
    said = [asked(f"Question {number}", at=AT + number // 3, id=f"{number}") for number in range(12)]
    mixed = said + random.choices(said, k=5)
    random.shuffle(mixed)

    assert in_order(mixed) == in_order(said)
    assert sorted(in_order(mixed), key=id) == sorted(said, key=id)
