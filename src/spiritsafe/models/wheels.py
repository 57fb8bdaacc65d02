"""Wheels through the user's own pip: downloaded, never installed, and nothing they depend on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spiritsafe.errors import MissingExtra, UpstreamError, shown

PIP_DOWNLOAD = (
    "-m",
    "pip",
    "download",
    "--no-deps",
    "--only-binary",
    ":all:",
    "--no-input",
    "--quiet",
    "--retries",
    "2",
)


def download_wheel(package: str, version: str, folder: Path, *, options: Sequence[str] = ()) -> Path:
    """Download the wheel of `package` at `version` into `folder`, which holds no other wheel, and return its path.

    Args:
        package, version: what pip is asked for.
        folder: an existing, empty folder.
        options: more of pip's options; its configuration files and variables apply in any case.

    Raises:
        MissingExtra: this Python has no pip.
        UpstreamError: pip found no index or no such wheel (kind "unreachable"); the message holds pip's last word.
    """
    wanted = f"{package}=={version}"
    done = subprocess.run(
        [sys.executable, *PIP_DOWNLOAD, *options, "--dest", str(folder), wanted],
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise MissingExtra("fetching a model needs pip, which this Python lacks: run  python -m ensurepip")
    raise UpstreamError(
        f"pip could not download {wanted} ({shown(_last_word(done.stderr), 200)}); check the network and pip's index",
        kind="unreachable",
        retryable=True,
    )


def _last_word(stderr: str) -> str:
    """The first error pip names, else its last line, without the user and password of an address."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return re.sub(r"://[^/@\s]*@", "://", (errors or lines[-1:])[0])
