"""Hypothesis strategies for what the whole project passes around: exchanges and their parts, attempts, positions.

from tests.strategies import exchanges

@given(exchanges())
def test_...
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from spiritsafe.exchanges.entries import Attempt
from spiritsafe.exchanges.logprobs import Position
from spiritsafe.exchanges.record import Exchange, Message, Request, Sampling, Source, Timing, TokenLogprobs, Usage

MOST_INT = 2**53

counts = st.integers(0, 10**9)
numbers = st.floats(0, 1e9, allow_nan=False)
short_text = st.text(max_size=20)
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """None or something of `strategy`."""
    return st.none() | strategy


def json_values(max_leaves: int = 5) -> st.SearchStrategy[Any]:
    """Whatever JSON can hold without loss."""
    finite = st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | st.integers(-MOST_INT, MOST_INT) | finite | short_text
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | json_objects(inner), max_leaves=max_leaves)


def json_objects(values: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with keys no field of ours has."""
    return st.dictionaries(words.map(lambda word: "x_" + word), json_values() if values is None else values, max_size=3)


def parts() -> st.SearchStrategy[dict[str, Any]]:
    """Content parts that are not text."""
    return json_objects().map(lambda row: {"type": "image_url", **row})


def messages() -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant", "tool"]),
        short_text,
        st.lists(parts(), max_size=1).map(tuple),
    )


def samplings() -> st.SearchStrategy[Sampling]:
    return st.builds(
        Sampling,
        temperature=maybe(st.floats(0, 2)),
        top_p=maybe(st.floats(0.01, 1)),
        max_tokens=maybe(counts),
        seed=maybe(counts),
        stop=st.lists(short_text, max_size=2).map(tuple),
        top_logprobs=maybe(st.integers(1, 20)),
        other=json_objects().map(lambda row: tuple(sorted(row.items(), key=lambda pair: pair[0]))),
    )


def requests() -> st.SearchStrategy[Request]:
    return st.builds(Request, st.lists(messages(), min_size=1, max_size=3).map(tuple), samplings(), st.integers(0, 3))


def usages() -> st.SearchStrategy[Usage]:
    return st.builds(Usage, maybe(counts), maybe(counts), maybe(counts), maybe(counts))


def timings() -> st.SearchStrategy[Timing]:
    return st.builds(Timing, maybe(numbers), maybe(numbers))


def sources() -> st.SearchStrategy[Source]:
    return st.builds(
        Source,
        endpoint=words,
        model=short_text,
        version=maybe(short_text),
        fingerprint=maybe(short_text),
        terms=st.sampled_from(["open_weights", "permits", "forbids", "unknown"]),
        licence=maybe(short_text),
        permission=maybe(short_text),
        terms_as_of=maybe(short_text),
    )


def token_logprobs() -> st.SearchStrategy[TokenLogprobs]:
    """Log-probabilities whose packed bytes are opaque: for stores, which do not look into them."""
    tables = st.lists(st.binary(max_size=4), min_size=1, max_size=3).map(tuple)
    with_ids = st.builds(TokenLogprobs, counts, st.integers(0, 255), st.binary(max_size=20))
    with_table = st.builds(
        TokenLogprobs, counts, st.integers(0, 255), st.binary(max_size=20), has_ids=st.just(False), table=tables
    )
    return with_ids | with_table


def keys() -> st.SearchStrategy[bytes]:
    """Request keys."""
    return st.binary(min_size=16, max_size=16)


def exchanges(ids: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Exchange]:
    """Exchanges of every kind; their ids are request keys unless `ids` says otherwise."""
    return st.builds(
        Exchange,
        id=keys().map(bytes.hex) if ids is None else ids,
        at=numbers,
        dialect=st.sampled_from(["", "chat", "anthropic"]),
        messages=st.lists(messages(), max_size=2).map(tuple),
        sampling=samplings(),
        sample=st.integers(0, 3),
        answer=short_text,
        reasoning=maybe(short_text),
        finish_reason=st.sampled_from(["", "stop", "length", "content_filter"]),
        usage=usages(),
        timing=timings(),
        logprobs=maybe(token_logprobs()),
        source=sources(),
        dollars=maybe(st.floats(0, 1000)),
        price_version=maybe(short_text),
        charged_to=st.sampled_from(["", "demo", "other"]),
        account=short_text,
        segment=short_text,
        client=json_objects(),
        other=json_objects(),
    )


def attempts() -> st.SearchStrategy[Attempt]:
    return st.builds(
        Attempt,
        at=numbers,
        key=keys(),
        charged_to=st.sampled_from(["", "demo", "other"]),
        kind=st.sampled_from(["timeout", "malformed"]),
        dollars=maybe(st.floats(0, 1000)),
        input_tokens=maybe(counts),
        output_tokens=maybe(counts),
    )


def positions(tokens: st.SearchStrategy[Any] | None = None, most: int = 5) -> st.SearchStrategy[Position]:
    """Answer tokens with up to `most` alternatives, in any order; the chosen one may be among them or not."""
    token = st.integers(0, 2**24 - 1) if tokens is None else tokens
    logprob = st.floats(-300, 0.001)
    return st.builds(Position, token, logprob, st.lists(st.tuples(token, logprob), max_size=most))
