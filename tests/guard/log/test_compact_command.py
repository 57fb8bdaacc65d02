"""The command that the gateway's supervisor runs now and then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.guard.log.logged import whole, write

from spiritsafe.guard.gateway.folder import GuardFolder
from spiritsafe.guard.log.compact import main, retention_of
from spiritsafe.guard.log.retention import Rule
from spiritsafe.guard.policy import Policy, Segment
from spiritsafe.guard.rulings import Rulings

pytest.importorskip("pyarrow")

DAYS = 1e6
"""The records of these tests are old by any clock."""


@pytest.fixture
def folder(tmp_path: Path) -> GuardFolder:
    """A gateway's data folder with a policy: bodies are kept of one segment and not of the other."""
    segments = {"ordinary": Segment(retention="raw", days=DAYS), "batch": Segment(retention="features", days=DAYS)}
    with Rulings.open(tmp_path) as rulings:
        rulings.add_policy("text", Policy("shadow", segments))
    made = GuardFolder(tmp_path)
    made.make()
    return made


def files(folder: GuardFolder, kind: str) -> list[str]:
    return sorted(path.parents[3].name for path in (folder.log / kind).rglob("*.parquet"))


def test_it_follows_the_policy_in_force(folder: GuardFolder, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder.log, [whole("a"), whole("b", segment="batch")])

    assert main([str(folder.path), "4"]) == 0

    assert files(folder, "features") == ["segment=batch", "segment=ordinary"]
    assert files(folder, "bodies") == ["segment=ordinary"]
    assert retention_of(folder.path).of("batch") == Rule("features", DAYS)
    assert capsys.readouterr().err == ""


def test_it_sweeps_too(folder: GuardFolder) -> None:
    write(folder.log, [whole("a", segment="unknown")])

    assert main([str(folder.path)]) == 0

    assert files(folder, "features") == []


def test_a_segment_stays_that_was_written_to_after_the_second_given(folder: GuardFolder) -> None:
    write(folder.log, [whole("a")])
    (segment,) = folder.segments.iterdir()
    os.utime(segment, (0, 5_000.0))

    assert main([str(folder.path), "4", "4999.5"]) == 0
    assert segment.exists()
    assert files(folder, "features") == ["segment=ordinary"]
    assert main([str(folder.path), "4", "5000.5"]) == 0
    assert not segment.exists()


def test_it_says_what_an_operator_should_know(folder: GuardFolder, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder.log, [b"what?"])

    assert main([str(folder.path)]) == 0

    assert capsys.readouterr().err == (
        "log: 1 records that are none of this log's; their segments are kept as *.damaged\n"
    )


def test_without_a_policy_it_fails_and_touches_nothing(tmp_path: Path) -> None:
    log = GuardFolder(tmp_path)
    log.make()
    write(log.log, [whole("a")])

    done = subprocess.run(
        [sys.executable, "-m", "spiritsafe.guard.log.compact", str(tmp_path)], capture_output=True, text=True
    )

    assert done.returncode == 2
    assert done.stderr.startswith("log: there is no policy yet")
    assert [path.name for path in log.segments.iterdir()] == ["00000001.seg"]
