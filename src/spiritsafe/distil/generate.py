"""Generation: a local model's greedy answers to many prompts, in batches, with what they took.

Limits: one device; no sampling, since evaluation wants the same answers each time. In a batch the matrix products are
summed in another order than alone, so that an answer can differ where two tokens are almost equally likely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.distil.template import ChatTemplate
from spiritsafe.errors import MissingExtra
from spiritsafe.exchanges.record import Message
from spiritsafe.wire.think import split_think


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer.

    Attributes:
        text: the answer, without reasoning and special tokens.
        finish_reason: "stop" where the model ended it, "length" where the limit did.
        prompt_tokens: ids read.
        tokens: ids written, the stop token included.
        seconds: the batch's time divided by its size, so that sums over answers are wall time.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    seconds: float


def generate(
    module: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int,
    batch_size: int,
    clock: Callable[[], float],
    on_answers: Callable[[int], None] = lambda done: None,
) -> list[Generated]:
    """The greedy answers of `module` to `prompts`, in their order.

    Prompts of similar length go into one batch, padded on the left, so that little is computed for padding.

    Args:
        module: a causal model of transformers, on the device it is to run on.
        tokenizer: its tokenizer, with a chat template.
        prompts: what the model sees, before its template.
        max_new_tokens: an answer that is longer is cut, with finish reason "length".
        batch_size: answers generated side by side.
        clock: seconds, monotonic.
        on_answers: told after each batch how many answers are done.

    Raises:
        InputError: the tokenizer has no usable chat template.
        MissingExtra: torch is not installed.
    """
    template = ChatTemplate(tokenizer)
    asked = [template.encode(template.prompt(messages)) for messages in prompts]
    order = sorted(range(len(asked)), key=lambda index: len(asked[index]))
    answers: dict[int, Generated] = {}
    module.eval()
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        began = clock()
        written = _written(module, [asked[index] for index in batch], template.stop_id, max_new_tokens)
        seconds = (clock() - began) / len(batch)
        for index, ids in zip(batch, written, strict=True):
            answers[index] = _answer(tokenizer, ids, template.stop_id, len(asked[index]), seconds)
        on_answers(len(answers))
    return [answers[index] for index in range(len(asked))]


def _written(module: Any, asked: Sequence[Sequence[int]], stop_id: int, max_new_tokens: int) -> list[list[int]]:
    """The ids written after each prompt, up to and with the stop token."""
    try:
        import torch
    except ImportError:
        raise MissingExtra.of("generating answers", "distil") from None
    longest = max(map(len, asked))
    # The stop token pads: it is in every vocabulary, and the mask keeps it from being seen.
    ids_B_T = torch.tensor([[stop_id] * (longest - len(ids)) + list(ids) for ids in asked], device=module.device)
    mask_B_T = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in asked], device=module.device)
    with torch.inference_mode():
        full_B_T = module.generate(
            ids_B_T,
            attention_mask=mask_B_T,
            max_new_tokens=max_new_tokens,
            eos_token_id=stop_id,
            pad_token_id=stop_id,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
        )
    return [_until(ids, stop_id) for ids in full_B_T[:, longest:].tolist()]


def _until(ids: list[int], stop_id: int) -> list[int]:
    return ids[: ids.index(stop_id) + 1] if stop_id in ids else ids


def _answer(tokenizer: Any, ids: list[int], stop_id: int, prompt_tokens: int, seconds: float) -> Generated:
    stopped = ids[-1:] == [stop_id]
    body = ids[:-1] if stopped else ids
    text, _ = split_think(tokenizer.decode(body, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return Generated(text, "stop" if stopped else "length", prompt_tokens, len(ids), seconds)
