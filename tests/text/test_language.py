"""The language of a text."""

import pytest

from spiritsafe.text.language import guess_language, known_languages


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I love this phone, it is great and the battery lasts for days.", "en"),
        ("Ich liebe dieses Telefon, der Akku hält mehrere Tage.", "de"),
        ("Le téléphone est arrivé cassé et je voudrais un remboursement.", "fr"),
        ("この電話はとても良いです。電池が何日も持ちます。", "ja"),
    ],
)
def test_plain_sentences_are_recognised_with_confidence(text: str, language: str) -> None:
    guess, confidence = guess_language(text)

    assert guess == language
    assert confidence > 0.9


def test_a_word_or_two_leave_it_unsure() -> None:
    assert guess_language("Yes, positive.")[1] < 0.5


def test_known_languages_are_iso_codes() -> None:
    assert {"en", "de", "zh"} <= known_languages()
    assert "english" not in known_languages()
