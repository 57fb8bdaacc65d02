"""Embeddings: a text as the mean of the vectors of its tokens, so that texts about the same things lie close together.

The vectors are WordLlama's (256 dimensions, distilled from the token tables of large models), and lie inside its wheel:
nothing is downloaded. A text costs some 0.1 ms, of which most is tokenising words not met before: the tokens of a word
are remembered, which is four to six times as fast as tokenising whole texts and gives the same tokens.

White space does not matter. Of long texts the beginning and the end are read, `HEAD_CHARS` and `TAIL_CHARS`: what is
asked stands there, and between them is what it is asked about. Order does not matter either ("dog bites man"), and
languages other than English get vectors that are less telling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from os.path import dirname
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import MissingExtra
from spiritsafe.text.ends import both_ends

Vectors: TypeAlias = NDArray[np.float32]
"""Embeddings, a row a text."""

DIMENSIONS = 256
HEAD_CHARS = 700
TAIL_CHARS = 300
"""What is read of a text longer than both together: at two thousand texts a second a core, no more can be."""

WORDS_REMEMBERED = 1 << 16
"""Words whose tokens are remembered, about 200 bytes each; when it is full the memory starts anew."""

LONGEST_REMEMBERED = 32
"""Longer words are rare or made up (addresses, keys): each is tokenised again when it comes again."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embeddings of n texts.

    Attributes:
        vectors_ND: float32, a row a text, of length 1; zeros for a text without tokens.
        empty_N: which texts had none: empty ones and those of white space alone.
    """

    vectors_ND: Vectors
    empty_N: NDArray[np.bool_]


def embed(texts: Sequence[str]) -> Embedded:
    """The embeddings of `texts`; a text's does not depend on the others, to the last bit.

    Characters that are no Unicode text (lone surrogates) count as question marks.

    Raises:
        MissingExtra: WordLlama is not installed.
    """
    table_VD, tokens_of = _model()
    vectors_ND = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for row_D, tokens in zip(vectors_ND, map(tokens_of, texts), strict=True):
        if tokens:
            np.add.reduce(table_VD.take(tokens, axis=0), axis=0, out=row_D)
            row_D /= np.sqrt(np.dot(row_D, row_D)) or 1.0
    return Embedded(vectors_ND, np.logical_not(np.any(vectors_ND, axis=1)))


@cache
def _model() -> tuple[Vectors, Callable[[str], list[int]]]:
    """The table of vectors, a row a token, and the function that gives a text's tokens."""
    try:
        # Imported here: half a second, and pydantic and requests with it, which the gateway's start must not pay.
        import wordllama
    except ImportError as error:
        raise MissingExtra.of("embedding prompts", "detect") from error
    model = wordllama.WordLlama.load(cache_dir=dirname(wordllama.__file__), disable_download=True)
    model.tokenizer.no_padding()
    return model.embedding, _Tokens(model.tokenizer).of


class _Tokens:
    """Texts to tokens, word by word: the tokeniser joins nothing across a space."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def of(self, text: str) -> list[int]:
        own = both_ends(text, HEAD_CHARS, TAIL_CHARS, " ").encode("utf-8", "replace").decode().split()
        known = self._known
        if len(known) > WORDS_REMEMBERED:
            known.clear()
        missing = [word for word in dict.fromkeys(own) if word not in known]
        if missing:
            found = self._tokenizer.encode_batch_fast(missing, add_special_tokens=False)
            known.update((word, tokens.ids) for word, tokens in zip(missing, found, strict=True))
        tokens = [token for word in own for token in known[word]]
        for word in missing:
            if len(word) > LONGEST_REMEMBERED:
                del known[word]
        return tokens
