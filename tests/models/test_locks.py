"""The lock: one holder at a time, free again when its holder is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from spiritsafe.errors import StoreError
from spiritsafe.models.locks import locked

HOLDER = """
import sys
from pathlib import Path
from spiritsafe.models.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_held_by_another_process_is_waited_for_and_free_when_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    waited = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        def end_the_holder() -> None:
            waited.append("once")
            holder.kill()

        with locked(path, end_the_holder):
            assert waited == ["once"]


def test_a_free_lock_is_taken_without_waiting_again_and_again(tmp_path: Path) -> None:
    waited: list[str] = []
    for _ in range(2):
        with locked(tmp_path / ".lock", lambda: waited.append("waited")):
            pass

    assert waited == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="cannot use the folder"), locked(tmp_path / "file" / ".lock"):
        pass
