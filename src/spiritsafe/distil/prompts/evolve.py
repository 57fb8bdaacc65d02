"""Evol-Instruct (Xu et al. 2023, section 3.2): prompts rewritten to be harder (in depth) or rarer (in breadth).

An evolution that failed is left out and its parent stays in the pool, to be tried again: the answer adds nothing, is a
refusal, is no more than punctuation, or speaks of the prompt it was given instead of being one.
"""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from spiritsafe.distil.prompts.method import Entry, Pool, Question, request_for
from spiritsafe.text.normal import words
from spiritsafe.text.refusals import refusing_phrase

MOST_STEPS = 4
"""Evolutions in a row from one seed, as in the paper."""

LEAST_NEW_WORDS = 3
"""Words an evolved prompt must have that its parent has not."""

_MOST_REQUESTS = 64
_LABEL = re.compile(r"^\W*(?:the )?(?:rewritten|new|created|evolved|harder)? ?prompt\W*[:\n]\s*", re.IGNORECASE)
_SPEAKS_OF_ITSELF = re.compile(
    r"\b(?:given|rewritten|original|created|previous|new|above|harder) prompt\b|\bprompt (?:above|below)\b",
    re.IGNORECASE,
)

IN_DEPTH: tuple[tuple[str, str], ...] = (
    ("constraint", "Add one more constraint or requirement."),
    ("deepen", "Ask for more depth and breadth on what it asks about."),
    ("concretise", "Replace general notions by more specific ones."),
    ("reasoning", "Make it need several steps of reasoning where it now needs few."),
)
IN_BREADTH = "Write one new prompt of the same kind and of similar length and difficulty, on a rarer subject."

_DEPTH_QUESTION = """\
Rewrite the prompt between the lines into a harder version that an assistant can still answer. {how} Add 10 to 20 \
words and keep all that is given in it.

---
{text}
---

Answer with the text of the harder version and nothing else."""
_BREADTH_QUESTION = """\
{how}

---
{text}
---

Answer with its text and nothing else."""


class Evolve:
    """The method: four of five steps go into depth, one into breadth."""

    name = "evolve"
    gives = 1

    def questions(self, pool: Pool, wanted: int, per_request: int, round_number: int, draw: Random) -> list[Question]:
        """One request a parent; parents are drawn from all that are not yet four steps from their seed."""
        parents = [entry for entry in pool.entries if entry.depth < MOST_STEPS]
        chosen = draw.sample(parents, min(len(parents), _MOST_REQUESTS, wanted))
        return [self._question(entry, draw.randrange(len(IN_DEPTH) + 1), round_number) for entry in chosen]

    def _question(self, parent: Entry, step: int, round_number: int) -> Question:
        if step == len(IN_DEPTH):
            text = _BREADTH_QUESTION.format(how=IN_BREADTH, text=parent.text)
            return Question(request_for(text, round_number), parent)
        text = _DEPTH_QUESTION.format(how=IN_DEPTH[step][1], text=parent.text)
        return Question(request_for(text, round_number), parent, may_resemble=parent)

    def read(self, answer: str, question: Question, pool: Pool) -> list[Entry]:
        """The evolved prompt, unless the evolution failed."""
        text = _LABEL.sub("", answer.strip()).strip().strip("-").strip()
        parent = question.parent
        if parent is None or refusing_phrase(text) or _SPEAKS_OF_ITSELF.search(text):
            return []
        own = tuple(words(text))
        new_words = Counter(own) - Counter(parent.words)
        return [Entry(text, own, parent.depth + 1)] if new_words.total() >= LEAST_NEW_WORDS else []


EVOLVE = Evolve()
