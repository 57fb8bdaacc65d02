"""kill -9 at every step that changes the disk: the next pass goes on, and every exchange is there once."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.guard.log.logged import AT, ended, received, whole, write

from spiritsafe.guard.log.compact import compact

pytest.importorskip("pyarrow")

TWO_HOURS_S = 7200.0

MEMORY = Path("/dev/shm")
"""Most of the time would be that of syncing a disk, and a process that is killed loses no byte that is not synced."""

KILLED = """
import os, shutil, signal, sys
import pyarrow.parquet
from pathlib import Path
from spiritsafe.guard.log.compact import compact
from spiritsafe.guard.log.parts import read_parts

template, folder, now_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
kill_at, steps = 0, 0

def watch(event, arguments):
    global steps
    changes = event in ("os.rename", "os.remove", "os.mkdir") or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    )
    if kill_at and changes:
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

def killed_pass(at):
    global kill_at
    child = os.fork()
    if child == 0:
        kill_at = at
        compact(folder, now_s)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0

def ids(kind):
    return sorted(row["id"] for row in read_parts(sorted((folder / kind).rglob("*.parquet"))))

sys.addaudithook(watch)
at, stride, again = 0, int(sys.argv[4]), int(sys.argv[5])
while True:
    at += stride
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    was_killed = killed_pass(at)
    if was_killed and again:
        killed_pass(1 + at * again % 23)
    compact(folder, now_s)
    left = [path.name for name in ("segments", "staging") for path in (folder / name).iterdir()]
    files = [len(list((folder / kind).rglob("*.parquet"))) for kind in ("features", "bodies")]
    print(at, ids("features"), ids("bodies"), left, files)
    if not was_killed:
        break
"""


@pytest.mark.parametrize(("stride", "again"), [(1, 0), (4, 7)])
def test_a_pass_that_is_killed_anywhere_loses_and_doubles_nothing(tmp_path: Path, stride: int, again: int) -> None:
    template = tmp_path / "template"
    for name in ("a", "b"):
        write(template, [whole(name)])
        compact(template, AT)
    write(template, [received("c"), whole("d")], [whole("e", at=AT + 3600)])
    write(template, [ended("c"), received("f")])

    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        lines = killed_passes(template, Path(folder) / "log", stride, again)

    assert len(lines) > 40 // stride
    every = ["a", "b", "c", "d", "e", "f"]
    assert [line.partition(" ")[2] for line in lines] == [f"{every} {every} [] [2, 2]"] * len(lines)


def killed_passes(template: Path, folder: Path, stride: int, again: int) -> list[str]:
    """What was there after each of the passes that were killed, and another one."""
    arguments = [template, folder, AT + TWO_HOURS_S, stride, again]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
