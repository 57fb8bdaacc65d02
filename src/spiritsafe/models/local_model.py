"""A model that answers with weights on this machine.

    model = LocalModel.load("smollm2-135m", source=Source("local", "smollm2-135m", terms="open_weights"))
    exchange = await model.ask(Request((Message("user", "What is the capital of France?"),)))

Implements `models.base.Model`. Where a request says no temperature, the likeliest token is taken each time.

Limits: text only; one answer at a time, in a thread of its own; an answer that nobody waits for any more is still
written to its end.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from spiritsafe.errors import InputError, UpstreamError, shown
from spiritsafe.exchanges.logprobs import MOST_K, pack
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling, Source, Timing, Usage
from spiritsafe.models.drawing import Drawn, How, draw
from spiritsafe.models.local import Weights, load_weights, require_chat_template
from spiritsafe.models.prices import OWN_HARDWARE
from spiritsafe.wire.think import split_think


class LocalModel:
    """Asks the weights it was given.

    Args:
        weights: a model and its tokenizer, which has a chat template.
        source: who it is and on what terms it answers.
        clock: unix seconds, for `Exchange.at`.

    Attributes:
        weights: for losses over the whole vocabulary.

    Raises:
        InputError: the tokenizer has no chat template, or nothing ends an answer.
    """

    dialect = "local"

    def __init__(self, weights: Weights, *, source: Source, clock: Callable[[], float] = time.time) -> None:
        require_chat_template(weights.tokenizer, source.model)
        self.weights = weights
        self.source = source
        self._stop_ids = stop_ids(weights)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "local-model")
        self._closed = False

    @classmethod
    def load(
        cls, model: str, *, source: Source | None = None, progress: Callable[[str], None] | None = None
    ) -> LocalModel:
        """The model of that name or folder, see `load_weights`; its fingerprint is that of its weights.

        Raises:
            InputError, MissingExtra, UpstreamError, StoreError: as `load_weights` and the constructor.
        """
        weights = load_weights(model, progress=progress)
        known = source or Source(endpoint="local", model=model)
        if weights.folder is not None:
            known = replace(known, fingerprint=weights_sha256(weights.folder))
        return cls(weights, source=known)

    async def ask(self, request: Request) -> Exchange:
        """Ask once; see `models.base.Model.ask`.

        Raises:
            InputError: the sampling holds what local weights cannot do.
            UpstreamError: the prompt leaves no room for an answer, or the template cannot render it (kind "refused").
        """
        if self._closed:
            raise RuntimeError("this local model is closed; load another")
        refuse_unsupported(request.sampling)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, request)

    async def close(self) -> None:
        """Refuse to be asked again; the answer being written is the last."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: Request) -> Exchange:
        at, began = self._clock(), time.perf_counter()
        asked = self._prompt_ids(request.messages)
        how = how_to_draw(request.sampling, self._room(len(asked)), self._stop_ids)
        drawn = draw(self.weights.module, asked, how, decode=self._decode)
        return self._exchange(request, drawn, len(asked), at, time.perf_counter() - began)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.weights.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        tokenizer = self.weights.tokenizer
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates raise whatever Jinja or their author raises
            told = f"the chat template of {shown(self.source.model)} cannot render this prompt: {shown(str(error))}"
            raise UpstreamError(f"{told}; change the turns", kind="refused", retryable=False) from None
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _room(self, asked: int) -> int:
        """How many tokens fit behind `asked` ones."""
        most: int = self.weights.module.config.get_text_config().max_position_embeddings
        if asked >= most:
            raise UpstreamError(
                f"the prompt takes {asked} tokens and {shown(self.source.model)} reads {most}; shorten it",
                kind="refused",
                retryable=False,
            )
        return most - asked

    def _exchange(self, request: Request, drawn: Drawn, asked: int, at: float, seconds: float) -> Exchange:
        text, reasoning = split_think(drawn.text)
        return Exchange(
            id="",
            at=at,
            dialect=self.dialect,
            messages=request.messages,
            sampling=request.sampling,
            sample=request.sample,
            answer=text,
            reasoning=reasoning,
            finish_reason=drawn.finish_reason,
            usage=Usage(asked, drawn.written),
            timing=Timing(last_byte_s=seconds),
            logprobs=pack(drawn.positions) if drawn.positions else None,
            source=self.source,
            dollars=0.0,
            price_version=OWN_HARDWARE.version,
        )


def refuse_unsupported(sampling: Sampling) -> None:
    """Check that local weights can do what is asked.

    Raises:
        InputError: a field of another dialect, or a number out of range.
    """
    if sampling.other:
        names = ", ".join(name for name, _ in sampling.other)
        raise InputError(f"local weights do not know the sampling fields {names}; leave them out")
    limits: Mapping[str, tuple[float | None, float, float]] = {
        "temperature": (sampling.temperature, 0.0, 100.0),
        "top_p": (sampling.top_p, 0.0, 1.0),
        "max_tokens": (sampling.max_tokens, 1, 1 << 31),
        "top_logprobs": (sampling.top_logprobs, 0, MOST_K),
    }
    for name, (value, least, most) in limits.items():
        if value is not None and not least <= value <= most:
            raise InputError(f"{name}: got {shown(value)}, wanted a number from {least:g} to {most:g}")


def how_to_draw(sampling: Sampling, room: int, ends: frozenset[int]) -> How:
    """What `sampling` comes to where `room` tokens fit and `ends` end an answer."""
    return How(
        max_tokens=min(sampling.max_tokens or room, room),
        stop_ids=ends,
        stop=sampling.stop,
        temperature=sampling.temperature or 0.0,
        top_p=1.0 if sampling.top_p is None else sampling.top_p,
        seed=sampling.seed,
        top_logprobs=sampling.top_logprobs,
    )


def stop_ids(weights: Weights) -> frozenset[int]:
    """The ids that end an answer: the generation config's, and the tokenizer's EOS.

    Raises:
        InputError: there is none.
    """
    said = weights.module.generation_config.eos_token_id
    ids = {*(said if isinstance(said, list) else [said]), weights.tokenizer.eos_token_id} - {None}
    if not ids:
        raise InputError("the model names no token that ends an answer; set eos_token_id in generation_config.json")
    return frozenset(ids)


def weights_sha256(folder: Path) -> str:
    """Hex sha256 of the weight files of `folder`, one after another in the order of their names.

    Raises:
        InputError: it has none.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise InputError(f"{shown(str(folder))} has no weight files, wanted *.safetensors or *.bin")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            _feed(digest, file)
    return digest.hexdigest()


def _feed(digest: Any, file: Any) -> None:
    while block := file.read(1 << 20):
        digest.update(block)
