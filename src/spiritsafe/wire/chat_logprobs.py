"""Top log-probabilities of a chat completion: `logprobs.content[*].top_logprobs` to their packed form.

Tokens come in three forms, and one answer uses one of them throughout:

    "id": 42                     llama.cpp: vocabulary ids beside the text
    "token": "token_id:42"       vLLM with `return_tokens_as_token_ids`: ids in place of the text
    "bytes": [32, 104, 105]      OpenAI and others: only the token's bytes, or its text where the bytes are null

Log-probabilities that cannot be read are left out rather than raised: the answer has been paid for. Slow (about a
millisecond per 50 tokens at k = 20), so it is done in a process of its own; see `models.api`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spiritsafe.errors import InputError
from spiritsafe.exchanges.logprobs import Position, pack
from spiritsafe.exchanges.record import TokenLogprobs
from spiritsafe.wire.shapes import dict_of, list_of

_PREFIX = "token_id:"


def packed_logprobs(value: object) -> TokenLogprobs | None:
    """The packed form of a choice's `logprobs`, or None where there are none that can be read."""
    entries = list_of(dict_of(value).get("content"))
    if not entries:
        return None
    try:
        return pack(_positions(entries, _token_of(entries[0])))
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        return None


Entry = Mapping[str, Any]


def _positions(entries: list[Entry], token_of: Callable[[Entry], int | bytes]) -> list[Position]:
    return [
        Position(
            token_of(entry),
            entry["logprob"],
            [(token_of(other), other["logprob"]) for other in entry.get("top_logprobs") or ()],
        )
        for entry in entries
    ]


def _token_of(first: Entry) -> Callable[[Entry], int | bytes]:
    """How the tokens of an answer are read, by the looks of its first."""
    if type(first.get("id")) is int:
        return _by_id
    return _by_name if str(first.get("token")).startswith(_PREFIX) else _by_bytes


def _by_id(entry: Entry) -> int:
    number: int = entry["id"]
    return number


def _by_name(entry: Entry) -> int:
    name: str = entry["token"]
    return int(name.removeprefix(_PREFIX))


def _by_bytes(entry: Entry) -> bytes:
    raw = entry.get("bytes")
    return bytes(raw) if raw is not None else str(entry["token"]).encode()
