"""Heads: a causal model's last hidden states, and the linear layer that makes logits of them.

The loss runs the head itself, on the supervised positions only and a chunk at a time. That needs the model without its
head, which transformers models offer as `get_decoder()`, and a head that is nothing but a linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spiritsafe.errors import InputError, shown


def hidden_states(model: Any, ids_B_L: Tensor) -> Tensor:
    """The last hidden states, shape (B, L, H), of right-padded ids.

    No attention mask is given: under causal attention a real token never looks at the padding after it, and without a
    mask the attention kernel may take its causal path.
    """
    bare = _bare(model)
    decoder = bare.get_decoder()
    if decoder is None or decoder is bare:
        states: Tensor = bare(input_ids=ids_B_L, use_cache=False, output_hidden_states=True).hidden_states[-1]
        return states
    last: Tensor = decoder(input_ids=ids_B_L, use_cache=False).last_hidden_state
    return last


def head_of(model: Any) -> tuple[Tensor, Tensor | None]:
    """The head's weight (V, H) and bias (V,).

    Raises:
        InputError: the model has no head, or one that is no plain linear layer.
    """
    layer = _bare(model).get_output_embeddings()
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, torch.nn.Linear) or weight is None:
        raise InputError(
            f"model {_name(model)} ends in {type(layer).__name__}, wanted a plain linear head over the vocabulary; "
            "take a causal language model, and leave the head out of lora.target"
        )
    return weight, layer.bias


def require_linear_head(model: Any) -> None:
    """Make sure that the model's logits are its head times its hidden states and nothing more.

    Some models cap or scale their logits after the head; the loss would then be taken of other logits than the model's.

    Raises:
        InputError: they are not.
    """
    weight, bias = head_of(model)
    ids_B_L = torch.arange(4, device=weight.device)[None]
    was_training = model.training
    model.eval()
    with torch.no_grad():
        said = _bare(model)(input_ids=ids_B_L, use_cache=False).logits.float()
        ours = torch.nn.functional.linear(hidden_states(model, ids_B_L), weight, bias).float()
    model.train(was_training)
    if not torch.allclose(said, ours, rtol=1e-2, atol=1e-3 * float(said.abs().max())):
        raise InputError(
            f"model {_name(model)} changes its logits after the head (a cap or a scale), wanted a plain linear head; "
            "take a student or teacher without one"
        )


def _bare(model: Any) -> Any:
    """The model without peft around it; adapters stay active, since they sit in its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _name(model: Any) -> str:
    return shown(str(getattr(_bare(model).config, "name_or_path", "") or type(model).__name__))
