"""Chat templates: where the answer begins and what ends it, for the kinds of template that occur."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spiritsafe.distil.template import ChatTemplate, with_system, without_thinking
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message

ASKED = (Message("user", "What is the capital of France?"),)

PLAIN = (
    "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\nA: {% else %}{{ m.content }}\n{% endif %}"
    "{% endfor %}"
)
TRIMMED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n"
    "{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
OPENED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
STRICT = "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}{{ messages[0].content }}"


def supervised(template: ChatTemplate, answer: str, reasoning: str | None = None) -> str:
    """The text that carries loss, after checking that what comes before is what generation is given."""
    said = template.conversation(ASKED, answer, reasoning)
    assert said.ids[: said.start] == template.encode(template.prompt(ASKED))
    return template.decode(said.ids[said.start :])


def test_the_answer_and_the_stop_token_are_supervised_and_nothing_else(tokenizer) -> None:
    assert supervised(ChatTemplate(tokenizer), "Paris") == "Paris<|im_end|>"


@given(answer=st.text(max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_answer_comes_back_from_its_ids(tokenizer, answer: str) -> None:
    template = ChatTemplate(tokenizer)

    said = template.conversation(ASKED, answer)

    assert template.decode(said.ids[said.start : -1]) == answer
    assert said.ids[-1] == template.stop_id


def test_a_token_that_would_merge_across_the_boundary_is_not_made(new_tokenizer) -> None:
    template = ChatTemplate(new_tokenizer(PLAIN))
    whole = template.encode("Q: What is the capital of France?\nA: of")
    apart = template.encode("Q: What is the capital of France?\nA: ")
    assert whole[: len(apart)] != apart

    assert supervised(template, "of") == "of<|im_end|>"


def test_without_a_special_token_after_the_answer_the_tokenizers_eos_ends_it(new_tokenizer) -> None:
    tokenizer = new_tokenizer(PLAIN)

    assert ChatTemplate(tokenizer).stop_id == tokenizer.eos_token_id


def test_the_token_the_template_puts_first_after_the_answer_ends_it_even_if_eos_is_another(new_tokenizer) -> None:
    tokenizer = new_tokenizer()
    tokenizer.eos_token = "<|pad|>"

    assert ChatTemplate(tokenizer).stop_id == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_a_template_that_trims_does_not_change_the_answer(new_tokenizer) -> None:
    assert supervised(ChatTemplate(new_tokenizer(TRIMMED)), " Paris\n") == " Paris\n<|im_end|>"


def test_an_empty_think_block_is_prompt_and_not_supervised_where_the_student_does_not_think(new_tokenizer) -> None:
    template = ChatTemplate(new_tokenizer(without_thinking(THINKING)))

    assert template.prompt(ASKED).endswith("<think>\n\n</think>\n\n")
    assert supervised(template, "Paris") == "Paris<|im_end|>"


def test_an_empty_think_block_the_template_would_make_the_student_write_is_left_out(new_tokenizer) -> None:
    assert supervised(ChatTemplate(new_tokenizer(THINKING)), "Paris") == "Paris<|im_end|>"


def test_reasoning_is_written_as_the_template_writes_it(new_tokenizer) -> None:
    template = ChatTemplate(new_tokenizer(THINKING))

    assert supervised(template, "Paris", "France, so") == "<think>\nFrance, so\n</think>\n\nParis<|im_end|>"


def test_reasoning_is_written_in_tags_where_the_template_knows_none(tokenizer) -> None:
    assert supervised(ChatTemplate(tokenizer), "Paris", "So:") == "<think>\nSo:\n</think>\n\nParis<|im_end|>"


def test_a_think_tag_that_the_prompt_opened_is_not_opened_again(new_tokenizer) -> None:
    template = ChatTemplate(new_tokenizer(OPENED))

    assert supervised(template, "Paris", "So:") == "So:\n</think>\n\nParis<|im_end|>"
    assert supervised(template, "Paris") == "</think>\n\nParis<|im_end|>"


def test_thinking_is_off_by_default_only_in_templates_that_know_it() -> None:
    assert without_thinking(PLAIN) == PLAIN
    assert without_thinking(THINKING).endswith(THINKING)


OWN = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou are Tiny.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@given(system=st.text(max_size=40))
@example(system="")
@example(system="%} {{ '\"\\ {# \u2028 \r\n\U0001f642")
@settings(max_examples=20)
def test_whoever_gives_no_system_prompt_gives_the_one_of_the_training(new_tokenizer, system: str) -> None:
    plain, baked = ChatTemplate(new_tokenizer(OWN)), ChatTemplate(new_tokenizer(with_system(OWN, system)))

    assert baked.prompt(ASKED) == plain.prompt([Message("system", system), *ASKED])
    other = [Message("system", "Another."), *ASKED]
    assert baked.prompt(other) == plain.prompt(other)


def test_a_tokenizer_without_a_chat_template_is_refused(new_tokenizer) -> None:
    with pytest.raises(InputError, match=r"has no chat template, wanted .*; take the instruct variant"):
        ChatTemplate(new_tokenizer(None))


def test_turns_that_the_template_does_not_know_are_refused(new_tokenizer) -> None:
    template = ChatTemplate(new_tokenizer(STRICT + "<|im_end|>{{ messages[-1].content }}"))

    with pytest.raises(InputError, match=r"cannot render turns of roles system, user: 'user first'"):
        template.prompt([Message("system", "Be brief."), *ASKED])


def test_a_template_that_ends_in_no_token_needs_an_eos(new_tokenizer) -> None:
    tokenizer = new_tokenizer(PLAIN)
    tokenizer.eos_token = None

    with pytest.raises(InputError, match="has no EOS token"):
        ChatTemplate(tokenizer)
