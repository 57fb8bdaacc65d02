"""Packed log-probabilities: small, within 1/512 nat, and never silently wrong."""

import math
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import positions

from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.logprobs import Position, Unpacked, pack, unpack
from spiritsafe.exchanges.record import TokenLogprobs

GRID = 1 / 512
LEAST = -65534 / 256


def on_the_grid(logprob: float) -> float:
    """What is kept of a log-probability beside rounding: no less than the least code, and never above 0."""
    return min(max(logprob, LEAST), 0.0)


def ranked(found: Unpacked, row: int) -> list[tuple[int, float]]:
    start = row * found.k
    pairs = zip(found.ids[start : start + found.k], found.logprobs[start : start + found.k], strict=True)
    return [(token, logprob) for token, logprob in pairs if logprob > -math.inf]


def within_the_grid(came: list[float], went: list[float]) -> bool:
    return len(came) == len(went) and all(
        abs(a - on_the_grid(b)) <= GRID + 1e-5 for a, b in zip(came, went, strict=True)
    )


@given(st.lists(positions(), max_size=8))
def test_what_was_packed_comes_back_within_the_grid(rows: list[Position]) -> None:
    found = unpack(pack(rows))

    assert found.tokens == len(rows)
    assert found.k == max((len(row.top) for row in rows), default=0)
    assert list(found.chosen_ids) == [row.token for row in rows]
    assert within_the_grid(list(found.chosen_logprobs), [row.logprob for row in rows])
    for number, row in enumerate(rows):
        pairs = ranked(found, number)
        assert sorted(token for token, _ in pairs) == sorted(token for token, _ in row.top)
        assert within_the_grid([value for _, value in pairs], sorted((value for _, value in row.top), reverse=True))


@given(st.lists(positions(st.binary(max_size=4)), min_size=1, max_size=5))
def test_tokens_without_ids_index_the_table(rows: list[Position]) -> None:
    packed = pack(rows)
    found = unpack(packed)

    assert not packed.has_ids
    assert [packed.table[token] for token in found.chosen_ids] == [row.token for row in rows]
    for number, row in enumerate(rows):
        tokens = sorted(packed.table[token] for token, _ in ranked(found, number))
        assert tokens == sorted(token for token, _ in row.top)


def test_missing_alternatives_are_minus_infinity_with_id_zero() -> None:
    found = unpack(pack([Position(7, -0.5, [(7, -0.5), (8, -1.0)]), Position(9, -2.0, [(3, -0.25)])]))

    assert list(found.ids) == [7, 8, 3, 0]
    assert list(found.logprobs) == [-0.5, -1.0, -0.25, -math.inf]
    assert (list(found.chosen_ids), list(found.chosen_logprobs)) == ([7, 9], [-0.5, -2.0])


def test_a_chosen_token_whose_own_value_differs_keeps_it() -> None:
    found = unpack(pack([Position(7, -0.5, [(7, -3.0)])]))

    assert (found.chosen_logprobs[0], found.logprobs[0]) == (-0.5, -3.0)


def test_twenty_of_eighteen_bit_ids_take_at_most_eighty_bytes_a_token() -> None:
    draw = random.Random(1)
    rows = []
    for _ in range(300):
        logits = sorted((draw.gauss(0, 2.5) for _ in range(200)), reverse=True)
        norm = math.log(sum(map(math.exp, logits)))
        top = [(draw.randrange(2**18), logit - norm) for logit in logits[:20]]
        rows.append(Position(top[0][0], top[0][1], top))

    packed = pack(rows).packed

    assert len(packed) / len(rows) <= 80


@pytest.mark.parametrize("kind", ["ids", "logprobs"])
def test_arrays_give_their_memory_to_others(kind: str) -> None:
    found = unpack(pack([Position(1, -1.0, [(1, -1.0), (2, -2.0)])]))
    shared = memoryview(getattr(found, kind))

    assert (shared.itemsize, shared.nbytes, shared.contiguous) == (4, 8, True)


@pytest.mark.parametrize(
    "rows",
    [
        [Position(1, math.nan, [])],
        [Position(1, -1.0, [(2, math.nan)])],
        [Position(2**24, -1.0, [])],
        [Position(1, -1.0, [(2**24, -1.0)])],
        [Position(-1, -1.0, [])],
        [Position(1, -1.0, [(b"a", -1.0)])],
        [Position(1, -1.0, []), Position(b"a", -1.0, [])],
        [Position(b"a", -1.0, [(1, -1.0)])],
        [Position(1, -1.0, [(n, -1.0) for n in range(256)])],
    ],
)
def test_what_cannot_be_packed_is_an_input_error(rows: list[Position]) -> None:
    with pytest.raises(InputError):
        pack(rows)


def test_minus_infinity_is_the_least_value_there_is() -> None:
    assert unpack(pack([Position(1, -math.inf, [(2, -math.inf)])])).chosen_logprobs == array("f", [LEAST])


PACKED = pack([Position(n, -1.0, [(n + 1, -1.5), (n, -2.5)]) for n in range(40)])


@given(st.integers(0, len(PACKED.packed) - 1))
def test_bytes_cut_off_anywhere_are_a_store_error(length: int) -> None:
    with pytest.raises(StoreError, match="damaged"):
        unpack(TokenLogprobs(PACKED.tokens, PACKED.k, PACKED.packed[:length]))


@given(st.integers(0, 100), st.integers(0, 300))
def test_other_counts_than_were_packed_are_a_store_error_or_as_long_as_they_say(tokens: int, k: int) -> None:
    try:
        found = unpack(TokenLogprobs(tokens, k, PACKED.packed))
    except StoreError:
        return
    assert (len(found.ids), len(found.chosen_ids)) == (tokens * k, tokens)


@settings(max_examples=300)
@given(st.integers(0, 50), st.integers(0, 20), st.binary(max_size=200))
def test_any_bytes_are_a_store_error_or_arrays_of_the_right_length(tokens: int, k: int, data: bytes) -> None:
    try:
        found = unpack(TokenLogprobs(tokens, k, b"\x01" + data))
    except StoreError:
        return
    assert (len(found.ids), len(found.logprobs), len(found.chosen_ids)) == (tokens * k, tokens * k, tokens)


def test_a_count_that_no_answer_has_is_refused_before_room_is_made() -> None:
    with pytest.raises(StoreError, match="damaged"):
        unpack(TokenLogprobs(10**12, 20, PACKED.packed))
