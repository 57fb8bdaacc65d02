"""Reading: what a batch of exchanges adds to the sketches of its accounts. Pure.

Long prompts cost no more than short ones: of every text both ends are read (`text.ends`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spiritsafe.exchanges.record import Exchange
from spiritsafe.guard.detectors.view import View, view_of
from spiritsafe.guard.watch.space import Space
from spiritsafe.stats.fixed_point import fixed_point
from spiritsafe.text.distinct import hash_of
from spiritsafe.text.embed import embed
from spiritsafe.text.templates import anchors_of

LINK_KINDS = ("payment", "email_domain", "ip", "asn", "ja4", "user_agent", "org")
"""Facts about a client that accounts may have in common. Payment and organisation come from the operator."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """N exchanges, read.

    Attributes:
        views: of the exchanges.
        at_N: unix seconds.
        prompts_N: 32-bit hashes of what customers filled in.
        is_empty_N, follows_N: whether there was no text; whether it went on with a conversation.
        tokens_N: of the answers.
        models_N: 32-bit hashes of models' names; 0 where unknown.
        links_NK: 32-bit hashes of client facts, by `LINK_KINDS`; 0 where unknown.
        cells_N, features_NF, projections_NR: where the prompt lies.
    """

    views: Sequence[View]
    at_N: NDArray[np.float64]
    prompts_N: NDArray[np.uint32]
    is_empty_N: NDArray[np.bool_]
    follows_N: NDArray[np.bool_]
    tokens_N: NDArray[np.int64]
    models_N: NDArray[np.uint32]
    links_NK: NDArray[np.uint32]
    cells_N: NDArray[np.int64]
    features_NF: NDArray[np.int16]
    projections_NR: NDArray[np.float64]

    def anchors(self, place: int) -> tuple[int, ...]:
        """The anchors of one prompt, worked out when asked for."""
        view = self.views[place]
        return anchors_of(view.system, view.user)


def read(exchanges: Sequence[Exchange], space: Space) -> Batch:
    """The exchanges, read.

    Raises:
        MissingExtra: WordLlama is not installed.
    """
    views = [view_of(exchange) for exchange in exchanges]
    embedded = embed([view.user for view in views])
    whole = fixed_point(embedded.vectors_ND)
    return Batch(
        views=views,
        at_N=np.array([one.at for one in exchanges], dtype=np.float64),
        prompts_N=np.array([hash_of(view.system, view.user) for view in views], dtype=np.uint32),
        is_empty_N=embedded.empty_N,
        follows_N=np.array([_goes_on(one) for one in exchanges], dtype=np.bool_),
        tokens_N=np.array([one.usage.output_tokens or 0 for one in exchanges], dtype=np.int64),
        models_N=np.array([model_of(one) for one in exchanges], dtype=np.uint32),
        links_NK=np.array([_links(one.client) for one in exchanges], dtype=np.uint32).reshape(-1, len(LINK_KINDS)),
        cells_N=space.cells(whole),
        features_NF=space.fourier.features(embedded.vectors_ND),
        projections_NR=(whole @ space.directions_dr).astype(np.float64),
    )


def _goes_on(exchange: Exchange) -> bool:
    return any(message.role in ("assistant", "tool") for message in exchange.messages)


def model_of(exchange: Exchange) -> int:
    """The hash of the name of the model that answered; 0 where unknown."""
    return word_hash(exchange.source.model or exchange.source.version)


def _links(client: Mapping[str, Any]) -> list[int]:
    return [word_hash(client.get(kind)) for kind in LINK_KINDS]


def word_hash(word: object) -> int:
    """A 32-bit hash of a word, never 0; 0 for no word."""
    return _hash(str(word)) if word else 0


@lru_cache(1 << 16)
def _hash(word: str) -> int:
    return hash_of(word) or 1
