"""Student: the model that learns, as it is loaded, cut, adapted and saved.

The same `load_student` gives the untrained base that evaluation compares with; `outline_student` gives its shapes
alone, for what has to be known before memory is spent on it. What `save_student` writes loads with plain transformers
and stops where it was taught to stop.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from spiritsafe.distil.recipe import Lora, Student
from spiritsafe.distil.template import ChatTemplate, with_system, without_thinking
from spiritsafe.errors import InputError, MissingExtra, StoreError, shown
from spiritsafe.models.local import Weights, load_outline, load_weights, quiet


class LoadedStudent(NamedTuple):
    """A causal model of transformers in float32 and its tokenizer."""

    model: Any
    tokenizer: Any


def load_student(student: Student) -> LoadedStudent:
    """The student's starting point: the model of the recipe, cut to its `layers` where given.

    Raises:
        InputError: there is no such model, or it has no such layers, or its tokenizer has no chat template.
    """
    return _as_it_starts(load_weights(student.model, dtype="float32"), student)


def outline_student(student: Student) -> LoadedStudent:
    """As `load_student`, with a model of shapes without numbers (torch's meta device); no weights are loaded."""
    return _as_it_starts(load_outline(student.model), student)


def _as_it_starts(weights: Weights, student: Student) -> LoadedStudent:
    model, tokenizer = weights.module, weights.tokenizer
    if student.layers:
        cut_layers(model, student.layers)
    if student.think == "drop" and isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = without_thinking(tokenizer.chat_template)
    if student.system is not None and isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = with_system(tokenizer.chat_template, student.system)
    make_it_stop(model, tokenizer)
    return LoadedStudent(model, tokenizer)


def make_it_stop(model: Any, tokenizer: Any) -> None:
    """Let generation end at the chat template's stop token, and pad with something else.

    Raises:
        InputError: the tokenizer has no chat template.
    """
    stop_id = ChatTemplate(tokenizer).stop_id
    pad_id = pad_id_of(tokenizer, stop_id)
    if tokenizer.pad_token_id != pad_id:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_id)
    model.generation_config.eos_token_id = model.config.eos_token_id = stop_id
    model.generation_config.pad_token_id = model.config.pad_token_id = pad_id


def cut_layers(model: Any, layers: Sequence[int]) -> None:
    """Keep only `layers` (numbers from 0, in this order) of the model, in place, and make its config say so.

    Raises:
        InputError: a layer is not there, or the model's layers are not one list.
    """
    config = model.config.get_text_config()
    count: int = config.num_hidden_layers
    wrong = [layer for layer in layers if not 0 <= layer < count]
    if wrong or len(set(layers)) != len(layers):
        raise InputError(
            f"student.layers: got {shown(list(layers))}, wanted different numbers from 0 to {count - 1}; "
            f"{shown(str(config.name_or_path))} has {count} layers"
        )
    owner, name = _layer_list(model, count)
    kept = torch.nn.ModuleList(getattr(owner, name)[layer] for layer in layers)
    setattr(owner, name, kept)
    for number, layer in enumerate(kept):
        part: Any
        for part in layer.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = number
    for key, value in list(vars(config).items()):
        # Lists with one entry a layer: layer_types, no_rope_layers, mlp_layer_types, …
        if "layer" in key and isinstance(value, list | tuple) and len(value) == count:
            setattr(config, key, [value[layer] for layer in layers])
    config.num_hidden_layers = len(layers)


def _layer_list(model: Any, count: int) -> tuple[Any, str]:
    """The module that holds the decoder's layers, and the name it holds them under."""
    for module in model.get_decoder().modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ModuleList) and len(child) == count:
                return module, name
    raise InputError(
        f"student.layers: found no list of {count} layers in {type(model).__name__}, wanted one to cut; "
        "leave `layers` out for this model"
    )


def with_lora(model: Any, lora: Lora, seed: int) -> Any:
    """The model frozen, with low-rank adapters on it that learn (Hu et al. 2021); `seed` fixes how they start.

    Raises:
        MissingExtra: peft is not installed.
        InputError: no layer matches `lora.target`.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtra.of("LoRA", "distil") from None
    target = lora.target if isinstance(lora.target, str) else list(lora.target)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=target,
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 still asks transformers 5 for an attribute under its old name.
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(
            f"train.lora.target: got {shown(target)}, wanted names of linear layers or 'all-linear' ({error})"
        ) from None


def save_student(model: Any, tokenizer: Any, folder: Path, notes: dict[str, bytes] | None = None) -> None:
    """Write the student to `folder`, whole or not at all: safetensors, tokenizer with chat template, generation config.

    Args:
        model: trained; adapters are merged into the weights.
        tokenizer: the student's.
        folder: replaced if it is there.
        notes: further files by name, written with it.

    Raises:
        StoreError: the disk did not take it.
    """
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    make_it_stop(model, tokenizer)
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with quiet():
            model.save_pretrained(part, safe_serialization=True)
            tokenizer.save_pretrained(part)
        for name, data in (notes or {}).items():
            (part / name).write_bytes(data)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StoreError(f"cannot write student {shown(str(folder))}: {error.strerror}; make room there") from None


def pad_id_of(tokenizer: Any, stop_id: int) -> int:
    """An id to pad with that is not the stop token, where the tokenizer has one.

    Tools that hide every padding id from the loss would otherwise hide the only token that says "stop" as well.
    """
    for other in (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id):
        if other is not None and other != stop_id:
            return int(other)
    return stop_id
