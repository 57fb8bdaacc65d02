"""Slots: what varies between the prompts of one template, and what stays. Pure.

`masked` hides what is a slot by its looks alone (numbers, addresses, keys); `fixed_runs` finds what several prompts
have in common, word for word and in order; `fillings` gives what stands between that in one of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from spiritsafe.text.normal import words

MOST_TEXTS = 16
"""Texts that are compared with one another."""

MOST_WORDS = 400
"""Words that are compared of each: the first three quarters of them from its beginning, the others from its end."""

SLOT = "⟨…⟩"
"""What stands for a slot where a template is shown."""

_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+\.\w+")
_MASK = "0"


def masked(text: str) -> list[str]:
    """The words of `text` (see `normal.words`), with "0" for each run of numbers, signs between them, and addresses."""
    own = words(_ADDRESS.sub(" 0 ", text) if "://" in text or "@" in text or "www." in text else text)
    plain = [word if word.isalpha() else _hidden(word) for word in own]
    return [word for at, word in enumerate(plain) if word != _MASK or at == 0 or plain[at - 1] != _MASK]


def _hidden(word: str) -> str:
    is_name = any(map(str.isalpha, word)) and not any(map(str.isdigit, word))
    return word if is_name else _MASK


def fixed_runs(texts: Sequence[str], shortest: int = 2) -> tuple[str, ...]:
    """The runs of words that all of `texts` share, in order; of one text, all of it.

    Args:
        texts: prompts of one template; the first 16 count.
        shortest: words a run must have, unless it begins or ends all the texts.
    """
    split = [_ends(text.split()) for text in texts[:MOST_TEXTS]]
    runs: list[list[str]] = [list(split[0])] if split else []
    for own in split[1:]:
        runs = _shared(runs, own, shortest)
    return tuple(" ".join(run) for run in runs)


def fillings(runs: Sequence[str], text: str) -> tuple[str, ...] | None:
    """What stands in `text` before, between and after the fixed `runs`; None where they do not stand there in order."""
    rest, found = " ".join(text.split()), []
    for run in runs:
        before, met, rest = f" {rest} ".partition(f" {run} ")
        if not met:
            return None
        found.append(before.strip())
        rest = rest.strip()
    return (*found, rest)


def template_text(texts: Sequence[str]) -> str:
    """The template of `texts` for a person to read: what they share, with `SLOT` where they differ."""
    runs = fixed_runs(texts)
    slots = [fillings(runs, text) for text in texts[:MOST_TEXTS]]
    filled = [any(own is None or own[place] for own in slots) for place in range(len(runs) + 1)]
    parts = [SLOT] if filled[0] else []
    for run, slot in zip(runs, filled[1:], strict=True):
        parts += [run, SLOT] if slot else [run]
    return " ".join(parts)


def _ends(own: list[str]) -> list[str]:
    if len(own) <= MOST_WORDS:
        return own
    tail = MOST_WORDS // 4
    return own[: MOST_WORDS - tail] + own[-tail:]


def _shared(runs: list[list[str]], own: list[str], shortest: int) -> list[list[str]]:
    """The pieces of `runs` that `own` has too, in order. None stands between runs, and is equal to no word."""
    joined: list[str | None] = []
    for run in runs:
        joined += [*run, None]
    blocks = SequenceMatcher(None, joined, own, autojunk=False).get_matching_blocks()
    kept = []
    for block in blocks:
        at_edge = (block.a == 0 and block.b == 0) or (
            block.a + block.size == len(joined) - 1 and block.b + block.size == len(own)
        )
        if block.size >= shortest or (block.size and at_edge):
            kept.append(own[block.b : block.b + block.size])
    return kept
