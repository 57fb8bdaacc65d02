"""Grading: prompts that have the model score or compare answers, as is done to train another model by its judgements.

Honest evaluation looks the same; so this is a share to compare with that of the segment, and never enough by itself.

English patterns; other languages are not seen.
"""

from __future__ import annotations

import re

from spiritsafe.guard.detectors.tally import Counting
from spiritsafe.guard.detectors.view import View
from spiritsafe.text.ends import both_ends
from spiritsafe.text.normal import plain_quotes, squeezed

HEAD_CHARS, TAIL_CHARS = 700, 500

_GRADED = (
    r"(?:answers?|responses?|repl(?:y|ies)|completions?|outputs?|solutions?|summar(?:y|ies)|translations?|essays?)"
)
_GRADE = r"(?:rat(?:e|ing)|scor(?:e|ing)|grad(?:e|ing)|evaluat(?:e|ing)|judg(?:e|ing)|assess(?:ing)?|rank(?:ing)?|mark)"

_SCALE = r"\b(?:from|between|scale|out of|range)\b.{0,20}\d+"
_CRITERIA = r"\b(?:rubric|grading criteria|scoring (?:criteria|guide(?:lines)?)|evaluation criteria)\b"
_CANDIDATE = r"\b(?:response|answer|assistant|completion|output|reply|candidate)"

SCORED: tuple[str, ...] = (
    rf"\b{_GRADE}\b[^.?!]{{0,120}}\b{_GRADED}\b.{{0,160}}{_SCALE}",
    rf"{_SCALE}.{{0,160}}\b{_GRADE}\b[^.?!]{{0,120}}\b{_GRADED}\b",
    rf"{_CRITERIA}.{{0,400}}\b{_GRADED}\b",
    rf"\b{_GRADED}\b.{{0,400}}{_CRITERIA}",
    r"\b(?:impartial|fair|strict|expert|careful) (?:judge|grader|evaluator|rater|annotator)\b",
    r"\b(?:score|grade|rating|verdict)\s*[:=]\s*(?:\d|\[|<|\{|x\b|pass|fail)",
)
"""One answer is given a mark."""

COMPARED: tuple[str, ...] = (
    rf"\bwhich (?:of (?:the|these) )?(?:two |following |candidate |model )*(?:{_GRADED}|assistants?|models?) "
    r"(?:is|are|was|do you) (?:the )?(?:better|best|preferred|prefer|more|worse|chosen)",
    rf"{_CANDIDATE} (?:a|1|one)\b.{{0,600}}{_CANDIDATE} (?:b|2|two)\b.{{0,600}}"
    r"\b(?:better|prefer\w*|best|worse|winner|verdict|compare|choose)\b",
    r"\[\[[abc]\]\]",
    rf"\brank (?:the|these|all) (?:\w+ )?(?:{_GRADED}|candidates)\b",
)
"""Several are compared."""

_COMPILED = tuple(re.compile("|".join(patterns)) for patterns in (SCORED, COMPARED))


def graded(text: str) -> int | None:
    """0 where `text` has an answer scored, 1 where it has answers compared, else None."""
    plain = plain_quotes(squeezed(both_ends(text, HEAD_CHARS, TAIL_CHARS))).lower()
    found = [place for place, pattern in enumerate(_COMPILED) if pattern.search(plain)]
    return found[-1] if found else None


def _kind_of(view: View) -> int | None:
    # The rubric may stand in the system prompt and what is graded in the user's turn.
    system = both_ends(view.system, HEAD_CHARS, TAIL_CHARS)
    return graded(f"{system}\n{both_ends(view.user, HEAD_CHARS, TAIL_CHARS)}") if system else graded(view.user)


GRADING = Counting(
    "grading",
    "answers given to the model to be graded",
    ("have an answer scored", "have answers compared"),
    _kind_of,
)
