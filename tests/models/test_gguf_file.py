"""Reading GGUF: the numbers and words the `gguf` package reads too, and a clear word for a damaged file."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.models.gguf_file import GGUF

METADATA = {
    "a.text": "naïve ½",
    "a.flag": True,
    "a.count": 2**40,
    "a.ratio": 0.5,
    "a.words": ["", "x", "日本"],
    "a.ints": [1, -2, 3],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    path = tmp_path_factory.mktemp("gguf") / "x.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_string("a.text", "naïve ½")
    writer.add_bool("a.flag", True)
    writer.add_uint64("a.count", 2**40)
    writer.add_float32("a.ratio", 0.5)
    writer.add_array("a.words", ["", "x", "日本"])
    writer.add_array("a.ints", [1, -2, 3])
    rows = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    writer.add_tensor("plain", rows)
    writer.add_tensor("half", rows.astype(np.float16))
    for kind in (GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_1):
        writer.add_tensor(kind.name, quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read_all(path: Path) -> None:
    with GGUF(path) as file:
        for name in file.tensors:
            file.numbers(name)


def test_metadata_of_every_type_comes_back(path: Path) -> None:
    with GGUF(path) as file:
        assert {key: file.metadata[key] for key in METADATA} == METADATA
        assert file.metadata["general.architecture"] == "llama"


def test_tensors_are_the_numbers_the_gguf_package_reads(path: Path) -> None:
    from gguf import GGUFReader
    from gguf.quants import dequantize

    theirs = {one.name: dequantize(one.data, one.tensor_type) for one in GGUFReader(path).tensors}

    with GGUF(path) as file:
        assert set(file.tensors) == {"plain", "half", "Q8_0", "Q4_1"}
        for name, numbers in theirs.items():
            np.testing.assert_array_equal(file.numbers(name), numbers.reshape(6, 64))


def test_a_tensor_that_is_not_there_is_named(path: Path) -> None:
    with GGUF(path) as file, pytest.raises(InputError, match="no tensor 'other'"):
        file.numbers("other")


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.0, 0.999))
def test_a_file_cut_anywhere_is_refused_or_misses_a_tensor(path: Path, share: float) -> None:
    whole = path.read_bytes()  # of which the last bytes may only fill up
    cut = path.with_name("cut.gguf")
    cut.write_bytes(whole[: int((len(whole) - 32) * share)])

    with pytest.raises(InputError):
        read_all(cut)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 600), byte=st.integers(0, 255))
def test_a_damaged_header_never_ends_in_another_error(path: Path, at: int, byte: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[at] = byte
    cut = path.with_name("damaged.gguf")
    cut.write_bytes(damaged)

    with suppress(InputError):
        read_all(cut)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "model.bin"
    other.write_bytes(b"PK\x03\x04 and more")

    with pytest.raises(InputError, match="no whole GGUF file"):
        GGUF(other)


def test_a_missing_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()

    for name in ("none.gguf", "empty.gguf"):
        with pytest.raises(InputError, match="give the path of a GGUF file"):
            GGUF(tmp_path / name)
