"""Language: answers in another language than wanted.

A row is cut only where the classifier is sure: short answers and doubtful ones are kept. Keys and code count as text,
so judge JSON answers with the verifier instead.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from spiritsafe.distil.curator import Curator, Reason, Surroundings, each_row
from spiritsafe.distil.prompt import CollectedRow
from spiritsafe.distil.recipe import Section
from spiritsafe.errors import InputError, shown
from spiritsafe.text.language import guess_language, known_languages
from spiritsafe.text.normal import letters


class LanguageSettings(Section):
    """Which languages are kept (ISO 639-1 codes), from how many letters on, and how sure a cut must be."""

    languages: tuple[str, ...] = Field(("en",), min_length=1)
    min_letters: int = Field(20, ge=1)
    min_confidence: float = Field(0.8, ge=0, le=1)


def _prepare(settings: LanguageSettings, around: Surroundings) -> Callable[[CollectedRow], Reason]:
    wanted = frozenset(settings.languages)
    if unknown := sorted(wanted - known_languages()):
        raise InputError(f"language: got code {shown(unknown[0])}, wanted ISO 639-1 codes such as 'en' or 'de'")

    def judge(row: CollectedRow) -> Reason:
        if letters(row.exchange.answer) < settings.min_letters:
            return None
        language, confidence = guess_language(row.exchange.answer)
        sure = language not in wanted and confidence >= settings.min_confidence
        return f"language: {language}" if sure else None

    return judge


LANGUAGE = Curator(
    name="language",
    says="answers in a language that is not wanted",
    settings=LanguageSettings,
    cut=each_row(_prepare),
)
