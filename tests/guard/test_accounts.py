"""Accounts, on real files: who is found, for how long, and what a stolen or broken file gives away."""

import sqlite3
from multiprocessing import get_context
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, StoreError
from spiritsafe.guard.accounts import SEGMENTS, Accounts
from spiritsafe.guard.keys import new_key


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_new_account_is_found_by_its_key_and_by_no_other(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        key, other = accounts.add("acme"), accounts.add("globex", segment="batch")

        found = accounts.find(key)
        assert found is not None
        assert (found.name, found.segment) == ("acme", "ordinary")
        second = accounts.find(other)
        assert second is not None
        assert second.segment == "batch"
        for wrong in (new_key(), key[:-1], key + "0", key.upper(), "", "ss-", "ss-é\ud800", "a" * 10_000):
            assert accounts.find(wrong) is None


def test_what_is_kept_holds_no_key(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        keys = [accounts.add("acme"), accounts.rotate("acme")]

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for key in keys:
        assert key.encode()[8:] not in stored


def test_the_files_are_the_owners_alone(tmp_path: Path) -> None:
    with Accounts.open(tmp_path / "new") as accounts:
        accounts.add("acme")

        for path in (tmp_path / "new").iterdir():
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_after_a_rotation_the_old_key_lives_for_the_overlap(tmp_path: Path) -> None:
    clock = Clock()
    with Accounts.open(tmp_path, now_s=clock) as accounts:
        old = accounts.add("acme")
        new = accounts.rotate("acme", overlap_s=60.0)

        assert accounts.find(old) == accounts.find(new) == accounts.get("acme")
        assert len(accounts.get("acme").hints) == 2
        clock.now_s += 60.0
        assert accounts.find(old) is None
        assert accounts.find(new) is not None
        assert len(accounts.get("acme").hints) == 1


def test_a_second_rotation_gives_an_ending_key_no_more_time(tmp_path: Path) -> None:
    clock = Clock()
    with Accounts.open(tmp_path, now_s=clock) as accounts:
        first = accounts.add("acme")
        accounts.rotate("acme", overlap_s=60.0)
        accounts.rotate("acme", overlap_s=3600.0)
        clock.now_s += 61.0

        assert accounts.find(first) is None


def test_revoking_ends_every_key_and_stays(tmp_path: Path) -> None:
    clock = Clock()
    with Accounts.open(tmp_path, now_s=clock) as accounts:
        keys = [accounts.add("acme"), accounts.rotate("acme")]
        accounts.revoke("acme")
        clock.now_s += 5.0
        accounts.revoke("acme")

        assert [accounts.find(key) for key in keys] == [None, None]
        assert (accounts.get("acme").revoked_at, accounts.get("acme").hints) == (1000.0, ())
        with pytest.raises(InputError, match=r"acme.* is revoked"):
            accounts.rotate("acme")
    with Accounts.open(tmp_path, now_s=clock) as accounts:
        assert accounts.find(keys[0]) is None


def test_a_revocation_is_seen_at_once_by_whoever_else_has_the_file_open(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as one, Accounts.open(tmp_path) as other:
        key = one.add("acme")
        seen = other.changes()
        assert other.find(key) is not None

        one.revoke("acme")

        assert other.changes() != seen
        assert other.find(key) is None


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "é", "a" * 129, "a\n", "../x"])
def test_a_name_that_a_log_could_misread_is_refused(tmp_path: Path, name: str) -> None:
    with Accounts.open(tmp_path) as accounts, pytest.raises(InputError, match="wanted up to 128 letters"):
        accounts.add(name)


def test_what_is_not_there_or_there_already_is_said_and_changes_nothing(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        key = accounts.add("acme")
        before = (accounts.all(), accounts.changes())

        with pytest.raises(InputError, match=r"acme.* is there already"):
            accounts.add("acme", segment="batch")
        with pytest.raises(InputError, match="wanted one of ordinary, batch"):
            accounts.add("new", segment="gold")
        with pytest.raises(InputError, match="wanted one of ordinary, batch"):
            accounts.set_segment("acme", "gold")
        for act in (accounts.rotate, accounts.revoke, lambda name: accounts.set_segment(name, "batch")):
            with pytest.raises(InputError, match=r"nobody.*wanted one that exists"):
                act("nobody")

        assert (accounts.all(), accounts.changes()) == before
        assert accounts.find(key) is not None


@pytest.mark.parametrize("segment", SEGMENTS)
def test_an_account_can_be_put_under_any_contract(tmp_path: Path, segment: str) -> None:
    with Accounts.open(tmp_path) as accounts:
        key = accounts.add("acme")
        accounts.set_segment("acme", segment)

        found = accounts.find(key)
        assert found is not None
        assert found.segment == segment


def test_a_lost_pepper_is_said_and_not_replaced(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        accounts.add("acme")
    (tmp_path / "pepper").unlink()

    with pytest.raises(StoreError, match=r"pepper.* is gone"):
        Accounts.open(tmp_path)
    assert not (tmp_path / "pepper").exists()


@pytest.mark.parametrize("pepper", [b"", b"short", b"x" * 33])
def test_a_damaged_pepper_is_said(tmp_path: Path, pepper: bytes) -> None:
    Accounts.open(tmp_path).close()
    (tmp_path / "pepper").write_bytes(pepper)

    with pytest.raises(StoreError, match="wanted 32; restore it"):
        Accounts.open(tmp_path)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "guard.sqlite").write_bytes(b"not a database" * 100)

    with pytest.raises(StoreError, match=r"guard\.sqlite.*check the folder"):
        Accounts.open(tmp_path)


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        accounts.add("acme")
        with sqlite3.connect(tmp_path / "guard.sqlite") as db:
            db.execute("create trigger no_keys before insert on keys begin select raise(abort, 'full'); end")
        db.close()

        with pytest.raises(StoreError, match="full"):
            accounts.add("globex")

        assert [account.name for account in accounts.all()] == ["acme"]


def _add_some(folder: Path, who: int) -> None:
    with Accounts.open(folder) as accounts:
        for n in range(20):
            accounts.add(f"account-{who}-{n}")


def test_several_processes_may_add_at_once(tmp_path: Path) -> None:
    spawn = get_context("spawn")
    others = [spawn.Process(target=_add_some, args=(tmp_path, who)) for who in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join()

    assert [other.exitcode for other in others] == [0, 0, 0]
    with Accounts.open(tmp_path) as accounts:
        assert len(accounts.all()) == 60
        assert accounts.changes() == 60


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    Accounts.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "guard.sqlite") as db:
        db.execute("pragma application_id = 99")

    with pytest.raises(StoreError, match="version 99"):
        Accounts.open(tmp_path)


def test_what_is_noted_of_an_account_is_on_its_keys(tmp_path: Path) -> None:
    with Accounts.open(tmp_path) as accounts:
        accounts.add("acme")
        accounts.note("acme", {"org": "Acme", "payment": "9f2c"})
        accounts.note("acme", {"payment": ""})

        assert accounts.get("acme").facts == {"org": "Acme"}
        assert [key.facts for key in accounts.working_keys()] == [{"org": "Acme"}]
        with pytest.raises(InputError, match="shoe_size"):
            accounts.note("acme", {"shoe_size": "43"})
