"""Which language a text is in, by `py3langid` (naive Bayes over byte n-grams; Lui and Baldwin 2012), 139 languages.

The model is inside the package `py3langid`; it is loaded at the first call (about two seconds, 60 MB).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MOST_CHARS = 4_000
"""Characters looked at: the classifier's verdict does not change beyond and its time grows with length."""


@lru_cache(maxsize=1)
def _identifier() -> Any:
    # Imported here: it brings numpy and half a second, which the command's start must not pay.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def known_languages() -> frozenset[str]:
    """The ISO 639-1 codes the classifier can answer with."""
    return frozenset(_identifier().labels)


def guess_language(text: str) -> tuple[str, float]:
    """The likeliest language of `text` (ISO 639-1 code) and the classifier's confidence, 0 to 1.

    Below about forty letters the guess is little better than chance among related languages.
    """
    language, confidence = _identifier().classify(text[:MOST_CHARS])
    return str(language), float(confidence)
