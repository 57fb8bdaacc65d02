"""Sweeps over the output layer: one prompt, asked again and again with other biases on its tokens.

With biases and log-probabilities the logits of every token can be read out, and from those of a few thousand prompts
the dimension and the last matrix of the model (Carlini et al. 2024, arXiv 2403.06634; Finlayson, Ren and Swayamdipta
2024, arXiv 2403.09539); with biases alone too, in more requests. Nobody needs two thousand different biases on one
prompt for anything else: honest ones are a fixed list of words over many prompts, or another list for each.

Limit: tokens and biases are counted, prompts are only compared. A sweep that writes its prompt anew each time is not
seen here, and gains little: its logits belong to different prompts.

The score is log₂(1 + the different biases on this prompt so far, estimated).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spiritsafe.errors import StoreError
from spiritsafe.guard.detectors.base import Scope, Sign
from spiritsafe.guard.detectors.request_logprobs import asks_logprobs
from spiritsafe.guard.detectors.tally import prompt_hash
from spiritsafe.guard.detectors.view import View
from spiritsafe.text.distinct import DistinctSample, hash_of
from spiritsafe.wire.shapes import dict_of, list_of

TRIES_SAMPLED, TOKENS_SAMPLED = 48, 48
MOST_TOKENS = 1_024
"""Tokens of one request that are counted; the API allows 300."""

_COUNTS = struct.Struct("<3Q")
_TRIES_BYTES, _TOKENS_BYTES = 12 + TRIES_SAMPLED * 12, 12 + TOKENS_SAMPLED * 8


@dataclass(frozen=True, slots=True)
class Bias:
    """The bias in a request: a hash of all of it, and the tokens it is on, as text, at most `MOST_TOKENS`."""

    spelled: int
    tokens: tuple[str, ...]


def bias_of(view: View) -> Bias | None:
    """The bias that a request puts on tokens: `logit_bias`, an object or a list of pairs; or `allowed_token_ids`."""
    fields: Mapping[str, Any] = dict(view.exchange.sampling.other)
    for name in ("logit_bias", "allowed_token_ids"):
        value = fields.get(name)
        tokens = [*dict_of(value), *map(_token, list_of(value))]
        if tokens:
            return Bias(hash_of(_spelled(value)), tuple(sorted(set(tokens))[:MOST_TOKENS]))
    return None


def _token(value: object) -> str:
    return str(value[0] if isinstance(value, list) and value else value)[:64]


def _spelled(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than orjson writes, or not from JSON
        return repr(value)[:10_000].encode("utf-8", "replace")


class Sweeps:
    """What is remembered of an account's biases.

    Attributes:
        seen, biased, with_logprobs: exchanges; those with a bias; those of them that ask for log-probabilities too.
        tries: a sample of the distinct (prompt, bias), with a hash of the prompt.
        tokens: a sample of the distinct tokens with a bias.
    """

    __slots__ = ("biased", "seen", "tokens", "tries", "with_logprobs")

    def __init__(self, seen: int = 0, biased: int = 0, with_logprobs: int = 0) -> None:
        self.seen, self.biased, self.with_logprobs = seen, biased, with_logprobs
        self.tries = DistinctSample(TRIES_SAMPLED, 1)
        self.tokens = DistinctSample(TOKENS_SAMPLED, 0)

    def merge(self, other: Sweeps) -> Sweeps:
        """What is remembered of both."""
        both = Sweeps(self.seen + other.seen, self.biased + other.biased, self.with_logprobs + other.with_logprobs)
        both.tries, both.tokens = self.tries.merge(other.tries), self.tokens.merge(other.tokens)
        return both

    def pack(self) -> bytes:
        """The state for `unpack`."""
        tries = self.tries.pack()
        counts = _COUNTS.pack(self.seen, self.biased, self.with_logprobs)
        return counts + struct.pack("<H", len(tries)) + tries + self.tokens.pack()

    @classmethod
    def unpack(cls, data: bytes) -> Sweeps:
        """The state that `pack` wrote.

        Raises:
            StoreError: it is none.
        """
        at = _COUNTS.size + 2
        if len(data) < at:
            raise StoreError(f"got {len(data)} bytes that are no state of logit sweeps: replay the log again")
        sweeps = cls(*_COUNTS.unpack_from(data))
        end = at + struct.unpack_from("<H", data, _COUNTS.size)[0]
        sweeps.tries = DistinctSample.unpack(data[at:end], TRIES_SAMPLED, 1)
        sweeps.tokens = DistinctSample.unpack(data[end:], TOKENS_SAMPLED, 0)
        return sweeps

    def biases_on(self, prompt: int) -> float:
        """About how many different biases were put on one prompt: its share of the sample times all."""
        prompts = [notes[0] for _, _, notes in self.tries]
        return prompts.count(prompt) * self.tries.distinct() / len(prompts) if prompts else 0.0


@dataclass(frozen=True, slots=True)
class LogitSweep:
    """The detector of many biases on one prompt."""

    name: str = "logit_sweep"
    says: str = "one prompt asked with many different biases on its tokens"
    scope: Scope = "account"
    state_bytes: int = _COUNTS.size + 2 + _TRIES_BYTES + _TOKENS_BYTES

    def fresh(self) -> Sweeps:
        """No exchange."""
        return Sweeps()

    def unpack(self, data: bytes) -> Sweeps:
        """The state that was packed."""
        return Sweeps.unpack(data)

    def look(self, view: View, state: Sweeps, ordinary: Sweeps) -> Sign | None:
        """How many biases this prompt has had, where the request has one."""
        bias = view.once("bias", bias_of)
        if bias is None:
            return None
        tries = 1 + state.biases_on(view.once("prompt hash", prompt_hash))
        logprobs = state.with_logprobs + asks_logprobs(view)
        reasons = (
            f"different biases on the prompt of this request: about {tries:,.0f}",
            f"different tokens with a bias before this request: about {state.tokens.distinct():,.0f}",
            f"of its {state.seen + 1:,} exchanges {state.biased + 1:,} have a bias, "
            f"and of these {logprobs:,} ask for log-probabilities",
        )
        return Sign(self.name, math.log2(1 + tries), reasons, (view.exchange.id,))

    def observe(self, view: View, state: Sweeps) -> None:
        """Remember the request's bias."""
        state.seen += 1
        bias = view.once("bias", bias_of)
        if bias is None:
            return
        prompt = view.once("prompt hash", prompt_hash)
        state.biased += 1
        state.with_logprobs += asks_logprobs(view)
        state.tries.add(hash_of(prompt.to_bytes(4, "little"), bias.spelled.to_bytes(4, "little")), lambda: (prompt,))
        for token in bias.tokens:
            state.tokens.add(hash_of(token), tuple)

    def learn(self, view: View, ordinary: Sweeps) -> None:
        """Remember it among the ordinary ones."""
        self.observe(view, ordinary)


LOGIT_SWEEP = LogitSweep()
