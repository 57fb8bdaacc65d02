"""GGUF files small enough for a test, written by the `gguf` package: random weights, a byte-level BPE, ChatML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = [("Ġ", "a"), ("t", "h"), ("th", "e"), ("Ġ", "Â"), ("1", "2")]
NORMAL, CONTROL, UNUSED = 1, 3, 5


def vocabulary() -> tuple[list[str], list[int]]:
    """Tokens and their types: three special ones, the bytes, the merges, and one that only pads."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = [*sorted(ByteLevel.alphabet()), *("".join(pair) for pair in MERGES)]
    types = [CONTROL] * len(SPECIALS) + [NORMAL] * len(words) + [UNUSED]
    return [*SPECIALS, *words, "[PAD0]"], types


def tiny_model(architecture: str, *, tied: bool) -> Any:
    """A model of transformers with random weights, biases included."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

    torch.manual_seed(0)
    config = (LlamaConfig if architecture == "llama" else Qwen2Config)(
        vocab_size=len(vocabulary()[0]),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        rms_norm_eps=1e-6,
        rope_theta=5000.0,
        initializer_range=0.2,
        tie_word_embeddings=tied,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model


THEIRS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path: Path, model: Any, architecture: str, **changed: Any) -> Path:
    """Write `model` to `path` as llama.cpp's own converter would; `changed` replaces what the metadata says."""
    from gguf import GGUFWriter

    config = model.config
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(5000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _write_tokenizer(writer, **changed)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        writer.add_tensor(_llama_name(name), _llama_rows(name, tensor.numpy(), config, architecture))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: Any, pre: str = "smollm", pad: int = 2, template: str | None = CHATML) -> None:
    tokens, types = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(pad)
    if template is not None:
        writer.add_chat_template(template)


def _llama_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem.startswith("model.layers."):
        _, _, layer, inner = stem.split(".", 3)
        return f"blk.{layer}.{THEIRS[inner]}.{kind}"
    return f"{THEIRS[stem]}.{kind}"


def _llama_rows(name: str, rows: Any, config: Any, architecture: str) -> Any:
    """llama.cpp wants the two halves of a rotary pair beside each other, for llama alone."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if architecture != "llama" or heads is None:
        return rows
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


@pytest.fixture(scope="session")
def new_gguf(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Any]]:
    """Writes a tiny model as a GGUF file; returns its path and the model of transformers that it holds."""

    def make(architecture: str = "llama", *, tied: bool = True, **changed: Any) -> tuple[Path, Any]:
        model = tiny_model(architecture, tied=tied)
        path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
        return write_gguf(path, model, architecture, **changed), model

    return make
