"""Licences of open weights, by model name: what they say about training another model on the answers.

Names come in the spellings of the hub ("Qwen/Qwen2.5-7B-Instruct"), of Ollama ("qwen2.5:7b-instruct-q4_K_M") and of
GGUF files. Only the plain releases of the owner are recognised, in whatever quantisation: a name that says more than
that may be somebody's fine-tune under other terms, and is unknown. A licence that permits learning only on conditions
(Llama 3.1 and later, Gemma, Qwen's own) is unknown as well, with a note that says what it asks: whether the conditions
are met is for a person to say, in the recipe's `permission`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from spiritsafe.exchanges.record import TermsClass

LICENCES_AS_OF = "2026-11-24"
"""The day this table was last gone through."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Models of one owner under one licence.

    Attributes:
        owners: accounts on the hub that publish the originals, in lower case.
        names: plain names, in lower case, without owner, format and quantisation; with `*` only where the terms do
            not permit.
        terms: class of the terms.
        licence: SPDX id, or the licence's own name.
        note: what it asks, in one sentence.
    """

    owners: tuple[str, ...]
    names: tuple[str, ...]
    terms: TermsClass
    licence: str
    note: str = ""


_LLAMA_NOTE = "a model trained on the answers must be called Llama-something and say 'Built with Llama'"
_GEMMA_NOTE = "a model made to behave like it by its answers counts as a derivative under the Gemma terms"
_QWEN_NOTE = "a model trained on the answers must say 'Built with Qwen' or 'Improved using Qwen'"

WEIGHTS: tuple[Weights, ...] = (
    Weights(
        ("huggingfacetb",),
        ("smollm2-135m", "smollm2-360m", "smollm2-1.7b", "smollm3-3b"),
        "open_weights",
        "Apache-2.0",
    ),
    Weights(
        ("qwen",),
        (
            "qwen2.5-0.5b",
            "qwen2.5-1.5b",
            "qwen2.5-7b",
            "qwen2.5-14b",
            "qwen2.5-32b",
            "qwen2.5-coder-0.5b",
            "qwen2.5-coder-1.5b",
            "qwen2.5-coder-7b",
            "qwen2.5-coder-14b",
            "qwen2.5-coder-32b",
            "qwen3-0.6b",
            "qwen3-1.7b",
            "qwen3-4b",
            "qwen3-8b",
            "qwen3-14b",
            "qwen3-32b",
            "qwen3-30b-a3b",
            "qwen3-235b-a22b",
        ),
        "open_weights",
        "Apache-2.0",
    ),
    Weights(("qwen",), ("qwen2.5-3b", "qwen2.5-coder-3b"), "unknown", "Qwen-Research", "non-commercial research only"),
    Weights(("qwen",), ("qwen2.5-72b",), "unknown", "Qwen", _QWEN_NOTE),
    Weights(
        ("deepseek-ai",),
        (
            "deepseek-r1",
            "deepseek-r1-0528",
            "deepseek-v3-0324",
            "deepseek-v3.1",
            "deepseek-v3.2",
            "deepseek-r1-distill-qwen-1.5b",
            "deepseek-r1-distill-qwen-7b",
            "deepseek-r1-distill-qwen-14b",
            "deepseek-r1-distill-qwen-32b",
        ),
        "open_weights",
        "MIT",
        "the licence names distillation as allowed",
    ),
    Weights(("deepseek-ai",), ("deepseek-r1-distill-llama-*",), "unknown", "Llama-3.x", _LLAMA_NOTE),
    Weights(
        ("mistralai",),
        (
            "mistral-7b",
            "mistral-7b-v0.1",
            "mistral-7b-instruct-v0.1",
            "mistral-7b-instruct-v0.2",
            "mistral-7b-v0.3",
            "mistral-7b-instruct-v0.3",
            "mixtral-8x7b",
            "mixtral-8x7b-v0.1",
            "mixtral-8x7b-instruct-v0.1",
            "mixtral-8x22b",
            "mixtral-8x22b-v0.1",
            "mixtral-8x22b-instruct-v0.1",
            "mistral-nemo",
            "mistral-small-24b",
            "mistral-small-3.1-24b",
            "mistral-small-3.2-24b",
        ),
        "open_weights",
        "Apache-2.0",
    ),
    Weights(("openai",), ("gpt-oss-20b", "gpt-oss-120b"), "open_weights", "Apache-2.0"),
    Weights(("microsoft",), ("phi-4", "phi-4-mini"), "open_weights", "MIT"),
    Weights(
        ("allenai",),
        ("olmo-2-0425-1b", "olmo-2-1124-7b", "olmo-2-1124-13b", "olmo-2-0325-32b"),
        "open_weights",
        "Apache-2.0",
    ),
    Weights(
        ("meta-llama", "meta"),
        ("llama-2-*", "llama-3-*", "llama2-*", "llama3-*", "meta-llama-3-*"),
        "forbids",
        "Llama-2/3",
        "the answers may not be used to improve other language models",
    ),
    Weights(
        ("meta-llama", "meta"),
        ("llama-3.*", "llama3.*", "llama-4-*", "llama4-*", "meta-llama-3.1-*"),
        "unknown",
        "Llama-3.x",
        _LLAMA_NOTE,
    ),
    Weights(("google",), ("gemma-*", "gemma2-*", "gemma3-*", "gemma3n-*"), "unknown", "Gemma", _GEMMA_NOTE),
)

_ROLES = ("instruct", "chat", "it", "base", "hf", "text", "thinking", "latest", "gguf", "mlx")
_FORMATS = ("awq", "gptq", "fp8", "fp16", "bf16", "f16", "f32", "int4", "int8", "4bit", "8bit", "w4a16", "w8a8")
_TAIL = re.compile(rf"-(?:{'|'.join(_ROLES + _FORMATS)}|i?q\d(?:-(?:\d|0|1|k|s|m|l|xs|xxs|nl))*|2[456]\d\d)$")
"""Last words of a name that say nothing about whose weights they are: role, format, quantisation, month of release."""


def plain_name(model: str) -> tuple[str, str]:
    """(owner, plain name) of a model's name, in lower case; the owner is "" where none is named."""
    owner, _, name = model.lower().rpartition("/")
    name = name.replace(":", "-").replace("_", "-").removesuffix(".gguf").replace(".q", "-q").replace(".f16", "-f16")
    while (shorter := _TAIL.sub("", name)) != name:
        name = shorter
    return owner.rpartition("/")[2], name


def weights_of(model: str) -> Weights | None:
    """The row for `model`, or None where its licence is not known here."""
    owner, name = plain_name(model)
    for row in WEIGHTS:
        if owner in ("", *row.owners) and any(fnmatchcase(name, pattern) for pattern in row.names):
            return row
    return None
