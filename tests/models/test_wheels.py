"""Wheels through pip itself, from a folder instead of an index."""

import zipfile
from pathlib import Path

import pytest

from spiritsafe.errors import UpstreamError
from spiritsafe.models.wheels import _last_word, download_wheel


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with one wheel that depends on something that does not exist."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    with zipfile.ZipFile(folder / "onlydata-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("onlydata/piece.bin", b"GGUF")
        wheel.writestr(
            "onlydata-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: onlydata\nVersion: 1.0\nRequires-Dist: no-such-package-anywhere\n",
        )
        wheel.writestr("onlydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("onlydata-1.0.dist-info/RECORD", "")
    return folder


def downloaded(shelf: Path, version: str) -> Path:
    into = shelf.parent / "into"
    into.mkdir()
    return download_wheel("onlydata", version, into, options=("--isolated", "--no-index", "--find-links", str(shelf)))


def test_the_wheel_comes_alone_without_what_it_depends_on(shelf: Path) -> None:
    path = downloaded(shelf, "1.0")

    assert path.read_bytes() == (shelf / path.name).read_bytes()
    assert list(path.parent.iterdir()) == [path]


def test_a_version_that_is_not_there_is_pips_own_word_in_one_line(shelf: Path) -> None:
    with pytest.raises(UpstreamError, match=r"onlydata==2\.0 .*from versions: 1\.0") as caught:
        downloaded(shelf, "2.0")

    assert caught.value.kind == "unreachable"
    assert "\n" not in str(caught.value)


def test_a_password_in_an_address_is_not_repeated() -> None:
    said = _last_word("WARNING: x\nERROR: 401 for https://user:secret@example.org/simple\nERROR: another\n")

    assert said == "401 for https://example.org/simple"


def test_silence_is_said_to_be_silence() -> None:
    assert _last_word("\n") == "it said nothing"
