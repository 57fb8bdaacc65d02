"""Contamination: rows that hold an evaluation item. A student trained on them is scored on what it was shown.

A row is cut if its prompt repeats a held-out prompt (equal, or one word off from 11 words on), or if its prompt or its
answer quotes one: 13 words in a row, or a whole short item. What makes two prompts of one template alike does not
count; see `text.overlap` for the rules. Paraphrases are not found. Memory: about 200 bytes a held-out word.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from spiritsafe.distil.curator import Curator, Reason, Surroundings, each_row
from spiritsafe.distil.prompt import CollectedRow, Prompt
from spiritsafe.distil.recipe import Section
from spiritsafe.text.overlap import OverlapIndex


class ContaminationSettings(Section):
    """Words in a row that count as quoting, and from which share of held-out prompts on a run of words is template."""

    words: int = Field(13, ge=8)
    template_share: float = Field(0.01, gt=0, le=1)


def _prompt_overlap(prompt: Prompt, index: OverlapIndex) -> str | None:
    texts = (message.content for message in prompt.messages)
    return index.repeats(prompt.text) or next((found for text in texts if (found := index.quotes(text))), None)


def _prepare(settings: ContaminationSettings, around: Surroundings) -> Callable[[CollectedRow], Reason]:
    items = (prompt.text for prompt in around.held_out())
    index = OverlapIndex(items, settings.words, settings.template_share)
    last: tuple[str, str | None] = ("", None)

    def judge(row: CollectedRow) -> Reason:
        nonlocal last
        if last[0] != row.prompt.id:  # samples of one prompt stand together: judge it once
            last = (row.prompt.id, _prompt_overlap(row.prompt, index))
        found = last[1] or index.quotes(row.exchange.answer)
        return f"contamination: {found}" if found else None

    return judge


CONTAMINATION = Curator(
    name="contamination",
    says="rows that hold an evaluation item (13-gram and whole-item rules)",
    settings=ContaminationSettings,
    cut=each_row(_prepare),
)
