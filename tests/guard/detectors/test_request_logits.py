"""Sweeps over the output layer and harvests of log-probabilities, among those who use both honestly."""

import math

import pytest
from tests.guard.detectors.examples import asked, biased, harvested, last_sign, score_of

from spiritsafe.exchanges.record import Message, Sampling
from spiritsafe.guard.detectors.request_logits import LOGIT_SWEEP, MOST_TOKENS, bias_of
from spiritsafe.guard.detectors.request_logprobs import LOGPROB_HARVEST
from spiritsafe.guard.detectors.view import view_of

WORDS = {str(token): 5 for token in range(10)}
THOUSAND = math.log2(1 + 1_000)


def test_a_sweep_over_the_vocabulary_on_one_prompt_is_found() -> None:
    sweep = [biased("The", {str(token): -100}, at=token) for token in range(1_000)]

    assert score_of(LOGIT_SWEEP, sweep) == pytest.approx(THOUSAND, abs=0.6)


def test_a_binary_search_on_the_bias_of_one_token_is_found_without_log_probabilities() -> None:
    search = [biased("The", {"7": step / 16}, logprobs=None) for step in range(400)]

    assert score_of(LOGIT_SWEEP, search) > 8


def test_a_sweep_within_ten_times_as_much_honest_traffic_is_found() -> None:
    honest = [biased(f"Is {at} spam?", WORDS, at=at) for at in range(2_000)]
    sweep = [biased("The", {str(token): -100}, at=token) for token in range(2_000)]
    mixed = [one for pair in zip(honest, sweep, strict=True) for one in pair]

    assert score_of(LOGIT_SWEEP, mixed) > 9.5


@pytest.mark.parametrize(
    "exchanges",
    [
        [biased(f"Is {at} spam?", WORDS) for at in range(1_000)],
        [biased(f"Write about {at}.", {str(at): -100}) for at in range(1_000)],
        [biased("Is this spam?", WORDS) for _ in range(1_000)],
    ],
    ids=["one list for all prompts", "another list for each prompt", "the same again and again"],
)
def test_honest_use_of_biases_scores_next_to_nothing(exchanges: list) -> None:
    assert score_of(LOGIT_SWEEP, exchanges) <= math.log2(1 + 1 + 1_000 / 48) + 0.3


def test_a_request_without_a_bias_is_no_sign_of_a_sweep() -> None:
    assert last_sign(LOGIT_SWEEP, [biased("The", WORDS), asked("The")]) is None
    assert last_sign(LOGIT_SWEEP, [biased("The", {})]) is None


def test_the_reasons_say_how_many_biases_and_tokens() -> None:
    sign = last_sign(LOGIT_SWEEP, [biased("The", {"1": 1, "2": 1}), biased("The", {"3": 1}, logprobs=None)])

    assert sign is not None
    assert sign.reasons == (
        "different biases on the prompt of this request: about 2",
        "different tokens with a bias before this request: about 2",
        "of its 2 exchanges 2 have a bias, and of these 1 ask for log-probabilities",
    )


@pytest.mark.parametrize(
    ("field", "value", "tokens"),
    [
        ("logit_bias", {"5": 1, "17": -1}, ("17", "5")),
        ("logit_bias", [[5, 1.0], ["word", False]], ("5", "word")),
        ("allowed_token_ids", [3, 1], ("1", "3")),
        ("logit_bias", {}, None),
        ("logit_bias", 3, None),
        ("logit_bias", [[]], ("[]",)),
    ],
)
def test_a_bias_is_read_in_every_form_that_servers_take(
    field: str, value: object, tokens: tuple[str, ...] | None
) -> None:
    bias = bias_of(view_of(asked("x", sampling=Sampling(other=((field, value),)))))

    assert (None if bias is None else bias.tokens) == tokens


def test_the_order_of_a_bias_does_not_matter_and_its_values_do() -> None:
    one, other, third = (
        bias_of(view_of(biased("x", value))) for value in ({"1": 2, "3": 4}, {"3": 4, "1": 2}, {"1": 2, "3": 5})
    )

    assert one == other != third


def test_of_a_huge_bias_a_bounded_part_is_counted() -> None:
    bias = bias_of(view_of(biased("x", {str(token): 1 for token in range(50_000)})))

    assert bias is not None
    assert len(bias.tokens) == MOST_TOKENS


def test_a_bias_nested_beyond_measure_is_a_bias() -> None:
    deep: list = []
    for _ in range(500):
        deep = [deep]

    assert score_of(LOGIT_SWEEP, [biased("x", {"1": deep})]) == 1.0


def test_another_system_prompt_is_another_prompt() -> None:
    other = biased("The", {"2": 1})
    other = type(other)("2", 0.0, "chat", (Message("system", "Hm."), *other.messages), sampling=other.sampling)

    assert score_of(LOGIT_SWEEP, [biased("The", {"1": 1}), other]) == 1.0


def test_log_probabilities_are_counted_as_they_were_given() -> None:
    sign = last_sign(LOGPROB_HARVEST, [harvested("a", 10, k=20), asked("b"), harvested("c", 1, k=5)])

    assert sign is not None
    assert sign.score == math.log2(1 + 205)
    assert sign.reasons == (
        "log-probabilities in its answers so far: 205",
        "of its 3 exchanges 2 ask for them, 1 in an answer of one token",
    )


def test_a_request_for_text_alone_is_no_sign_of_a_harvest() -> None:
    assert last_sign(LOGPROB_HARVEST, [harvested("a", 10), asked("b")]) is None
