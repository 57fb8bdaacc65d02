"""Text to comparable words: the same words whatever the case, width, accents' encoding, spacing or punctuation.

Pure. Chinese characters and kana count as one word each, since those scripts put no spaces between words; other scripts
without spaces (Thai, Lao, Khmer) give one long word a phrase, so word n-grams see little in them.
"""

from __future__ import annotations

import re
import unicodedata

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# A sign beside a digit, or between two one-letter names: "3 - 1" is not "3 + 1", but a bullet or a dash is no word.
_SIGN = r"[-+*/=<>^%](?:(?=\s?[\d(.])|(?<=\d.)|(?<=\d\s.)|(?<=\b\w\s.)(?=\s\w\b))"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|{_SIGN}")
_ASCII_WORD = re.compile(rf"\w+|{_SIGN}")
_LOOKALIKES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})


def folded(text: str) -> str:
    """`text` with compatibility forms composed (NFKC) and case folded."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def words(text: str) -> list[str]:
    """The folded words of `text` in order, without punctuation.

    Digits and underscores are word characters; a sign of arithmetic between numbers is a word of its own.
    """
    plain = folded(text)
    return (_ASCII_WORD if plain.isascii() else _WORD).findall(plain)


def squeezed(text: str) -> str:
    """`text` with every run of white space as one space and none at the ends; case and punctuation stay."""
    return " ".join(text.split())


def plain_quotes(text: str) -> str:
    """`text` with typographic quotes, apostrophes and no-break spaces as their ASCII forms."""
    return text.translate(_LOOKALIKES)


def letters(text: str) -> int:
    """How many characters of `text` are letters of any script."""
    return sum(map(str.isalpha, text))
