"""Think tags, cut anywhere, and summaries."""

from hypothesis import given
from hypothesis import strategies as st
from tests.guard.tagged import cuts, pieces, shout, tagged

from spiritsafe.guard.thinking import MOST_THOUGHT, Passed, Summaries, ThinkTags, whole_answer
from spiritsafe.wire.think import CLOSE, OPEN, split_think

NONE = Summaries(None)


@given(tagged, cuts, st.booleans())
def test_however_a_text_is_cut_what_passes_is_the_answer(text: str, at: list[int], opened: bool) -> None:
    tags = ThinkTags(thinks_first=not opened)
    passed = "".join(tags.feed(piece).text for piece in pieces(text, at)) + tags.end().text

    if opened and CLOSE in text.partition(OPEN)[0]:
        assert passed == text
    elif opened:
        assert passed == split_think(text)[0]
    else:
        assert passed == text.partition(CLOSE)[2].lstrip()


@given(tagged)
def test_of_a_whole_text_what_passes_is_what_the_dialects_read_as_the_answer(text: str) -> None:
    assert whole_answer(text, NONE, False) == split_think(text)[0]


@given(tagged, cuts)
def test_the_thinking_that_ended_is_told_whole_and_once(text: str, at: list[int]) -> None:
    tags = ThinkTags()
    told = [tags.feed(piece).thought for piece in pieces(f"{OPEN}{text}", at)]
    thoughts = [thought for thought in (*told, tags.end().thought) if thought is not None]

    assert thoughts == [text.partition(CLOSE)[0]]
    assert tags.end() == Passed("")


def test_endless_thinking_takes_no_more_than_its_room() -> None:
    kept, dropped = ThinkTags(), ThinkTags(keep=False)
    for tags in (kept, dropped):
        tags.feed(OPEN)
        for _ in range(20):
            tags.feed("x" * (MOST_THOUGHT // 10))

    assert kept.end().thought == "x" * MOST_THOUGHT
    assert dropped.end().thought == ""


def test_a_summary_that_fails_is_no_summary() -> None:
    def broken(thought: str) -> str:
        raise ValueError(thought)

    assert Summaries(broken).of("x") == ""
    assert Summaries(shout).of("  ") == ""
    assert Summaries(shout).of("abc") == "[3]"
