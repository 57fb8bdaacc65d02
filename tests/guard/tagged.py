"""Texts with think tags in them, and ways to cut them."""

import itertools

from hypothesis import strategies as st

from spiritsafe.wire.think import CLOSE, OPEN

tagged = st.lists(
    st.sampled_from([OPEN, CLOSE, "<", "</", "think>", "<thi", "</thin", " ", "\n", "a", "bc", "é"]), max_size=8
).map("".join)
cuts = st.lists(st.integers(0, 80), max_size=10)


def pieces(text: str, at: list[int]) -> list[str]:
    ends = [0, *sorted(min(cut, len(text)) for cut in at), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def shout(thought: str) -> str:
    return f"[{len(thought)}]"
