"""Converting: the very weights, the ids llama.cpp gives, and a folder that is whole or not there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError, StoreError
from spiritsafe.models import embedded
from spiritsafe.models.convert import _bfloat16, convert, converted, their_name
from spiritsafe.models.gguf_tokenizer import token_ids

NewGguf = Callable[..., tuple[Path, Any]]

CONVERSATION = [{"role": "user", "content": "the ½ 12 a?"}]


def loaded(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer as any user of transformers would load them; every weight must have its place."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_weights_and_logits_are_those_of_the_model(
    architecture: str, tied: bool, new_gguf: NewGguf, tmp_path: Path
) -> None:
    import torch

    path, model = new_gguf(architecture, tied=tied)

    convert(path, tmp_path / "hf", sha256="0")

    got, _ = loaded(tmp_path / "hf")
    assert type(got) is type(model)
    theirs = model.state_dict()
    assert {name: torch.equal(value, theirs[name]) for name, value in got.state_dict().items()} == dict.fromkeys(
        theirs, True
    )
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        assert torch.equal(got(ids).logits, model(ids).logits)


@pytest.mark.parametrize(
    ("pre", "number", "half"), [("smollm", ["Ġ", "1", "2"], ["Ġ", "Â", "½"]), ("gpt-2", ["Ġ", "12"], ["ĠÂ", "½"])]
)
def test_the_tokenizer_splits_as_its_name_says_and_loses_nothing(
    pre: str, number: list[str], half: list[str], new_gguf: NewGguf, tmp_path: Path
) -> None:
    path, _ = new_gguf(pre=pre)
    convert(path, tmp_path / "hf", sha256="0")
    _, tokenizer = loaded(tmp_path / "hf")

    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode("the 12 a ½<|im_end|>"))

    assert pieces == ["the", *number, "Ġa", *half, "<|im_end|>"]
    assert tokenizer.decode(tokenizer.encode("the ½ 12\n e\u0301 🙂")) == "the ½ 12\n e\u0301 🙂"


def test_template_and_special_tokens_are_those_of_the_file(new_gguf: NewGguf, tmp_path: Path) -> None:
    path, _ = new_gguf()
    convert(path, tmp_path / "hf", sha256="0")
    model, tokenizer = loaded(tmp_path / "hf")

    text = tokenizer.apply_chat_template(CONVERSATION, tokenize=False, add_generation_prompt=True)

    assert text == "<|im_start|>user\nthe ½ 12 a?<|im_end|>\n<|im_start|>assistant\n"
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == (
        "<|im_end|>",
        "<|im_end|>",
        "<|im_start|>",
    )
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (2, 2)
    assert tokenizer.model_max_length == model.config.max_position_embeddings == 128
    assert len(tokenizer) == model.config.vocab_size - 1  # the token that only pads means nothing


def test_a_file_without_a_template_gives_a_tokenizer_without_one(new_gguf: NewGguf, tmp_path: Path) -> None:
    path, _ = new_gguf(template=None)
    convert(path, tmp_path / "hf", sha256="0")

    assert loaded(tmp_path / "hf")[1].chat_template is None


def test_a_padding_token_of_its_own_ends_an_answer_too() -> None:
    ids = {"tokenizer.ggml.eos_token_id": 5, "tokenizer.ggml.padding_token_id": 3}

    assert token_ids(ids) == {"eos_token_id": [5, 3], "pad_token_id": 3}


def test_bfloat16_halves_the_file_and_rounds_as_torch_does(new_gguf: NewGguf, tmp_path: Path) -> None:
    import torch

    path, model = new_gguf()

    convert(path, tmp_path / "hf", dtype="bfloat16", sha256="0")

    got, _ = loaded(tmp_path / "hf")
    theirs = model.state_dict()
    assert all(torch.equal(value, theirs[name].bfloat16()) for name, value in got.state_dict().items())


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=2.0**127, min_value=-(2.0**127))))
def test_bfloat16_is_the_nearest_number_with_an_even_last_bit_in_between(numbers: list[float]) -> None:
    import torch

    array = np.array(numbers, dtype=np.float32)

    ours = _bfloat16(array).view(np.int16).tolist()

    assert ours == torch.tensor(numbers, dtype=torch.float32).bfloat16().view(torch.int16).tolist()


def test_a_second_conversion_takes_the_place_of_the_first(new_gguf: NewGguf, tmp_path: Path) -> None:
    path, _ = new_gguf()
    convert(path, tmp_path / "hf", sha256="first")

    convert(path, tmp_path / "hf", sha256="second")

    assert json.loads((tmp_path / "hf" / "converted.json").read_bytes())["gguf_sha256"] == "second"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["hf"]


def test_what_cannot_be_converted_is_refused_and_leaves_nothing(new_gguf: NewGguf, tmp_path: Path) -> None:
    path, _ = new_gguf(pre="llama-bpe")

    with pytest.raises(InputError, match="pre-tokenizer 'llama-bpe'"):
        convert(path, tmp_path / "hf", sha256="0")

    assert list(tmp_path.iterdir()) == []


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "x.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    with pytest.raises(InputError, match="architecture is 'mamba'"):
        convert(tmp_path / "x.gguf", tmp_path / "hf", sha256="0")


def test_a_file_that_does_not_say_enough_is_refused(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    with pytest.raises(InputError, match="does not say"):
        convert(tmp_path / "x.gguf", tmp_path / "hf", sha256="0")


def test_an_unwritable_place_is_one_line(new_gguf: NewGguf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path, _ = new_gguf()

    with pytest.raises(StoreError, match="cannot write"):
        convert(path, tmp_path / "file" / "hf", sha256="0")


@pytest.mark.parametrize("name", ["blk.0.attn_rot.weight", "blk.0.ffn_up", "rope.weight", "blk.0.ffn_up.scale"])
def test_an_unknown_tensor_is_named(name: str) -> None:
    with pytest.raises(InputError, match=name):
        their_name(name)


def test_converting_needs_no_torch(new_gguf: NewGguf, tmp_path: Path) -> None:
    path, _ = new_gguf()
    code = (
        "import sys; from pathlib import Path; from spiritsafe.models.convert import convert;"
        f"convert(Path({str(path)!r}), Path({str(tmp_path / 'hf')!r}), sha256='0');"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


@pytest.mark.slow
def test_the_embedded_model_is_what_transformers_makes_of_it() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    gguf = embedded.get("smollm2-135m")
    theirs = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)

    model, tokenizer = loaded(converted("smollm2-135m"))

    weights = theirs.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    ids = tokenizer.apply_chat_template(CONVERSATION, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        assert torch.equal(model(**ids).logits, theirs(**ids).logits)
