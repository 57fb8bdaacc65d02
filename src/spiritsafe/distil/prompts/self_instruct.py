"""Self-instruct (Wang et al. 2023, sections 2.2 and appendix A): a few prompts as examples, asked to be continued.

Three of four examples are seeds, the rest are new prompts, as in the paper (6 and 2).
"""

from __future__ import annotations

import re
from random import Random

from spiritsafe.distil.prompts.method import Entry, Pool, Question, request_for
from spiritsafe.text.normal import words

_ASKED_FOR = 8
_MOST_REQUESTS = 32
_ITEM = re.compile(r"^\s{0,3}(?:\*\*)?(\d{1,3})[.):](?:\*\*)?\s+", re.MULTILINE)
_CLOSED = (".", "?", "!", '"', "'", ")", ":", "`", "\u201d", "\u3002", "\uff1f")

# What a text model cannot act on; a word that the seeds themselves use is allowed.
_BEYOND_TEXT = frozenset(
    ("image", "images", "picture", "pictures", "photo", "photos", "graph", "graphs", "map", "maps", "video", "videos")
)

_QUESTION = """\
Below are {count} examples of prompts that people send to an assistant.

{examples}

Write {wanted} new prompts of the same kind. Let them differ from the examples and from one another in subject, \
wording and difficulty. Each must make sense on its own. Answer with a numbered list and nothing else."""


def numbered_items(answer: str) -> list[str]:
    """The items of a numbered list, each with its continuation lines; what stands before the first item is left out."""
    starts = list(_ITEM.finditer(answer))
    ends = [following.start() for following in starts[1:]]
    spans = zip((start.end() for start in starts), [*ends, len(answer)], strict=False)
    items = (answer[start:end].strip().strip("*").strip() for start, end in spans)
    return [item for item in items if item]


class SelfInstruct:
    """The method."""

    name = "self_instruct"
    gives = _ASKED_FOR

    def questions(self, pool: Pool, wanted: int, per_request: int, round_number: int, draw: Random) -> list[Question]:
        """Requests that show `per_request` examples each, as many as would do if all they give were new."""
        requests = min(_MOST_REQUESTS, -(-wanted // _ASKED_FOR))
        return [
            Question(
                request_for(self._text(self._examples(pool, per_request, draw)), round_number * _MOST_REQUESTS + n)
            )
            for n in range(requests)
        ]

    def _examples(self, pool: Pool, count: int, draw: Random) -> list[str]:
        from_made = min(count // 4, len(pool.made))
        from_seeds = min(count - from_made, len(pool.seeds))
        chosen = draw.sample(pool.seeds, from_seeds) + draw.sample(pool.made, from_made)
        draw.shuffle(chosen)
        return [entry.text for entry in chosen]

    def _text(self, examples: list[str]) -> str:
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(examples, 1))
        return _QUESTION.format(count=len(examples), examples=listed, wanted=_ASKED_FOR)

    def read(self, answer: str, question: Question, pool: Pool) -> list[Entry]:
        """The list's items that begin with a letter or digit and ask for nothing beyond text."""
        items = numbered_items(answer)
        if items and len(items) < _ASKED_FOR and not items[-1].endswith(_CLOSED):
            items.pop()  # the list was cut off in its last item
        entries = (Entry(item, tuple(words(item)), 1) for item in items if item[0].isalnum() or item[0] in "\"'\u201c")
        beyond = _BEYOND_TEXT - pool.vocabulary
        return [entry for entry in entries if beyond.isdisjoint(entry.words)]


SELF_INSTRUCT = SelfInstruct()
