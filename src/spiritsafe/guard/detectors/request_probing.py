"""Probing: questions about what the model is, and about the instructions it was given.

Anybody may ask once who made a model. Whoever prepares to copy it asks again and again, in many wordings: what model
it is, up to when it was trained, what stands in the system prompt that makes it behave as it does.

English patterns; other languages are not seen.
"""

from __future__ import annotations

import re

from spiritsafe.guard.detectors.tally import Counting
from spiritsafe.guard.detectors.view import View, plain_user

_MODEL = (
    r"(?:large |ai |language |llm |base |underlying |exact |specific |chat ?gpt |gpt ){0,3}"
    r"(?:model|llm|ai|assistant|version)"
)
_NAMES = r"(?:chat ?gpt|gpt|claude|gemini|llama|qwen|deepseek|grok|mistral)"
_SAY = r"(?:reveal|show|print|repeat|output|tell|give|share|disclose|display|leak|recite|quote|dump|write out|paste)"
_ALL = r"(?: (?:all|any|of|your|the|every|everything|in|full|exact|entire|complete|verbatim|my|me|us)){0,6}"
_TEXT = r"(?: (?:all|everything|the|of|text|words|content|message|lines)){1,6}"
_INSTRUCTIONS = (
    r"(?:system|initial|original|hidden|secret|starting|first|internal|custom|base|developer|pre-?)[- ]?"
    r"(?:prompt|instructions?|message|rules|guidelines|context)"
)

IDENTITY: tuple[str, ...] = (
    rf"(?:which|what) {_MODEL} (?:are you|is this|am i|do you|powers|is behind|you are)",
    rf"(?:name|tell|state|identify|confirm|disclose|reveal)(?: me)? (?:the |your )?{_MODEL} (?:name|version|number)",
    r"(?:who|which (?:company|lab|team)) (?:made|built|trained|created|developed|designed|owns) you\b",
    rf"are you (?:really |actually |secretly |based on |running on ){{0,2}}{_NAMES}\b",
    r"(?:your|the) (?:knowledge|training)(?: data)?[ -]?(?:cut-?off|end date)",
    r"(?:when were you|what data were you|how were you) (?:last )?(?:trained|updated|fine-?tuned)",
    r"(?:how many|number of) parameters (?:do you|are you|you have)",
    r"your (?:model (?:name|version|card|id)|architecture|context (?:window|length)|tokeni[sz]er)",
)
"""Questions about the model."""

SYSTEM: tuple[str, ...] = (
    rf"{_SAY}{_ALL} {_INSTRUCTIONS}",
    rf"what (?:is|are|was|were|does)(?: in)? (?:your|the) {_INSTRUCTIONS}",
    rf"(?:repeat|print|output|copy|return|quote)(?: back)?{_TEXT} above\b",
    rf"(?:ignore|disregard|forget|override){_ALL} (?:previous|prior|above|earlier|preceding|initial|system)"
    r" (?:instructions?|prompts?|rules|messages?|guidelines)",
    r"what (?:instructions|rules|guidelines) (?:were|are|have) (?:you|been)",
    r"(?:instructions?|prompt|text) (?:that )?(?:you were given|given to you|above this line)",
)
"""Questions about what it was told."""

_COMPILED = tuple(re.compile(rf"\b(?:{'|'.join(patterns)})") for patterns in (IDENTITY, SYSTEM))
_WORDS = (
    ("you", "model", "llm", " ai ", "assistant", "version", "training", "knowledge"),
    ("prompt", "instruction", "rules", "message", "guidelines", "context", "above"),
)
"""One of these is in every text that the patterns find; to look for them is quicker."""


def probed(text: str) -> int | None:
    """0 where `text`, in lower case, asks what the model is, 1 for its instructions (or to drop them), else None."""
    found = None
    for place, (words, pattern) in enumerate(zip(_WORDS, _COMPILED, strict=True)):
        if any(word in text for word in words) and pattern.search(text):
            found = place
    return found


def _kind_of(view: View) -> int | None:
    return probed(view.once("plain user", plain_user))


PROBING = Counting(
    "probing",
    "questions about what the model is and what it was told",
    ("ask what the model is", "ask for its instructions, or to drop them"),
    _kind_of,
)
