"""Surfaces: what a customer can ask for over HTTP, one row each, in the formats of OpenAI and Anthropic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spiritsafe.exchanges.record import Request, Usage
from spiritsafe.wire.anthropic import ANTHROPIC
from spiritsafe.wire.anthropic_fold import AnthropicFold
from spiritsafe.wire.base import Answer
from spiritsafe.wire.chat import CHAT
from spiritsafe.wire.chat_fold import ChatFold
from spiritsafe.wire.completions import COMPLETIONS, CompletionsFold
from spiritsafe.wire.embeddings import EMBEDDINGS
from spiritsafe.wire.folding import Fold
from spiritsafe.wire.responses import RESPONSES
from spiritsafe.wire.responses_fold import ResponsesFold
from spiritsafe.wire.shapes import count_of, load_object, malformed


class Reader(Protocol):
    """Reads the bodies of a surface."""

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model's name and the request; see `wire.base.Dialect.read`."""
        ...

    def parse(self, body: bytes) -> Answer:
        """The answer in a successful body; see `wire.base.Dialect.parse`."""
        ...


@dataclass(frozen=True)
class CountTokensReader:
    """Reads Anthropic's counting of tokens: asked like a message, answered with a number."""

    name: str = "count_tokens"

    def read(self, body: bytes) -> tuple[str, Request]:
        """The model's name and the request; see `wire.base.Dialect.read`."""
        return ANTHROPIC.read(body)

    def parse(self, body: bytes) -> Answer:
        """An answer without text that holds the count; see `wire.base.Dialect.parse`."""
        data = load_object(body, "a count of tokens")
        count = count_of(data.get("input_tokens"))
        if count is None:
            raise malformed("a count of tokens", data)
        return Answer("", usage=Usage(count))


@dataclass(frozen=True, slots=True)
class Surface:
    """One thing a customer can ask for.

    Attributes:
        name: the word for it.
        api: whose clients ask: "openai" or "anthropic".
        method, path: of the request; the path below the base that ends in "/v1"; one that ends in "/" takes a name.
        dialect: the word in records.
        reader: reads request and answer; None where there is no body.
        fold: makes what puts a stream together again; None where there are no streams.
    """

    name: str
    api: str
    method: str
    path: str
    dialect: str
    reader: Reader | None = None
    fold: Callable[[], Fold] | None = None


SURFACES: tuple[Surface, ...] = (
    Surface("chat", "openai", "POST", "/chat/completions", "chat", CHAT, ChatFold),
    Surface("completions", "openai", "POST", "/completions", "completions", COMPLETIONS, CompletionsFold),
    Surface("responses", "openai", "POST", "/responses", "responses", RESPONSES, ResponsesFold),
    Surface("embeddings", "openai", "POST", "/embeddings", "embeddings", EMBEDDINGS),
    Surface("models", "openai", "GET", "/models", "models"),
    Surface("model", "openai", "GET", "/models/", "models"),
    Surface("messages", "anthropic", "POST", "/messages", "anthropic", ANTHROPIC, AnthropicFold),
    Surface("count_tokens", "anthropic", "POST", "/messages/count_tokens", "count_tokens", CountTokensReader()),
    Surface("models", "anthropic", "GET", "/models", "models"),
    Surface("model", "anthropic", "GET", "/models/", "models"),
)
"""Every one. Both formats list models at the same path, so these rows come twice."""

_MODELS = b"/models"
_MODEL = b"/models/"
_BY_PATH = {(one.method.encode(), one.path.encode()): one for one in reversed(SURFACES)}
_ANTHROPIC_MODELS = {one.path.encode(): one for one in SURFACES if one.api == "anthropic" and one.method == "GET"}


def surface_of(method: bytes, path: bytes, *, anthropic: bool) -> Surface | None:
    """What `method` and `path` (below "/v1", without a query) ask for; None where there is nothing.

    `anthropic` says that the request has an anthropic-version header, which decides where both formats share a path.
    """
    if path.startswith(_MODEL) and len(path) > len(_MODEL):
        path = _MODEL
    elif path == _MODEL:
        return None
    found = _BY_PATH.get((method, path))
    return _ANTHROPIC_MODELS.get(path, found) if anthropic and found is not None else found
