"""GGUF: the header and the tensors of one file of llama.cpp's format, read without loading it.

Input: a path. Output: metadata as Python values, and tensors as float32 arrays, one at a time. The package `gguf` knows
how each quantised type becomes numbers and is used for that; its reader makes an array of every token and takes 5
seconds for a vocabulary of 49,000, this one 0.1.

Limits: versions 2 and 3, little-endian; the numbers need the extra 'distil'.
Source: the GGUF specification in the ggml repository, docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spiritsafe.errors import InputError, MissingExtra, shown

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Value types that are one number, as `struct` writes them."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies.

    Attributes:
        name: its name in llama.cpp, e.g. "blk.0.attn_q.weight".
        shape: rows first, as torch has it (the file has it reversed).
        type: number of the ggml type.
        offset: bytes from the start of the file.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


class GGUF:
    """One open file; close it, or use it in a `with`.

    Attributes:
        metadata: every key with its value.
        tensors: where each tensor lies, by name, in file order.

    Raises:
        InputError: the file cannot be read or is not GGUF.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map = _mapped(path)
        try:
            self.metadata, self.tensors = _header(self._map)
        except (struct.error, KeyError, ValueError, TypeError, RecursionError) as error:
            self.close()
            raise InputError(f"{shown(str(path))} is no whole GGUF file ({error}); fetch it again") from None

    def __enter__(self) -> GGUF:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; at once, or when an array that an error in flight still holds is gone."""
        with suppress(BufferError):
            self._map.close()

    def numbers(self, name: str) -> Any:
        """The tensor `name` as a float32 numpy array of its shape.

        Raises:
            InputError: there is no such tensor, it has a type without numbers, or the file ends before it does.
            MissingExtra: numpy or gguf is not installed.
        """
        try:
            import numpy
            from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
            from gguf.quants import dequantize
        except ImportError:
            raise MissingExtra.of("reading weights from a GGUF file", "distil") from None
        tensor = self.tensors.get(name)
        if tensor is None:
            raise InputError(f"{shown(str(self._path))} has no tensor {shown(name)}; is it another architecture?")
        try:
            kind = GGMLQuantizationType(tensor.type)
            block_numbers, block_bytes = GGML_QUANT_SIZES[kind]
            *rows, columns = tensor.shape
            shape = (*rows, columns // block_numbers * block_bytes)
            raw = numpy.frombuffer(self._map, numpy.uint8, math.prod(shape), tensor.offset).reshape(shape)
            # Numbers that are float32 already come back as a view of the file, which would keep it open.
            is_view = kind == GGMLQuantizationType.F32
            return dequantize(raw, kind).astype(numpy.float32, copy=is_view).reshape(tensor.shape)
        except (ValueError, OverflowError, NotImplementedError) as error:
            raise InputError(f"tensor {shown(name)} of {shown(str(self._path))} cannot be read: {error}") from None


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {shown(str(path))}: {reason}; give the path of a GGUF file") from None


class _Cursor:
    """A place in the file that moves on as things are read."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        length = self.number("<Q")
        end = self.at + length
        if end > len(self.data):
            raise ValueError("a string goes past its end")
        text = self.data[self.at : end].decode()
        self.at = end
        return text

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.array()
        return self.number(SCALARS[kind])

    def array(self) -> list[Any]:
        kind, count = self.number("<I"), self.number("<Q")
        if count > len(self.data):
            raise ValueError("an array goes past its end")
        if kind in SCALARS:
            form = f"<{count}{SCALARS[kind][1]}"
            values = struct.unpack_from(form, self.data, self.at)
            self.at += struct.calcsize(form)
            return list(values)
        read: Callable[[], Any] = self.text if kind == STRING else self.array
        return [read() for _ in range(count)]


def _header(data: mmap.mmap) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if data[:4] != MAGIC:
        raise ValueError(f"it begins with {bytes(data[:4])!r}")
    cursor = _Cursor(data)
    cursor.at = len(MAGIC)
    version = cursor.number("<I")
    if version not in VERSIONS:
        raise ValueError(f"version {version} is not one of {VERSIONS}")
    tensor_count, key_count = cursor.number("<Q"), cursor.number("<Q")
    metadata = {}
    for _ in range(key_count):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.number("<I"))
    found = [_tensor(cursor) for _ in range(tensor_count)]
    align = metadata.get("general.alignment") or 32
    start = -(-cursor.at // align) * align
    return metadata, {one.name: Tensor(one.name, one.shape, one.type, start + one.offset) for one in found}


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text()
    dimensions = [cursor.number("<Q") for _ in range(cursor.number("<I"))]
    return Tensor(name, tuple(reversed(dimensions)), cursor.number("<I"), cursor.number("<Q"))
