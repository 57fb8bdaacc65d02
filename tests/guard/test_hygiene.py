"""Hygiene: what is refused, and what becomes of log-probabilities in every format that has them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import json_values

from spiritsafe.guard.hygiene import Editor, Hygiene, asks_for_logprobs, editor_for, refusal_of

ORDINARY = Hygiene(2, 1, 4, True)
NO_LOGPROBS = Hygiene(strip_logprobs=True)

SURFACES = ("chat", "completions", "responses", "messages", "embeddings", "models", "model", "count_tokens")


def editor(hygiene: Hygiene, surface: str = "chat", action: str = "allow") -> Editor:
    made = editor_for(hygiene, surface, action)
    assert made is not None
    return made


def token(logprob: float, *others: float) -> dict[str, Any]:
    best = [{"token": str(at), "logprob": value, "bytes": [at]} for at, value in enumerate(others)]
    return {"token": "x", "logprob": logprob, "bytes": [120], "top_logprobs": best}


CAPPED = token(-0.1, -0.1, -1.2)
RAW = token(-0.12, -0.12, -1.23, -4.56)


@pytest.mark.parametrize("surface", ["chat", "completions"])
@pytest.mark.parametrize("name", ["n", "best_of"])
@pytest.mark.parametrize("count", [5, 10**9, 5.0, "9", True, [1]])
def test_more_answers_than_allowed_or_a_number_that_could_be_read_as_more_are_refused(
    surface: str, name: str, count: Any
) -> None:
    said = refusal_of(ORDINARY, surface, {name: count})

    assert said is not None
    assert said.startswith(f"got {name} = ")
    assert "wanted a whole number up to 4" in said


@pytest.mark.parametrize("count", [None, 1, 4])
def test_as_many_answers_as_allowed_pass(count: Any) -> None:
    assert refusal_of(ORDINARY, "chat", {"n": count}) is None
    assert refusal_of(Hygiene(), "chat", {"n": 10**6}) is None


ASKING: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"logprobs": True}),
    ("chat", {"top_logprobs": 3}),
    ("chat", {"logprobs": "true"}),
    ("completions", {"logprobs": 0}),
    ("completions", {"logprobs": 5}),
    ("completions", {"prompt_logprobs": 1}),
    ("responses", {"top_logprobs": 2}),
    ("responses", {"include": ["message.output_text.logprobs"]}),
    ("chat", {"n_probs": 10}),
    ("chat", {"return_logprob": True}),
]


@pytest.mark.parametrize(("surface", "asking"), ASKING)
@pytest.mark.parametrize(
    "bias", [{"logit_bias": {"50256": -100}}, {"logit_bias": [[1, 2]]}, {"allowed_token_ids": [1]}]
)
def test_pushing_tokens_while_reading_their_odds_is_refused(
    surface: str, asking: dict[str, Any], bias: dict[str, Any]
) -> None:
    said = refusal_of(ORDINARY, surface, asking | bias)

    assert said is not None
    assert "together with log-probabilities" in said
    assert refusal_of(ORDINARY, surface, asking) is None
    assert refusal_of(ORDINARY, surface, bias) is None
    assert refusal_of(Hygiene(), surface, asking | bias) is None


@pytest.mark.parametrize(
    "body",
    [{}, {"logprobs": None}, {"logprobs": False}, {"include": ["reasoning.encrypted_content", 5]}, {"include": 3}],
)
def test_who_does_not_ask_for_logprobs_is_known(body: dict[str, Any]) -> None:
    assert not asks_for_logprobs(body)
    assert refusal_of(ORDINARY, "chat", body | {"logit_bias": {"1": 1}}) is None


CHAT = {"choices": [{"index": 0, "message": {"content": "x"}, "logprobs": {"content": [RAW], "refusal": [RAW]}}]}
CHAT_AFTER = {
    "choices": [{"index": 0, "message": {"content": "x"}, "logprobs": {"content": [CAPPED], "refusal": [CAPPED]}}]
}
OLD = {"tokens": ["x"], "token_logprobs": [-0.12, None], "top_logprobs": [{"a": -4.5, "b": -0.12, "c": -1.23}, None]}
OLD_AFTER = {"tokens": ["x"], "token_logprobs": [-0.1, None], "top_logprobs": [{"b": -0.1, "c": -1.2}, None]}
PROMPT = [None, {"1": {"logprob": -0.12, "rank": 1}, "2": {"logprob": -9.99}, "3": {"logprob": -1.23}}]
PROMPT_AFTER = [None, {"1": {"logprob": -0.1, "rank": 1}, "3": {"logprob": -1.2}}]


def responses(listed: list[Any]) -> list[dict[str, Any]]:
    part = {"type": "output_text", "text": "x", "logprobs": listed}
    output = [{"type": "message", "content": [part]}, {"type": "reasoning", "summary": []}]
    return [
        {"object": "response", "output": output, "top_logprobs": 5},
        {"type": "response.output_text.delta", "delta": "x", "logprobs": listed},
        {"type": "response.output_text.done", "text": "x", "logprobs": listed},
        {"type": "response.content_part.done", "part": part},
        {"type": "response.output_item.done", "item": output[0]},
        {"type": "response.completed", "response": {"output": output}},
    ]


CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("chat", CHAT, CHAT_AFTER, {"choices": [{"index": 0, "message": {"content": "x"}, "logprobs": None}]}),
    (
        "completions",
        {"choices": [{"text": "x", "logprobs": OLD}], "prompt_logprobs": PROMPT},
        {"choices": [{"text": "x", "logprobs": OLD_AFTER}], "prompt_logprobs": PROMPT_AFTER},
        {"choices": [{"text": "x", "logprobs": None}], "prompt_logprobs": None},
    ),
    (
        "completions",
        {"choices": [{"text": "x", "prompt_logprobs": PROMPT}]},
        {"choices": [{"text": "x", "prompt_logprobs": PROMPT_AFTER}]},
        {"choices": [{"text": "x", "prompt_logprobs": None}]},
    ),
    *zip(["responses"] * 6, responses([RAW]), responses([CAPPED]), responses([]), strict=True),
]


@pytest.mark.parametrize(("surface", "raw", "capped", "stripped"), CASES)
def test_logprobs_are_capped_rounded_or_stripped_as_the_format_has_it(
    surface: str, raw: dict[str, Any], capped: dict[str, Any], stripped: dict[str, Any]
) -> None:
    for edit in (Editor.edit, Editor.edit_event):
        for hygiene, action, wanted in (
            (ORDINARY, "allow", capped),
            (NO_LOGPROBS, "allow", stripped),
            (ORDINARY, "strip", stripped),
        ):
            body = orjson.loads(orjson.dumps(raw))
            made = editor(hygiene, surface, action)
            assert made.concerns(orjson.dumps(raw))
            assert edit(made, body)
            assert body == wanted
            assert not edit(made, body), "what is edited needs no editing"


def test_the_likeliest_alternatives_stay_in_whatever_order_they_came() -> None:
    body = {"choices": [{"logprobs": {"content": [token(-0.1, -5.0, -0.1, -3.0, -2.0)]}}]}

    assert editor(Hygiene(max_top_logprobs=2)).edit(body)
    assert [best["logprob"] for best in body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]] == [-0.1, -2.0]


@given(st.lists(st.floats(-100, 0), max_size=8), st.integers(0, 5), st.integers(0, 6))
def test_no_more_and_no_finer_than_allowed_is_left(values: list[float], most: int, decimals: int) -> None:
    body = {"choices": [{"logprobs": {"content": [token(-0.123456789, *values)]}}]}
    made = editor(Hygiene(max_top_logprobs=most, logprob_decimals=decimals))
    made.edit_event(body)

    best = body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert len(best) == min(most, len(values))
    assert sorted((round(value, decimals) for value in values), reverse=True)[:most] == sorted(
        (item["logprob"] for item in best), reverse=True
    )


@pytest.mark.parametrize("surface", SURFACES)
def test_where_nothing_could_have_to_be_changed_there_is_no_editor(surface: str) -> None:
    assert editor_for(Hygiene(), surface, "allow") is None
    assert editor_for(ORDINARY, surface, "throttle", {"logprobs": False}) is None
    if surface in ("chat", "completions", "responses", "messages"):
        assert editor_for(ORDINARY, surface, "strip", {}) is not None
        assert editor_for(Hygiene(reasoning="withheld"), surface, "allow", {}) is not None
    else:
        assert editor_for(Hygiene(2, 2, reasoning="withheld"), surface, "strip") is None


def test_messages_have_no_logprobs_to_edit() -> None:
    assert editor_for(ORDINARY, "messages", "allow") is None


def test_most_events_need_no_look_while_thinking_is_raw() -> None:
    assert not editor(ORDINARY).concerns(b'{"choices":[{"delta":{"content":"x"}}]}')
    assert editor(Hygiene(reasoning="withheld")).concerns(b"{}")


def test_a_body_with_nothing_to_change_is_not_changed() -> None:
    body = {"choices": [{"index": 0, "message": {"content": "x"}, "logprobs": {"content": [CAPPED]}}], "x": -0.123456}

    assert not editor(ORDINARY).edit(orjson.loads(orjson.dumps(body)))
    assert not editor(NO_LOGPROBS).edit({"choices": [{"logprobs": None}], "usage": {}})


NAMES = """
choices logprobs content top_logprobs token_logprobs prompt_logprobs output item part response message delta
reasoning_content reasoning_details type text index refusal content_block thinking summary sequence_number
finish_reason logprob token tool_calls
"""
KINDS = """
thinking text text_delta thinking_delta signature_delta content_block_start content_block_delta content_block_stop
reasoning response.output_text.delta response.output_text.done response.completed response.reasoning_text.delta
output_text reasoning_text <think> </think>
"""
ODD = st.sampled_from(NAMES.split())
odd_values = st.recursive(
    json_values(1) | st.sampled_from(KINDS.split()) | st.just(-0.123456),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(ODD, odd_values, max_size=5), st.sampled_from(SURFACES[:4]), st.booleans(), st.booleans())
def test_whatever_an_upstream_sends_editing_raises_nothing_and_says_whether_it_changed(
    body: dict[str, Any], surface: str, whole: bool, strips: bool
) -> None:
    hygiene = Hygiene(1, 1, None, False, "withheld" if strips else "summarised", strips)
    made = editor_for(hygiene, surface, "allow", summarise=lambda text: "short")
    assert made is not None
    before = orjson.dumps(body)

    changed = made.edit(body) if whole else made.edit_event(body)

    assert changed == (orjson.dumps(body) != before)
