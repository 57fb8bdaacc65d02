from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.exchanges.logprobs import unpack
from spiritsafe.wire.chat import CHAT
from spiritsafe.wire.chat_logprobs import packed_logprobs

Row = tuple[int, list[tuple[int, float]]]

rows = st.lists(
    st.lists(
        st.tuples(st.integers(0, 2**24 - 1), st.floats(-30, 0)), min_size=1, max_size=5, unique_by=lambda pair: pair[0]
    ),
    min_size=1,
    max_size=6,
)


def in_ids(token: int, logprob: float) -> dict[str, Any]:
    return {"id": token, "token": "ä", "bytes": [195, 164], "logprob": logprob}


def in_names(token: int, logprob: float) -> dict[str, Any]:
    return {"token": f"token_id:{token}", "bytes": list(f"token_id:{token}".encode()), "logprob": logprob}


def in_bytes(token: int, logprob: float) -> dict[str, Any]:
    return {"token": str(token), "bytes": list(str(token).encode()), "logprob": logprob}


def in_text(token: int, logprob: float) -> dict[str, Any]:
    return {"token": str(token), "bytes": None, "logprob": logprob}


def content(entry: Any, tops: list[list[tuple[int, float]]]) -> dict[str, Any]:
    return {"content": [entry(*top[0]) | {"top_logprobs": [entry(*pair) for pair in top]} for top in tops]}


@pytest.mark.parametrize("entry", [in_ids, in_names])
@given(tops=rows)
def test_ids_are_kept_as_they_come(entry: Any, tops: list[list[tuple[int, float]]]) -> None:
    packed = packed_logprobs(content(entry, tops))

    assert packed is not None
    assert (packed.tokens, packed.has_ids) == (len(tops), True)
    plain = unpack(packed)
    assert list(plain.chosen_ids) == [top[0][0] for top in tops]
    assert list(plain.chosen_logprobs) == pytest.approx([top[0][1] for top in tops], abs=1 / 500)
    assert set(plain.ids) >= {token for top in tops for token, _ in top}


@pytest.mark.parametrize("entry", [in_bytes, in_text])
@given(tops=rows)
def test_without_ids_the_tokens_bytes_are_kept(entry: Any, tops: list[list[tuple[int, float]]]) -> None:
    packed = packed_logprobs(content(entry, tops))

    assert packed is not None
    assert not packed.has_ids
    assert [packed.table[at] for at in unpack(packed).chosen_ids] == [str(top[0][0]).encode() for top in tops]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"content": None},
        {"content": []},
        {"content": [3]},
        {"content": [{"token": "a"}]},
        {"content": [{"id": 1, "logprob": None}]},
        {"content": [{"id": 2**24, "logprob": -1.0}]},
        {"content": [{"token": "token_id:x", "logprob": -1.0}]},
        {"content": [{"token": "a", "bytes": [300], "logprob": -1.0}]},
        {"content": [{"id": 1, "logprob": -1.0, "top_logprobs": [{"token": "no id", "logprob": -1.0}]}]},
        {"content": [{"id": 1, "logprob": -1.0, "top_logprobs": 7}]},
    ],
)
def test_log_probabilities_that_cannot_be_read_are_left_out_and_the_answer_is_kept(value: object) -> None:
    choice = {"message": {"content": "paid for"}, "logprobs": value}
    answer = CHAT.parse(orjson.dumps({"choices": [choice]}))

    assert (answer.text, answer.logprobs) == ("paid for", None)


def test_positions_without_alternatives_keep_the_chosen_token() -> None:
    packed = packed_logprobs(
        {"content": [{"id": 5, "logprob": -0.5}, {"id": 6, "logprob": -1.5, "top_logprobs": None}]}
    )

    assert packed is not None
    assert (packed.k, list(unpack(packed).chosen_ids)) == (0, [5, 6])
