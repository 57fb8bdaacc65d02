"""Drawing: one answer of a causal model, token by token, as ids with their log-probabilities.

    drawn = draw(module, prompt_ids, how, decode=tokenizer.decode)

Input: a module of transformers and the ids of a prompt. Output: the ids written, why they end, and each one's
alternatives. A seed fixes the answer on one machine and library version, and touches no generator but its own.

Limits: one answer at a time; log-probabilities are the model's own, before temperature and nucleus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.exchanges.logprobs import Position


@dataclass(frozen=True, slots=True)
class How:
    """How an answer is drawn.

    Attributes:
        max_tokens: ids written at most, the one that ends the answer included.
        stop_ids: ids that end it.
        stop: texts that end it; the answer is what stands before the first of them.
        temperature: 0 takes the likeliest token each time.
        top_p: mass of the nucleus that is drawn from (Holtzman et al. 2020), 1 for all.
        seed: None for another answer each time.
        top_logprobs: alternatives noted a token; None notes nothing.
    """

    max_tokens: int
    stop_ids: frozenset[int]
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One answer.

    Attributes:
        ids: what the answer consists of, without the id that ended it.
        text: its text, cut before the first stop text.
        finish_reason: "stop" or "length".
        written: ids the model wrote in all.
        positions: one for each of `ids`, where asked for.
    """

    ids: list[int]
    text: str
    finish_reason: str
    written: int
    positions: list[Position]


def draw(module: Any, prompt_ids: Sequence[int], how: How, *, decode: Callable[[Sequence[int]], str]) -> Drawn:
    """The answer of `module` to `prompt_ids`.

    Args:
        module: a causal model of transformers, in evaluation mode.
        prompt_ids: what it continues, at least one id.
        how: limits and sampling.
        decode: the text of ids.
    """
    import torch

    ids: list[int] = []
    positions: list[Position] = []
    generator = _generator(module.device, how)
    told, cache = torch.tensor([list(prompt_ids)], device=module.device), None
    with torch.inference_mode():
        for written in range(1, how.max_tokens + 1):
            out = module(input_ids=told, past_key_values=cache, use_cache=True)
            logits_V, cache = out.logits[0, -1].float(), out.past_key_values
            token = int(_choose(logits_V, how, generator))
            if token in how.stop_ids:
                return Drawn(ids, decode(ids), "stop", written, positions)
            ids.append(token)
            if how.top_logprobs is not None:
                positions.append(_position(logits_V, token, how.top_logprobs))
            text = _before_stop(decode(ids), how.stop) if how.stop else None
            if text is not None:
                kept = _tokens_of(text, ids, decode)
                return Drawn(ids[:kept], text, "stop", written, positions[:kept])
            told = torch.tensor([[token]], device=module.device)
    return Drawn(ids, decode(ids), "length", how.max_tokens, positions)


def _generator(device: Any, how: How) -> Any:
    import torch

    generator = torch.Generator(device)
    if how.seed is None:
        generator.seed()
    else:
        generator.manual_seed(how.seed)
    return generator


def _choose(logits_V: Any, how: How, generator: Any) -> Any:
    """The next id."""
    import torch

    if how.temperature == 0.0:
        return logits_V.argmax()
    probs_V, order_V = torch.softmax(logits_V / how.temperature, -1).sort(descending=True, stable=True)
    if how.top_p < 1.0:
        # A token is in the nucleus where those before it do not fill it yet; the likeliest always is.
        probs_V[1:][probs_V.cumsum(-1)[:-1] >= how.top_p] = 0.0
    return order_V[torch.multinomial(probs_V, 1, generator=generator)]


def _position(logits_V: Any, token: int, k: int) -> Position:
    logprobs_V = logits_V.log_softmax(-1)
    top = logprobs_V.topk(min(k, len(logprobs_V)))
    alternatives = list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
    return Position(token, float(logprobs_V[token]), alternatives)


def _before_stop(text: str, stop: Sequence[str]) -> str | None:
    """`text` before the first of `stop` in it, or None where none is."""
    found = [at for at in (text.find(one) for one in stop) if at >= 0]
    return text[: min(found)] if found else None


def _tokens_of(text: str, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> int:
    """How many of `ids` it takes to write `text`."""
    return next(count for count in range(len(ids) + 1) if decode(ids[:count]).startswith(text))
