"""OpenAI embeddings, for reading: each input is a user turn, and the answer has no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message, Request, Sampling
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat import error_inside, usage_of
from spiritsafe.wire.shapes import dict_of, load_object, malformed, text_of
from spiritsafe.wire.turns import read_object

_KNOWN: Final = ("model", "input")


@dataclass(frozen=True)
class EmbeddingsReader:
    """Reads requests for embeddings and their answers."""

    name: str = "embeddings"

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model's name and the inputs; see `wire.base.Dialect.read`."""
        data = read_object(body)
        other = tuple(sorted((name, value) for name, value in data.items() if name not in _KNOWN))
        return str(data.get("model", "")), Request(turns_of("input", data.get("input")), Sampling(other=other))

    def parse(self, body: bytes) -> Answer:
        """An answer without text, with its usage; see `wire.base.Dialect.parse`."""
        data = load_object(body, "embeddings")
        if data.get("error"):
            raise error_inside(data)
        if not isinstance(data.get("data"), list):
            raise malformed("a list of embeddings", data)
        return Answer("", usage=usage_of(dict_of(data.get("usage"))), version=text_of(data.get("model")))


EMBEDDINGS = EmbeddingsReader()


def turns_of(name: str, value: object) -> tuple[Message, ...]:
    """User turns of a field that holds a text, tokens, or a list of texts, of tokens or of parts.

    Raises:
        InputError: it holds something else.
    """
    if isinstance(value, str) or _is_tokens(value):
        value = [value]
    if not isinstance(value, list) or not value or not all(isinstance(one, str | list | dict) for one in value):
        raise InputError(f"got {name} = {shown(value)}, wanted a text, tokens, or a list of them; send one")
    return tuple(map(_turn_of, value))


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def _turn_of(value: str | list[Any] | dict[str, Any]) -> Message:
    """A turn of one text; tokens, and what is neither, are the turn's part."""
    if isinstance(value, str):
        return Message("user", value)
    return Message("user", "", (value if isinstance(value, dict) else {"type": "tokens", "tokens": value},))
