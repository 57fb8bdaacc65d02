"""The tokenizer of a GGUF file as `transformers` files, with the ids llama.cpp gives.

Input: a GGUF file's metadata. Output: a `tokenizers.Tokenizer` and what belongs into tokenizer_config.json.

`transformers` can build one too, in 9 seconds and with the pre-tokenizer of GPT-2 for every byte-level BPE: "a ½" then
has other ids than the model was trained on and than llama.cpp serves. Here each pre-tokenizer is named or refused.

Limits: byte-level BPE whose pre-tokenizer is in `PRE_TOKENIZERS`. Text is not normalised, as in llama.cpp; for Qwen
transformers itself composes it first (NFC), as Qwen does, so a letter with a loose accent has other ids there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spiritsafe.errors import InputError, MissingExtra, shown

CONTROL, USER_DEFINED, UNUSED = 3, 4, 5
"""Token types of llama.cpp that matter here: special, added, and padding of the vocabulary."""

GPT2_WORDS = None
"""The pattern that the byte-level step of `tokenizers` has built in."""

QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

PRE_TOKENIZERS: Mapping[str, tuple[bool, str | None]] = {
    "gpt-2": (False, GPT2_WORDS),
    "smollm": (True, GPT2_WORDS),
    "qwen2": (False, QWEN2_WORDS),
}
"""llama.cpp's name of a pre-tokenizer: whether each digit stands alone, and the pattern of a word."""


def tokenizer(metadata: Mapping[str, Any]) -> Any:
    """The `tokenizers.Tokenizer` that `metadata` describes.

    Tokens that only pad the vocabulary are left out, so that its length is the number of tokens that mean something.

    Raises:
        InputError: another kind of tokenizer.
        MissingExtra: tokenizers is not installed.
    """
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models
    except ImportError:
        raise MissingExtra.of("building a tokenizer", "distil") from None
    digits_apart, words = _pre_tokenizer(metadata)
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    vocabulary = {token: index for index, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind != UNUSED}
    merges = [tuple(pair.split(" ", 1)) for pair in metadata["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = _split(digits_apart, words)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, types, strict=True) if k == CONTROL]
    )
    made.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types, strict=True) if k == USER_DEFINED])
    return made


def _pre_tokenizer(metadata: Mapping[str, Any]) -> tuple[bool, str | None]:
    kind, pre = metadata.get("tokenizer.ggml.model"), str(metadata.get("tokenizer.ggml.pre"))
    if kind != "gpt2" or pre not in PRE_TOKENIZERS or metadata.get("tokenizer.ggml.add_bos_token"):
        raise InputError(
            f"the file's tokenizer is {shown(kind)} with pre-tokenizer {shown(pre)}, wanted byte-level BPE with one of "
            f"{', '.join(PRE_TOKENIZERS)}; give a folder in the layout of transformers instead"
        )
    return PRE_TOKENIZERS[pre]


def _split(digits_apart: bool, words: str | None) -> Any:
    from tokenizers import Regex, pre_tokenizers

    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if digits_apart else []
    if words is not None:
        steps.append(pre_tokenizers.Split(Regex(words), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words is None))
    return pre_tokenizers.Sequence(steps)


def tokenizer_config(metadata: Mapping[str, Any], context_tokens: int) -> dict[str, Any]:
    """What tokenizer_config.json holds: the named special tokens and the longest text, in tokens."""
    tokens = metadata["tokenizer.ggml.tokens"]
    names = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}
    named = {
        ours: tokens[metadata[f"tokenizer.ggml.{theirs}_token_id"]]
        for theirs, ours in names.items()
        if f"tokenizer.ggml.{theirs}_token_id" in metadata
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_tokens,
        "clean_up_tokenization_spaces": False,
        **named,
    }


def token_ids(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What generation_config.json holds: where an answer ends and what fills a batch up.

    A padding token of its own ends an answer as well, as it does in llama.cpp.
    """
    eos = metadata["tokenizer.ggml.eos_token_id"]
    pad = metadata.get("tokenizer.ggml.padding_token_id", eos)
    ids = {"eos_token_id": eos if pad == eos else [eos, pad], "pad_token_id": pad}
    bos = metadata.get("tokenizer.ggml.bos_token_id")
    return ids if bos is None else {"bos_token_id": bos, **ids}
