from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from spiritsafe.distil.generate import Generated, generate
from spiritsafe.distil.template import ChatTemplate
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message

QUESTIONS = [
    "Hi",
    "What is the capital of France? Answer with one word, please.",
    "Oslo or Paris?",
    "Extract the fields.",
]


def asked(*texts: str) -> list[list[Message]]:
    return [[Message("user", text)] for text in texts]


def greedy(module: Any, tokenizer: Any, messages: list[Message], limit: int) -> list[int]:
    """One answer, token by token, without padding, cache or batch."""
    import torch

    template = ChatTemplate(tokenizer)
    ids = template.encode(template.prompt(messages))
    written: list[int] = []
    while len(written) < limit and written[-1:] != [template.stop_id]:
        with torch.inference_mode():
            logits_V = module(torch.tensor([ids + written])).logits[0, -1]
        written.append(int(logits_V.argmax()))
    return written


def answers(module: Any, tokenizer: Any, batch_size: int, limit: int = 12) -> list[Generated]:
    ticks = count()
    return generate(
        module,
        tokenizer,
        asked(*QUESTIONS),
        max_new_tokens=limit,
        batch_size=batch_size,
        clock=lambda: float(next(ticks)),
    )


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_answers_in_padded_batches_are_those_of_one_prompt_alone(
    tokenizer: Any, new_model: Callable[..., Any], batch_size: int
) -> None:
    module = new_model(len(tokenizer), seed=3)

    for question, found in zip(QUESTIONS, answers(module, tokenizer, batch_size), strict=True):
        alone = greedy(module, tokenizer, asked(question)[0], 12)
        assert found.tokens == len(alone)
        assert found.text == tokenizer.decode(
            [one for one in alone if one != ChatTemplate(tokenizer).stop_id], skip_special_tokens=True
        )


def test_an_answer_ends_at_the_stop_token_of_the_chat_and_says_so(
    tokenizer: Any, new_model: Callable[..., Any]
) -> None:
    import torch

    module = new_model(len(tokenizer), seed=3, tied=False)
    stop_id = ChatTemplate(tokenizer).stop_id
    # A head whose every row but one is zero always says that one.
    with torch.no_grad():
        module.lm_head.weight.zero_()
        module.model.norm.weight.zero_()
    stopping = answers(_always(module, stop_id), tokenizer, 4)
    babbling = answers(_always(module, tokenizer.encode("a", add_special_tokens=False)[0]), tokenizer, 4)

    assert {(one.text, one.finish_reason, one.tokens) for one in stopping} == {("", "stop", 1)}
    assert {(one.text, one.finish_reason, one.tokens) for one in babbling} == {("a" * 12, "length", 12)}


def _always(module: Any, token_id: int) -> Any:
    import torch

    head = torch.nn.Linear(module.config.hidden_size, module.config.vocab_size)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[token_id] = 9.0
    module.lm_head = head
    return module


def test_time_is_shared_over_a_batch_so_that_sums_are_wall_time(tokenizer: Any, new_model: Callable[..., Any]) -> None:
    module = new_model(len(tokenizer), seed=3)

    # The clock goes one second a look, and is looked at before and after each batch.
    assert sum(one.seconds for one in answers(module, tokenizer, 4)) == pytest.approx(1.0)
    assert sum(one.seconds for one in answers(module, tokenizer, 1)) == pytest.approx(4.0)


def test_prompt_tokens_are_those_of_the_template(tokenizer: Any, new_model: Callable[..., Any]) -> None:
    module, template = new_model(len(tokenizer), seed=3), ChatTemplate(tokenizer)

    found = [one.prompt_tokens for one in answers(module, tokenizer, 2)]
    assert found == [len(template.encode(template.prompt(messages))) for messages in asked(*QUESTIONS)]


def test_a_tokenizer_without_a_chat_template_is_refused_in_one_line(
    new_tokenizer: Callable[..., Any], new_model: Callable[..., Any]
) -> None:
    tokenizer = new_tokenizer(chat_template=None)
    with pytest.raises(InputError, match="has no chat template") as caught:
        answers(new_model(len(tokenizer)), tokenizer, 1)
    assert "\n" not in str(caught.value)


def test_no_prompts_give_no_answers(tokenizer: Any, new_model: Callable[..., Any]) -> None:
    found = generate(new_model(len(tokenizer)), tokenizer, [], max_new_tokens=3, batch_size=2, clock=lambda: 0.0)
    assert found == []
