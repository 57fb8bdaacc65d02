"""End users: the people behind one key, of a company that resells or of a campaign that relays.

They are numbered, and the number says all: so thousands cost no memory, and the same one comes back with the same voice
and the same concerns.
"""

from __future__ import annotations

from typing import NamedTuple

from spiritsafe.drills.dice import Dice
from spiritsafe.drills.texts.grammar import Topic, topics
from spiritsafe.drills.texts.lessons import CAPABILITIES, frame
from spiritsafe.drills.texts.passages import passage
from spiritsafe.drills.texts.sets import PromptSets
from spiritsafe.drills.texts.talk import Voice, opening
from spiritsafe.exchanges.record import Sampling

_CARES = 5
_PUBLIC_QUESTIONS = 0.15
_PASTES = 0.18
_ROLES = 0.04
"""Share of people's questions that tell the model whom to play and how to answer, as guides to prompting advise."""


class EndUser(NamedTuple):
    """One of them."""

    number: int
    voice: Voice
    topics: tuple[Topic, ...]

    @classmethod
    def of(cls, company: Dice, number: int) -> EndUser:
        """The end user with that number of the company that `company` names."""
        dice = company.fork("user", number)
        return cls(number, Voice.of(dice), tuple(dice.pick(topics()) for _ in range(1 + dice.below(_CARES))))

    def asks(self, dice: Dice, sets: PromptSets) -> tuple[Topic, str]:
        """(topic, what is asked first)."""
        topic = dice.early(self.topics, 1.6)
        return topic, self.voice.says(question(dice, topic, sets))

    def tagged(self, sampling: Sampling) -> Sampling:
        """`sampling` with the end user's name for the model's provider, as its API asks resellers for it."""
        return Sampling(sampling.temperature, sampling.top_p, sampling.max_tokens, other=(("user", f"u{self.number}"),))


def question(dice: Dice, topic: Topic, sets: PromptSets) -> str:
    """What a person asks first: of their own, or now and then what others have asked in public."""
    if sets.questions and dice.chance(_PUBLIC_QUESTIONS):
        return dice.pick(sets.questions)
    asked = opening(dice, topic)
    if dice.chance(_ROLES):
        return frame(dice, dice.pick(CAPABILITIES)).around(asked)
    return f"{asked}\n\n{passage(dice, topic, 2 + dice.geometric(4.0))}" if dice.chance(_PASTES) else asked
