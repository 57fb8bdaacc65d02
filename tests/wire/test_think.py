import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.wire.think import split_think

plain = st.text().filter(lambda text: "think>" not in text and "<think" not in text)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("4", "4", None),
        ("", "", None),
        ("<think>2 + 2</think>4", "4", "2 + 2"),
        ("\n<think>\n2 + 2\n</think>\n\n4", "4", "2 + 2"),
        ("2 + 2\n</think>\n4", "4", "2 + 2"),
        ("<think>2 + 2, which", "", "2 + 2, which"),
        ("<think>\n\n</think>\n\n4", "4", None),
        ("<think></think>", "", None),
        ("<think>", "", None),
        ("The tag is <think>.", "The tag is <think>.", None),
        ("Write <think>a</think> first.", "Write <think>a</think> first.", None),
        ("<think>a<think>b</think>c</think>d", "c</think>d", "a<think>b"),
        ("reasons</think>Use <think> tags", "Use <think> tags", "reasons"),
    ],
)
def test_reasoning_is_what_stands_before_the_answer(text: str, answer: str, reasoning: str | None) -> None:
    assert split_think(text) == (answer, reasoning)


@given(plain, plain)
def test_tagged_reasoning_comes_off_whole(reasoning: str, answer: str) -> None:
    expected = (answer.lstrip(), reasoning.strip() or None)

    assert split_think(f"<think>{reasoning}</think>{answer}") == expected
    assert split_think(f"{reasoning}</think>{answer}") == expected
    assert split_think(f"<think>{reasoning}") == ("", reasoning.strip() or None)


@given(plain)
def test_an_answer_without_tags_is_left_as_it_is(text: str) -> None:
    assert split_think(text) == (text, None)


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "\n"])).map("".join))
def test_an_answer_is_always_the_end_of_the_text(text: str) -> None:
    answer, reasoning = split_think(text)

    assert text.endswith(answer)
    assert reasoning is None or reasoning in text
