"""Packing of top-k log-probabilities: from Python rows to at most 80 bytes a token at k = 20, and back to flat arrays.

Layout of `TokenLogprobs.packed`, version 1: one byte 0x01, then one zstd frame of these byte planes, back to back:

    ids        3 planes of T·k bytes (low, middle, high byte of a 24-bit id), rank-major: all first ranks, all second, …
    codes      2 planes of T·k bytes (low, high), rank-major: the code of rank 0, then the differences from rank to rank
    ranks      T bytes: the rank of the chosen token; 255 where it is not among the k with the log-probability it has
    aside      n = number of 255s: ids of those chosen tokens as 3 planes of n bytes, their codes as 2 planes of n bytes

A code is round(−256 · logprob), so a value is at most 1/512 nat off; −255.99 nats (code 65534) and less are one value,
values above 0 are 0, and code 65535 means that the position has no alternative of that rank (its id is 0). Ranks go by
descending log-probability, so the differences are small and not negative. Each plane is a zstd block of its own: random
id bytes and skewed value bytes in one Huffman table cost 7 bytes a token.

Limits: ids below 2^24, k at most 255, little-endian machines. Without numpy, so that the collector stays light.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat
from math import inf
from operator import add, sub
from typing import Any, NamedTuple

import zstandard

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.record import TokenLogprobs

STEPS_PER_NAT = 256
MOST_K = 255
MOST_CODE = 65534
MISSING = 65535
ASIDE = 255
LAYOUT = b"\x01"
LEVEL = 3

MOST_CELLS = 1 << 26
"""Most T·k that `unpack` makes room for: more than any model answers; it bounds what a damaged file can ask for."""


class Position(NamedTuple):
    """One answer token and its alternatives.

    Attributes:
        token: the chosen token: its vocabulary id, or its bytes where the upstream gives no ids.
        logprob: its natural log-probability.
        top: up to 255 alternatives as (token, logprob), in any order; the chosen token may be among them or not.
    """

    token: int | bytes
    logprob: float
    top: Sequence[tuple[int | bytes, float]]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Flat arrays that `torch.frombuffer` takes as they are.

    Attributes:
        tokens: T.
        k: alternatives a token.
        ids: T·k of uint32, position-major, by descending log-probability: vocabulary ids or indices into the table.
        logprobs: T·k of float32; −inf where a position has fewer than k alternatives (its id is then 0).
        chosen_ids: T of uint32.
        chosen_logprobs: T of float32.
    """

    tokens: int
    k: int
    ids: array[int]
    logprobs: array[float]
    chosen_ids: array[int]
    chosen_logprobs: array[float]


def pack(rows: Sequence[Position]) -> TokenLogprobs:
    """The packed form of `rows`, one a token of the answer.

    Raises:
        InputError: a log-probability is not a number, an id is not in 0..2^24−1, a position has more than 255
            alternatives, or ids and bytes are mixed.
    """
    k = max((len(row.top) for row in rows), default=0)
    if k > MOST_K:
        raise InputError(
            f"got {k} log-probabilities for one token, wanted at most {MOST_K}; ask for fewer top_logprobs"
        )
    numbered, table = _numbered(rows)
    try:
        return TokenLogprobs(len(rows), k, _packed(numbered, k), not table, table)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            "got a token id or log-probability that is no number or out of range, wanted ids below 2^24 and "
            "log-probabilities in nats; check what the upstream sends"
        ) from None


def unpack(logprobs: TokenLogprobs) -> Unpacked:
    """The arrays of what `pack` packed; log-probabilities are within 1/512 nat of what was given.

    Raises:
        StoreError: the bytes are not what `pack` writes for that many tokens and alternatives.
    """
    tokens, k = logprobs.tokens, logprobs.k
    data = _planes_of(logprobs)
    cells = tokens * k
    ranks, aside = data[5 * cells : 5 * cells + tokens], data[5 * cells + tokens :]
    if len(aside) != 5 * ranks.count(ASIDE) or any(k <= rank < ASIDE for rank in set(ranks)):
        raise _damaged(logprobs)
    ids = _by_position(_joined_ids(data[: 3 * cells]), tokens, k)
    values = _by_position(_values(_summed(_joined_codes(data[3 * cells : 5 * cells]), tokens)), tokens, k)
    chosen_ids, chosen_logprobs = _chosen(ranks, k, ids, values, aside)
    return Unpacked(tokens, k, ids, values, chosen_ids, chosen_logprobs)


def _chosen(
    ranks: bytes, k: int, ids: array[int], values: array[float], aside: bytes
) -> tuple[array[int], array[float]]:
    """Ids and log-probabilities of the chosen tokens, from their ranks and from what was kept aside."""
    split = 3 * len(aside) // 5
    left = zip(_joined_ids(aside[:split]), _values(_joined_codes(aside[split:])), strict=True)
    found = [
        next(left) if rank == ASIDE else (ids[row * k + rank], values[row * k + rank]) for row, rank in enumerate(ranks)
    ]
    return array("I", [token for token, _ in found]), array("f", [value for _, value in found])


def _by_position(by_rank: array[Any], tokens: int, k: int) -> array[Any]:
    """Position-major from rank-major, T·k values."""
    turned = by_rank[:]
    for rank in range(k):
        turned[rank::k] = by_rank[rank * tokens : (rank + 1) * tokens]
    return turned


def _values(codes: array[int]) -> array[float]:
    return array("f", map(_value_of_code().__getitem__, codes))


@cache
def _value_of_code() -> list[float]:
    return [-code / STEPS_PER_NAT for code in range(MISSING)] + [-inf]


def _numbered(rows: Sequence[Position]) -> tuple[Sequence[Position], tuple[bytes, ...]]:
    """`rows` with tokens as numbers, and the table of distinct token bytes (empty where they are ids already)."""
    if not rows or not isinstance(rows[0].token, bytes):
        return rows, ()
    seen: dict[int | bytes, int] = {}
    numbered = []
    for row in rows:
        top = [(seen.setdefault(token, len(seen)), logprob) for token, logprob in row.top]
        numbered.append(Position(seen.setdefault(row.token, len(seen)), row.logprob, top))
    table = tuple(token for token in seen if isinstance(token, bytes))
    if len(table) != len(seen):
        raise InputError("got token ids and token bytes mixed, wanted one of them; check what the upstream sends")
    return numbered, table


def _packed(rows: Sequence[Position], k: int) -> bytes:
    ids: list[list[int]] = []
    codes: list[list[int]] = []
    ranks = bytearray()
    aside: list[tuple[Any, int]] = []
    chosen_codes = _codes([row.logprob for row in rows])
    for row, code in zip(rows, chosen_codes, strict=True):
        row_ids, row_codes = _ranked(row.top)
        rank = row_ids.index(row.token) if row.token in row_ids else ASIDE
        if rank == ASIDE or row_codes[rank] != code:
            rank = ASIDE
            aside.append((row.token, code))
        ranks.append(rank)
        padding = k - len(row_ids)
        ids.append(row_ids + [0] * padding)
        codes.append(row_codes + [MISSING] * padding)
    ids_by_rank = chain.from_iterable(zip(*ids, strict=True))
    planes = [*_split_ids(ids_by_rank), *_split_codes(_differences(codes)), bytes(ranks)]
    planes += [*_split_ids([token for token, _ in aside]), *_split_codes(array("H", [code for _, code in aside]))]
    return LAYOUT + _compressed(planes)


def _ranked(top: Sequence[tuple[Any, float]]) -> tuple[list[Any], list[int]]:
    """Ids and codes of one position's alternatives by descending log-probability; most upstreams send them so."""
    ids = [token for token, _ in top]
    codes = _codes([logprob for _, logprob in top])
    if codes == sorted(codes):
        return ids, codes
    order = sorted(range(len(codes)), key=codes.__getitem__)
    return [ids[at] for at in order], [codes[at] for at in order]


def _codes(logprobs: Sequence[float]) -> list[int]:
    """Codes of `logprobs`; the plain way first, since values out of range are rare and a check costs as much again."""
    try:
        codes = [int(0.5 - STEPS_PER_NAT * logprob) for logprob in logprobs]
    except OverflowError:
        codes = [-1]
    if codes and (min(codes) < 0 or max(codes) > MOST_CODE):
        return [int(0.5 + max(min(-STEPS_PER_NAT * logprob, MOST_CODE), 0)) for logprob in logprobs]
    return codes


def _differences(codes: list[list[int]]) -> array[int]:
    differences = array("H")
    before: Iterable[int] = repeat(0)
    for column in zip(*codes, strict=True):
        differences.extend(map(sub, column, before))
        before = column
    return differences


def _summed(differences: array[int], tokens: int) -> array[int]:
    """Codes from differences; damage cannot lead past the last code, since sums wrap as the array's items do."""
    codes = array("H")
    before: Iterable[int] = repeat(0)
    for start in range(0, len(differences), tokens or 1):
        column = array("H", [code & MISSING for code in map(add, differences[start : start + tokens], before)])
        codes += column
        before = column
    return codes


def _split_ids(ids: Iterable[int]) -> list[bytes]:
    data = array("I", ids).tobytes()
    if any(data[3::4]):
        raise OverflowError
    return [data[0::4], data[1::4], data[2::4]]


def _split_codes(codes: array[int]) -> list[bytes]:
    data = codes.tobytes()
    return [data[0::2], data[1::2]]


def _joined_ids(planes: bytes) -> array[int]:
    count = len(planes) // 3
    data = bytearray(4 * count)
    for byte in range(3):
        data[byte::4] = planes[byte * count : (byte + 1) * count]
    return array("I", bytes(data))


def _joined_codes(planes: bytes) -> array[int]:
    count = len(planes) // 2
    data = bytearray(2 * count)
    for byte in range(2):
        data[byte::2] = planes[byte * count : (byte + 1) * count]
    return array("H", bytes(data))


def _compressed(planes: list[bytes]) -> bytes:
    writer = zstandard.ZstdCompressor(level=LEVEL).compressobj(size=sum(map(len, planes)))
    parts = []
    for plane in planes:
        parts += [writer.compress(plane), writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    return b"".join([*parts, writer.flush()])


def _planes_of(logprobs: TokenLogprobs) -> bytes:
    tokens, cells, packed = logprobs.tokens, logprobs.tokens * logprobs.k, logprobs.packed
    if packed[:1] != LAYOUT or min(tokens, logprobs.k) < 0 or max(tokens, cells) > MOST_CELLS or logprobs.k > MOST_K:
        raise _damaged(logprobs)
    try:
        size = zstandard.frame_content_size(packed[1:])
        if not 5 * cells + tokens <= size <= 5 * cells + 6 * tokens:
            raise _damaged(logprobs)
        return zstandard.ZstdDecompressor().decompress(packed[1:])
    except zstandard.ZstdError:
        raise _damaged(logprobs) from None


def _damaged(logprobs: TokenLogprobs) -> StoreError:
    return StoreError(
        f"packed log-probabilities are damaged: {len(logprobs.packed)} bytes do not hold {logprobs.tokens} tokens with "
        f"{logprobs.k} alternatives in layout 1; leave this exchange out or ask it again"
    )
