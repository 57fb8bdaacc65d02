"""Topics and phrases: sentences with places for words, filled by dice.

A pattern is text with places in braces: "How do I {act} {where}?". Compiled for a topic it is a `Phrase`, which
`Dice.say` fills. The topic's own words are `act`, `thing`, `term`, `where`; what all topics have is in `EVERYWHERE`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter

from spiritsafe.drills.dice import Phrase

Words = Mapping[str, tuple[str, ...]]


def listed(text: str) -> tuple[str, ...]:
    """The words in `text`, which are parted by semicolons."""
    return tuple(word.strip() for word in text.split(";"))


NAMES = listed(
    "Amara; Benoit; Chen; Dalia; Emeka; Farid; Greta; Hana; Ivo; Jonas; Keiko; Lena; Mateo; Nadia; Olu; Priya; "
    "Quentin; Rosa; Sami; Tove; Uma; Viktor; Wanda; Xavi; Yusuf; Zora; Ada; Bruno; Carla; Dmitri; Elif; Fabio"
)
STEMS = listed(
    "Alder; Birch; Cobalt; Delta; Ember; Falcon; Granite; Harbor; Indigo; Juniper; Kestrel; Lumen; Maple; Nimbus; "
    "Orchid; Pioneer; Quartz; Raven; Summit; Tidal; Umber; Willow; Yarrow; Zenith; Atlas; Beacon; Drift; Echo"
)
TRADES = ("Foods", "Logistics", "Health", "Labs", "Works", "Retail", "Energy", "Media", "Finance", "Travel", "Systems")

EVERYWHERE: Words = {
    "n": tuple(map(str, range(2, 13))),
    "big": tuple(str(number) for number in range(14, 2000, 17)),
    "money": tuple(f"${number}" for number in range(15, 4000, 35)),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("January", "March", "April", "June", "July", "September", "October", "December"),
    "name": NAMES,
    "firm": tuple(f"{stem} {trade}" for stem in STEMS for trade in TRADES),
    "who": ("a beginner", "my manager", "a ten-year-old", "a colleague", "my parents", "a customer", "an expert"),
    "form": ("a short guide", "an email", "a checklist", "a blog post", "a summary", "a talk", "a one-page brief"),
    "tone": ("friendly", "formal", "dry", "playful", "plain", "confident", "warm"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """What a conversation is about.

    Attributes:
        name: the topic's word.
        words: for every place that a pattern may have, the words that fit there.
    """

    name: str
    words: Words

    def phrases(self, patterns: Iterable[str]) -> tuple[Phrase, ...]:
        """`patterns` compiled with the topic's words."""
        return tuple(phrase(pattern, self.words) for pattern in patterns)


def phrase(pattern: str, words: Words) -> Phrase:
    """`pattern` compiled: its text, and the words of each of its places."""
    parsed = [(literal.replace("%", "%%"), place) for literal, place, _, _ in Formatter().parse(pattern)]
    text = "".join(literal + ("%s" if place else "") for literal, place in parsed)
    return text, tuple(words[place] for _, place in parsed if place)


@cache
def topics() -> tuple[Topic, ...]:
    """All topics, in the order of their file."""
    rows = tomllib.loads(files(__package__).joinpath("topics.toml").read_text(encoding="utf-8"))
    return tuple(_topic(name, row) for name, row in rows.items())


def _topic(name: str, row: Mapping[str, str]) -> Topic:
    acts, things, terms, wheres = (listed(row[key]) for key in ("acts", "things", "terms", "settings"))
    own = {"act": acts, "thing": things, "other": things, "term": terms, "concept": terms, "where": wheres}
    return Topic(name, {**EVERYWHERE, **own})


@cache
def topic(name: str) -> Topic:
    """The topic of that name."""
    return next(one for one in topics() if one.name == name)
