"""Streams as upstreams send them, in the shapes of the official documentation, and ways to cut and fold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
from hypothesis import strategies as st

from spiritsafe.wire.folding import Fold

Make = Callable[[], Fold]


def data_events(*events: Any, done: bool = True) -> bytes:
    """Events as OpenAI's completions send them."""
    ends = [b"data: [DONE]\n\n"] if done else []
    return b"".join([*(b"data: " + orjson.dumps(event) + b"\n\n" for event in events), *ends])


def named_events(*events: dict[str, Any]) -> bytes:
    """Events as Anthropic's messages and OpenAI's responses send them: with their type as a name."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events)


def folded(make: Make, *pieces: bytes) -> Fold:
    """The fold after these pieces."""
    fold = make()
    for piece in pieces:
        fold.feed(piece)
    return fold


def body_of(make: Make, *pieces: bytes) -> Any:
    """The folded body, parsed."""
    return orjson.loads(folded(make, *pieces).body())


def cuts(stream: bytes) -> Iterator[tuple[bytes, ...]]:
    """The stream in two pieces, cut at every offset, and byte by byte."""
    for at in range(len(stream) + 1):
        yield stream[:at], stream[at:]
    yield tuple(stream[at : at + 1] for at in range(len(stream)))


def pieces_of(stream: bytes, lengths: Iterable[int]) -> list[bytes]:
    """The stream in pieces of these lengths, and what is left."""
    pieces, at = [], 0
    for length in lengths:
        pieces.append(stream[at : at + length])
        at += length
    return [*pieces, stream[at:]]


lengths = st.lists(st.integers(0, 200), max_size=8)

FIELDS = (
    "id type index choices delta content text role refusal reasoning reasoning_content tool_calls function arguments "
    "logprobs usage error finish_reason message content_block partial_json thinking signature citation response item "
    "output_index content_index summary_index part output summary annotation tokens top_logprobs prompt_tokens"
)
TYPES = (
    "message_start content_block_start content_block_delta content_block_stop message_delta message_stop ping error "
    "text_delta input_json_delta thinking_delta signature_delta citations_delta text tool_use message reasoning "
    "response.created response.completed response.output_item.added response.output_item.done output_text "
    "response.content_part.added response.output_text.delta response.refusal.delta response.reasoning_text.delta "
    "response.reasoning_summary_text.delta response.function_call_arguments.delta response.output_text.annotation.added"
)


def event_like() -> st.SearchStrategy[Any]:
    """Whatever has the fields of an event, at any depth, with values of the wrong kind too."""
    types = st.sampled_from(TYPES.split())
    leaves = st.none() | st.booleans() | st.integers(-2, 3) | st.floats(-1, 1) | types | st.text("ab", max_size=3)

    def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        typed = st.fixed_dictionaries({"type": types}, optional=dict.fromkeys(FIELDS.split()[2:], inner))
        fields = st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=5)
        return st.lists(inner, max_size=2) | fields | typed

    return st.recursive(leaves, objects, max_leaves=15)
