"""Grading: prompts that have the model score or compare answers, as is done to train another model by its judgements.

Honest evaluation looks the same; so this is a share to compare with that of the segment, and never enough by itself.

English patterns; other languages are not seen.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from spiritsafe.guard.detectors.tally import Counting
from spiritsafe.guard.detectors.view import View, plain_system, plain_user

_GRADED = (
    r"(?:answers?|responses?|repl(?:y|ies)|completions?|outputs?|solutions?|summar(?:y|ies)|translations?|essays?)"
)
_GRADE = r"(?:rat(?:e|ing)|scor(?:e|ing)|grad(?:e|ing)|evaluat(?:e|ing)|judg(?:e|ing)|assess(?:ing)?|mark)"
_CANDIDATE = r"\b(?:response|answer|assistant|completion|output|reply|candidate)"

_SCALE = re.compile(r"\b(?:from|between|scale|out of|range)\b\D{0,12}\d")
_OF_ANSWERS = re.compile(rf"\b{_GRADE} (?:\w+ ){{0,6}}{_GRADED}\b")
_CRITERIA = re.compile(r"\b(?:rubric|grading criteria|scoring (?:criteria|guide|guidelines)|evaluation criteria)\b")
_NOUN = re.compile(rf"\b{_GRADED}\b")
_JUDGE = re.compile(r"\b(?:impartial|fair|strict|expert|careful) (?:judge|grader|evaluator|rater|annotator)\b")
_FORM = re.compile(r"\b(?:score|grade|rating|verdict)\s?[:=]\s?(?:\[|<|\{|x\b|pass|fail)")
_WHICH = re.compile(
    rf"\bwhich (?:of (?:the|these) )?(?:two |following |candidate |model ){{0,3}}(?:{_GRADED}|assistants?|models?) "
    r"(?:is|are|was|do you) (?:the )?(?:better|best|preferred|prefer|more|worse|chosen)"
)
_FIRST, _SECOND = re.compile(rf"{_CANDIDATE} (?:a|1|one)\b"), re.compile(rf"{_CANDIDATE} (?:b|2|two)\b")
_COMPARING = re.compile(r"\b(?:better|prefer|preferred|best|worse|winner|verdict|compare|choose)\b")
_BOXED = re.compile(r"\[\[[abc]\]\]")
_RANKED = re.compile(rf"\brank (?:the|these|all) (?:\w+ )?(?:{_GRADED}|candidates)\b")


class Way(NamedTuple):
    """A way of asking for a grade: all patterns are in the text, and one of the words, which is quicker to know."""

    words: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]


SCORED: tuple[Way, ...] = (
    Way(("scale", "between", "from", "out of", "range"), (_SCALE, _OF_ANSWERS)),
    Way(("rubric", "criteria", "scoring"), (_CRITERIA, _NOUN)),
    Way(("judge", "grader", "evaluator", "rater", "annotator"), (_JUDGE,)),
    Way(("score", "grade", "rating", "verdict"), (_FORM,)),
)
"""One answer is given a mark."""

COMPARED: tuple[Way, ...] = (
    Way(("which",), (_WHICH,)),
    Way((" b", " 2", " two"), (_FIRST, _SECOND, _COMPARING)),
    Way(("[[",), (_BOXED,)),
    Way(("rank",), (_RANKED,)),
)
"""Several are compared."""


def graded(text: str) -> int | None:
    """0 where `text`, in lower case, has an answer scored, 1 where it has answers compared, else None."""
    for place, ways in ((1, COMPARED), (0, SCORED)):
        if any(_asks(text, way) for way in ways):
            return place
    return None


def _asks(text: str, way: Way) -> bool:
    return any(word in text for word in way.words) and all(pattern.search(text) for pattern in way.patterns)


def _kind_of(view: View) -> int | None:
    # The rubric may stand in the system prompt and what is graded in the user's turn.
    return graded(f"{view.once('plain system', plain_system)}\n{view.once('plain user', plain_user)}")


GRADING = Counting(
    "grading",
    "answers given to the model to be graded",
    ("have an answer scored", "have answers compared"),
    _kind_of,
)
