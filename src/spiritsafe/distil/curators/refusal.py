"""Refusal: answers in which the teacher declines.

By the upstream's finish_reason where it says so, else by how the answer opens (`text.refusals`). What those phrases
miss in your task, add as `phrases`; they are English. A task whose right answers are refusals (a moderation classifier,
a translation of one) must leave this cut out.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import field_validator

from spiritsafe.distil.curator import Curator, Reason, Surroundings, each_row
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Section
from spiritsafe.text.refusals import opening, refusing_phrase

_BY_FINISH = {"refusal": "refusal: finish_reason", "content_filter": "refusal: content filter"}


class RefusalSettings(Section):
    """Further opening phrases, as plain text; an answer that begins with one is a refusal."""

    phrases: tuple[str, ...] = ()

    @field_validator("phrases")
    @classmethod
    def _not_blank(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        if any(not opening(phrase) for phrase in phrases):
            raise ValueError("a phrase must not be blank, or every answer would begin with it")
        return phrases


def _prepare(settings: RefusalSettings, around: Surroundings) -> Callable[[CollectedRow], Reason]:
    added = tuple(opening(phrase) for phrase in settings.phrases)

    def judge(row: CollectedRow) -> Reason:
        if finished := _BY_FINISH.get(row.exchange.finish_reason):
            return finished
        if phrase := refusing_phrase(row.exchange.answer):
            return f"refusal: {phrase}"
        return "refusal: added phrase" if added and opening(row.exchange.answer).startswith(added) else None

    return judge


REFUSAL = Curator(
    name="refusal",
    says="answers in which the teacher declines (finish_reason or opening phrase)",
    settings=RefusalSettings,
    cut=each_row(_prepare),
)
