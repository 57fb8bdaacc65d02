"""Refusals: whether an answer opens by declining, in English. Pure.

The phrases are narrow on purpose: "I cannot recommend this phone enough" and "I'm sorry to hear that" are ordinary
sentences of reviews and replies.
"""

from __future__ import annotations

import re

from spiritsafe.text.normal import plain_quotes, squeezed

OPENING_CHARS = 300
"""How much of an answer counts as its opening."""

# Apologies and hedges that may stand before the refusing words.
_LEAD = "|".join(
    (
        r"(?:i'm|i am|we're|we are) (?:very |really |so |truly )?(?:sorry|afraid)(?: for the \w+)?",
        r"(?:my )?(?:sorry|apologies)(?: for the \w+)?",
        r"unfortunately|regrettably|i apologi[sz]e|but|however|that|as such|thank you for \w+",
    )
)
_UNABLE = "|".join(
    (
        r"(?:i|we) (?:really |simply |just )?(?:cannot|can't|can not|won't|will not)(?: be able to)?",
        r"(?:i'm|i am|we're|we are) (?:unable|not able|not allowed|not permitted|not programmed|not in a position) to",
        r"(?:i|we) (?:must|have to|will have to) (?:respectfully |politely )?(?:decline|refuse) to",
        r"(?:i don't feel|i do not feel|i'm not|i am not) comfortable(?: with)?",
    )
)
# What is declined. The verbs alone would hit "I can't help but smile" and "I cannot give this more than three stars".
_DECLINED = "|".join(
    (
        r"(?:help|assist)(?:ing)?(?: you)?(?: with| in| on|[.,;!]|$)",
        r"(?:comply|proceed)(?: with|[.,;!]|$)",
        r"(?:fulfil|fulfill|complete|process|accommodate|carry out) (?:this|that|your|the|such) (?:\w+ )?request",
        r"(?:answer|discuss|respond to|engage in|engage with|take part in)(?:ing)? (?:this|that|your|these|such|any)\b",
        r"(?:provid|giv|offer|shar|generat|creat)(?:e|ing)? (?:\w+ ){0,5}?"
        r"(?:information|instructions?|assistance|advice|guidance|help|opinions|recommendations|content)\b",
        r"(?:do|writ|creat|generat|produc|provid|shar|say)(?:e|ing)? (?:that|this)(?:[.,;!]|$)",
        r"(?:writ|creat|generat|produc)(?:e|ing) (?:\w+ ){0,5}?that (?:promotes?|encourages?|contains?|could|may)\b",
    )
)
_AI = r"an? (?:ai|artificial intelligence|large language model|language model)(?: language)?(?: model| assistant)?"
_NOT = r"(?:cannot|can't|can not|unable|not able|don't|do not|not capable|not designed|not programmed|not allowed)"
_THIS = r"(?:this|that|your)"

PHRASES: tuple[tuple[str, str], ...] = (
    ("i cannot", rf"(?:{_UNABLE}) (?:{_DECLINED})"),
    ("as an ai", rf"(?:as|i'm|i am) (?:just |only )?{_AI}(?: \w+ by \w+)?,? (?:and|i|it|my)\b.{{0,80}}?\b{_NOT}\b"),
    (
        "i must decline",
        rf"i (?:must|have to) (?:respectfully |politely )?(?:decline|refuse)(?: {_THIS} request|[.;!]|$)",
    ),
    ("your request", rf"{_THIS} (?:request|question|prompt) (?:violates|goes against|is against|falls outside)\b"),
    ("for me to", r"it (?:would be|is|would not be|is not|isn't|wouldn't be) \w+ for me to\b"),
    (
        "against my",
        r"(?:it|this|that|doing so) (?:is|goes|would be|would go) against my (?:\w+ )?"
        r"(?:guidelines|polic|principles|programming)",
    ),
)
"""Opening phrases: the name counted in reports, and what must follow any apologies at the start of the answer."""

_COMPILED = tuple((name, re.compile(rf"(?:(?:{_LEAD})[,.;:]? )*(?:{pattern})")) for name, pattern in PHRASES)


def opening(text: str) -> str:
    """How `text` begins: in lower case, with plain quotes and single spaces, without marks of emphasis before it."""
    return plain_quotes(squeezed(text[: 2 * OPENING_CHARS]))[:OPENING_CHARS].lower().lstrip("\"'*_#> ")


def refusing_phrase(answer: str) -> str | None:
    """The name of the phrase with which `answer` opens as a refusal, or None."""
    begins = opening(answer)
    return next((name for name, pattern in _COMPILED if pattern.match(begins)), None)
