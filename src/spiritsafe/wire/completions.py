"""OpenAI's old completions, for reading: each prompt is a user turn; and their streams, folded.

Source: OpenAI API reference, "Completions (legacy)"; vLLM and llama.cpp speak it still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spiritsafe.exchanges.record import Request, Sampling, TokenLogprobs
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat import finish_reason_of, first_choice, usage_of
from spiritsafe.wire.chat_fold import ChunkFold, FoldedChoice
from spiritsafe.wire.chat_logprobs import packed_logprobs
from spiritsafe.wire.embeddings import turns_of
from spiritsafe.wire.folding import Lists, Text
from spiritsafe.wire.shapes import amount_of, count_of, dict_of, list_of, load_object, text_of, whole_of
from spiritsafe.wire.think import split_think
from spiritsafe.wire.turns import read_object, stops_of

_KNOWN: Final = ("model", "prompt", "temperature", "top_p", "max_tokens", "seed", "stop", "logprobs")


@dataclass(frozen=True)
class CompletionsReader:
    """Reads requests for completions and their answers; of several choices the first is the answer."""

    name: str = "completions"

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model's name and the prompts; see `wire.base.Dialect.read`."""
        data = read_object(body)
        sampling = Sampling(
            temperature=amount_of(data.get("temperature")),
            top_p=amount_of(data.get("top_p")),
            max_tokens=count_of(data.get("max_tokens")),
            seed=whole_of(data.get("seed")),
            stop=stops_of(data.get("stop")),
            top_logprobs=count_of(data.get("logprobs")),
            other=tuple(sorted((name, value) for name, value in data.items() if name not in _KNOWN)),
        )
        return str(data.get("model", "")), Request(turns_of("prompt", data.get("prompt")), sampling)

    def parse(self, body: bytes) -> Answer:
        """The answer in a successful body; see `wire.base.Dialect.parse`."""
        data = load_object(body, "a completion")
        choice = first_choice(data)
        usage = dict_of(data.get("usage"))
        text, reasoning = split_think(text_of(choice.get("text")) or "")
        return Answer(
            text,
            reasoning,
            finish_reason_of(choice),
            usage_of(usage),
            text_of(data.get("model")),
            text_of(data.get("system_fingerprint")),
            amount_of(usage.get("cost")),
            _logprobs(dict_of(choice.get("logprobs"))),
        )


COMPLETIONS = CompletionsReader()


class CompletionsFold(ChunkFold):
    """Folds one stream of a completion; see `folding.Fold`."""

    __slots__ = ()

    _OBJECT = "text_completion"

    def _new_choice(self) -> FoldedChoice:
        return _Choice()


class _Choice:
    """One choice, as far as it came."""

    __slots__ = ("_logprobs", "_own", "_text")

    def __init__(self) -> None:
        self._text = Text()
        self._logprobs = Lists()
        self._own: dict[str, Any] = {"finish_reason": None}

    def take(self, choice: dict[str, Any]) -> None:
        """What a chunk says of this choice."""
        for name, value in choice.items():
            if name == "text" and type(value) is str:
                self._text.loose.append(value)
            elif name == "logprobs":
                self._logprobs.take(value)
            elif value is not None and name not in ("index", "text"):
                self._own[name] = value

    def settle(self) -> None:
        """Join loose pieces."""
        self._text.settle()

    def whole(self, index: int) -> dict[str, Any]:
        """The choice, ready to be dumped."""
        return {"index": index, "text": self._text.whole() or "", "logprobs": self._logprobs.whole(), **self._own}


def _logprobs(lists: Mapping[str, Any]) -> TokenLogprobs | None:
    """The packed form of four lists side by side: tokens, their log-probabilities, and the best others of each."""
    tokens, odds, best = (list_of(lists.get(name)) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not tokens or len(odds) != len(tokens):
        return None
    best = best if len(best) == len(tokens) else [None] * len(tokens)
    entries = [
        {
            "token": token,
            "logprob": odd,
            "top_logprobs": [{"token": other, "logprob": its} for other, its in dict_of(others).items()],
        }
        for token, odd, others in zip(tokens, odds, best, strict=True)
    ]
    return packed_logprobs({"content": entries})
