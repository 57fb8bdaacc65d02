"""Think tags in a text that comes in pieces, and what is shown in place of thinking. Pure.

Limits: tags count at the beginning of an answer only, as everywhere here (`wire.think`). Where the chat template writes
the opening tag itself, a stream shows no tag until thinking is over: `thinks_first` says so of a model, and then
whatever comes before the closing tag is thinking, all of it where none comes: by a stop word or a low limit a customer
could cut the tag off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from spiritsafe.wire.think import CLOSE, OPEN

MOST_THOUGHT = 1 << 20
"""Characters of one stretch of thinking that are kept for its summary."""


class Passed(NamedTuple):
    """What comes out of `ThinkTags`: text of the answer, and the thinking that ended before it (None: none did)."""

    text: str
    thought: str | None = None


class ThinkTags:
    """Text with think tags that comes in pieces, cut anywhere, told apart into thinking and answer.

    Args:
        thinks_first: whether it begins inside thinking.
        keep: whether the thinking is wanted, up to `MOST_THOUGHT`; else it comes out empty.
    """

    def __init__(self, thinks_first: bool = False, *, keep: bool = True) -> None:
        self._take = self._thinking if thinks_first else self._beginning
        self._room = MOST_THOUGHT if keep else 0
        self._held = ""
        self._thought: list[str] = []

    def feed(self, text: str) -> Passed:
        """What may pass now that `text` came too."""
        return self._take(text)

    def end(self) -> Passed:
        """What may pass after all, since nothing more comes."""
        held, self._held, take, self._take = self._held, "", self._take, self._answer
        if take == self._beginning:
            return Passed(held)
        if take == self._thinking:
            self._collect(held)
            return Passed("", "".join(self._thought))
        return Passed("")

    def _beginning(self, text: str) -> Passed:
        self._held += text
        body = self._held.lstrip()
        if OPEN.startswith(body):
            return self._opened("") if body == OPEN else Passed("")
        if body.startswith(OPEN):
            return self._opened(body[len(OPEN) :])
        self._take = self._answer
        held, self._held = self._held, ""
        return Passed(held)

    def _opened(self, rest: str) -> Passed:
        self._take, self._held = self._thinking, ""
        return self._thinking(rest)

    def _thinking(self, text: str) -> Passed:
        window = self._held + text
        thought, closed, rest = window.partition(CLOSE)
        if not closed:
            whole = max(0, len(window) - len(CLOSE) + 1)
            self._collect(window[:whole])
            self._held = window[whole:]
            return Passed("")
        self._collect(thought)
        self._take, self._held = self._closed, ""
        return Passed(self._closed(rest).text, "".join(self._thought))

    def _closed(self, text: str) -> Passed:
        text = text.lstrip()
        if text:
            self._take = self._answer
        return Passed(text)

    def _answer(self, text: str) -> Passed:
        return Passed(text)

    def _collect(self, text: str) -> None:
        if self._room:
            self._thought.append(text[: self._room])
            self._room -= len(self._thought[-1])


class Summaries:
    """What is shown in place of thinking: nothing, or what `summarise` makes of it."""

    def __init__(self, summarise: Callable[[str], str] | None) -> None:
        self._summarise = summarise
        self._made: dict[str, str] = {}

    def __bool__(self) -> bool:
        return self._summarise is not None

    def of(self, thought: str) -> str:
        """The summary of `thought`, the same each time; empty where there is none."""
        if self._summarise is None or not thought.strip():
            return ""
        if thought not in self._made:
            try:
                self._made[thought] = str(self._summarise(thought))
            except Exception:  # whatever is wrong with the operator's function, a customer's stream goes on without it
                self._made[thought] = ""
        return self._made[thought]


def is_closed_only(text: str) -> bool:
    """Whether `text` begins inside thinking, whose opening tag stands in the prompt."""
    return CLOSE in text.partition(OPEN)[0]


def whole_answer(text: str, summaries: Summaries, thinks_first: bool) -> str:
    """A text that is there whole, with the summary of its thinking or without thinking."""
    tags = ThinkTags(thinks_first or is_closed_only(text), keep=bool(summaries))
    return told(tags.feed(text), summaries) + told(tags.end(), summaries)


def told(passed: Passed, summaries: Summaries) -> str:
    """The text that passes, with the summary of the thinking before it."""
    summary = summaries.of(passed.thought) if passed.thought else ""
    return f"{OPEN}{summary}{CLOSE}\n\n{passed.text}" if summary else passed.text
