"""GGUF to a folder that `transformers` loads: weights as safetensors, tokenizer, chat template, configuration.

    folder = converted("smollm2-135m")      # once; beside the GGUF in the cache

Input: a GGUF file of architecture llama or qwen2. Output: a folder; the weights are the numbers the quantised file
stands for, in float32 exactly, in bfloat16 rounded. One tensor is in memory at a time, and torch is not needed. The
folder is in its place only when whole.

Limits: no scaled rotary positions, no mixture of experts; see `gguf_tokenizer` for the tokenizers.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal

from spiritsafe.errors import InputError, StoreError, shown
from spiritsafe.exchanges.atomic import sync_folder
from spiritsafe.models import gguf_tokenizer
from spiritsafe.models.embedded import EMBEDDED, Embedded, Progress, fetch, place
from spiritsafe.models.gguf_file import GGUF
from spiritsafe.models.locks import locked

StoredType = Literal["float32", "bfloat16"]

CONVERTER_VERSION = 1
"""Written into every folder; a folder of another version is made again."""

STAMP = "converted.json"

BLOCK_NUMBERS = 1 << 22
"""Numbers rounded and written at a time, so that a large tensor is not in memory several times over."""

LARGEST_FLOAT32_MILLIONS = 300
"""Embedded models above this many million parameters are kept in bfloat16: half the disk, 3 significant digits."""

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}

OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}

IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Names of tensors: llama.cpp's, then transformers'."""


def converted(name: str, *, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The transformers folder of the embedded model `name`, fetched and converted where that has not been done.

    Raises:
        InputError, UpstreamError, MissingExtra, StoreError: as `embedded.get` and `convert`.
    """
    row = EMBEDDED.get(name)
    folder = place(row, cache).parent / "hf"
    stamp = _stamp(row.sha256, stored_type(row))
    if _has(folder, stamp):
        return folder
    gguf = fetch(row, cache=cache, progress=progress)
    with locked(gguf.parent / ".lock"):
        if not _has(folder, stamp):
            if progress is not None:
                progress(f"{row.name}: converting to {folder}")
            convert(gguf, folder, dtype=stored_type(row), sha256=row.sha256)
    return folder


def stored_type(row: Embedded) -> StoredType:
    """The type in which the converted weights of `row` are kept."""
    return "float32" if row.params_millions <= LARGEST_FLOAT32_MILLIONS else "bfloat16"


def _stamp(sha256: str, dtype: StoredType) -> dict[str, Any]:
    return {"gguf_sha256": sha256, "dtype": dtype, "converter_version": CONVERTER_VERSION}


def _has(folder: Path, stamp: Mapping[str, Any]) -> bool:
    path = folder / STAMP
    return path.is_file() and json.loads(path.read_bytes()) == stamp


def convert(gguf: Path, folder: Path, *, dtype: StoredType = "float32", sha256: str) -> None:
    """Write `gguf` to `folder` in the layout of transformers, in the place of what is there.

    Args:
        gguf: the file.
        folder: what is written, whole or not at all.
        dtype: type of the weights.
        sha256: of `gguf`; kept in the folder, so that one can see what it was made from.

    Raises:
        InputError: not a GGUF file, or one of another architecture or tokenizer.
        MissingExtra: numpy, gguf or tokenizers is not installed.
        StoreError: the disk did not take it.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with GGUF(gguf) as file:
            part.mkdir(parents=True)
            _write(file, part, dtype)
        _write_json(part / STAMP, _stamp(sha256, dtype))
        sync_folder(part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        sync_folder(folder.parent)
    except KeyError as error:
        raise InputError(
            f"{shown(str(gguf))} does not say {error}, which its conversion needs; fetch it again"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot write {shown(str(folder))}: {error.strerror or error}; make room there") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(file: GGUF, part: Path, dtype: StoredType) -> None:
    config = model_config(file)
    _write_json(part / "config.json", {**config, "dtype": dtype})
    _write_json(part / "generation_config.json", gguf_tokenizer.token_ids(file.metadata))
    gguf_tokenizer.tokenizer(file.metadata).save(str(part / "tokenizer.json"))
    limits = gguf_tokenizer.tokenizer_config(file.metadata, config["max_position_embeddings"])
    _write_json(part / "tokenizer_config.json", limits)
    template = file.metadata.get("tokenizer.chat_template")
    if template is not None:
        (part / "chat_template.jinja").write_text(template, encoding="utf-8")
    with (part / "model.safetensors").open("wb") as weights:
        write_weights(file, weights, dtype)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def model_config(file: GGUF) -> dict[str, Any]:
    """The fields of config.json that `file` says.

    Raises:
        InputError: another architecture, or a kind of it that is not supported.
    """
    architecture = file.metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"the file's architecture is {shown(architecture)}, wanted one of {', '.join(ARCHITECTURES)}; "
            "give a folder in the layout of transformers instead"
        )
    own = {
        key.removeprefix(f"{architecture}."): value
        for key, value in file.metadata.items()
        if key.startswith(f"{architecture}.")
    }
    if own.get("rope.scaling.type", "none") != "none" or "rope_freqs.weight" in file.tensors or "expert_count" in own:
        raise InputError("the file has scaled rotary positions or experts, which are not supported; give a folder")
    heads = own["attention.head_count"]
    return {
        "architectures": [ARCHITECTURES[architecture]],
        "model_type": architecture,
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "hidden_size": own["embedding_length"],
        "intermediate_size": own["feed_forward_length"],
        "num_hidden_layers": own["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": own.get("attention.head_count_kv", heads),
        "head_dim": own.get("attention.key_length", own["embedding_length"] // heads),
        "hidden_act": "silu",
        "max_position_embeddings": own["context_length"],
        # The file holds float32, in which this is the very same number.
        "rms_norm_eps": float(f"{own['attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": own.get("rope.freq_base", 10000.0),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        **gguf_tokenizer.token_ids(file.metadata),
    }


def their_name(name: str) -> str:
    """transformers' name of llama.cpp's tensor `name`.

    Raises:
        InputError: it is not a tensor of the known architectures.
    """
    if name in OUTER:
        return OUTER[name]
    block, _, rest = name.removeprefix("blk.").partition(".")
    tensor, _, kind = rest.rpartition(".")
    if not name.startswith("blk.") or tensor not in IN_BLOCK or kind not in ("weight", "bias"):
        raise InputError(f"tensor {shown(name)} is unknown; give a folder in the layout of transformers instead")
    return f"model.layers.{block}.{IN_BLOCK[tensor]}.{kind}"


def write_weights(file: GGUF, out: IO[bytes], dtype: StoredType) -> None:
    """Write all tensors of `file` to `out` in the safetensors format: length of the header, header, then the numbers.

    Source: the format's description in the safetensors repository.
    """
    width, word = (4, "F32") if dtype == "float32" else (2, "BF16")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in file.tensors.items():
        end = at + width * math.prod(tensor.shape)
        header[their_name(name)] = {"dtype": word, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write(len(text).to_bytes(8, "little") + text)
    for name in file.tensors:
        numbers = _as_theirs(file, name).reshape(-1)
        for at in range(0, len(numbers), BLOCK_NUMBERS):
            block = numbers[at : at + BLOCK_NUMBERS]
            out.write((block if dtype == "float32" else _bfloat16(block)).tobytes())


def _as_theirs(file: GGUF, name: str) -> Any:
    """The tensor `name` in transformers' order of rows.

    llama.cpp keeps the two halves of a rotary pair side by side in queries and keys of llama, transformers keeps all
    first halves before all second ones.
    """
    numbers = file.numbers(name)
    architecture = file.metadata["general.architecture"]
    heads = file.metadata[f"{architecture}.attention.head_count"]
    if architecture == "llama" and ".attn_k." in name:
        heads = file.metadata.get("llama.attention.head_count_kv", heads)
    elif architecture != "llama" or ".attn_q." not in name:
        return numbers
    pairs = numbers.reshape(heads, numbers.shape[0] // heads // 2, 2, *numbers.shape[1:])
    return pairs.swapaxes(1, 2).reshape(numbers.shape)


def _bfloat16(numbers: Any) -> Any:
    """`numbers` (float32) as the bits of bfloat16, rounded to nearest, ties to even; all are finite."""
    bits = numbers.view("uint32")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("uint16")
