"""What people say to a model when they want to know something: openings, follow-ups, and a voice of their own."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from spiritsafe.drills.dice import Dice, Phrase
from spiritsafe.drills.texts.grammar import Topic

OPENINGS = (
    "How do I {act} {where}?",
    "What is the best way to {act} {where}?",
    "I have to {act} by {day} and have never done it. Where do I start?",
    "Can you explain {term} to {who}?",
    "What is {term}, and why does it matter when you {act}?",
    "What is the difference between {term} and {concept}?",
    "Give me {n} ideas to {act} {where}.",
    "List {n} mistakes people make when they {act}.",
    "Write {form} about {thing} {where}.",
    "Write {form} for {who} about how to {act}.",
    "Help me with {thing}. I tried to {act}, but it got worse.",
    "My friend {name} says you should never {act} {where}. Is that true?",
    "Is {thing} worth {money}, or should I {act} instead?",
    "Plan {n} days to {act} {where}.",
    "We are {n} people and want to {act} {where}. What do we need?",
    "I am stuck with {thing}. What would you check first?",
    "Summarise what one should know about {term} in {n} sentences.",
    "Make a table that compares {thing} with {other}.",
    "Ask me {n} questions to find out how I should {act}.",
    "What does {term} mean {where}?",
    "Why would anyone {act} {where}?",
    "Draft a {tone} message to {name} about {thing}.",
    "Rewrite this in a {tone} tone: we need to {act} before {day}, and {thing} is still not settled.",
    "Translate into French: {name} wants to {act} {where}.",
    "Give me a checklist for {thing}.",
    "How long does it take to {act} {where}?",
    "What would {thing} cost {where}? I have {money}.",
    "Pros and cons of {thing} versus {other}?",
    "Tell me a story about {name} and {thing}.",
    "I read about {term} yesterday. Does it have anything to do with {concept}?",
    "Make a quiz with {n} questions about {term} for {who}.",
    "Which comes first, {term} or {concept}?",
    "Suggest a title for a text about {thing}.",
    "Be honest: should I {act} myself {where}?",
    "Write a polite reply to {name}, who complained about {thing}.",
    "What are signs that {thing} needs attention?",
    "Explain step by step how to {act}.",
    "Imagine you had to {act} {where} with {money}. What would you do?",
    "What changed about {term} since {month}?",
    "Turn these notes into a paragraph: {thing}; {term}; {act}; ask {name}; {day}.",
)

FOLLOW_UPS = (
    "And what about {term}?",
    "Can you make it shorter?",
    "Thanks. Could you give an example with {thing}?",
    "I don't understand the part about {term}.",
    "That did not work. I still have {thing}. What else?",
    "Would it be different {where}?",
    "Ok, and how do I {act} after that?",
    "Make it more {tone}.",
    "Put that in a table.",
    "Why?",
    "Are you sure about {term}?",
    "Can you redo it for {who}?",
    "Add something about {thing}.",
    "What if I only have {money}?",
    "Give me {n} more.",
    "Now translate it into Spanish.",
    "{name} thinks that is wrong because of {term}. What do you say?",
    "Which of these is the most important?",
    "Turn it into {form}.",
    "Perfect, thank you. One more thing: should I {act} too?",
)

_HELLOS = ("", "", "", "", "Hi! ", "Hello, ", "Quick question: ", "Hey, ", "Good morning. ", "Please help. ", "ok so ")
_BYES = ("", "", "", "", " Thanks!", " Keep it short.", " Please answer in detail.", " Thank you.")


class Voice(NamedTuple):
    """How somebody writes: before and after what is said, and whether without capitals."""

    hello: str
    bye: str
    is_lower: bool

    @classmethod
    def of(cls, dice: Dice) -> Voice:
        """A voice drawn for one person."""
        return cls(dice.pick(_HELLOS), dice.pick(_BYES), dice.chance(0.22))

    def says(self, text: str) -> str:
        """`text` in this voice, as the first thing said."""
        return f"{self.hello}{text}{self.bye}".lower() if self.is_lower else f"{self.hello}{text}{self.bye}"

    def goes_on(self, text: str) -> str:
        """`text` in this voice, later on."""
        return text.lower() if self.is_lower else text


PLAIN = Voice("", "", False)


def opening(dice: Dice, topic: Topic) -> str:
    """A first question about `topic`; sometimes two in one."""
    said = dice.say(dice.pick(_openings(topic)))
    return f"{said} {dice.say(dice.pick(_openings(topic)))}" if dice.chance(0.12) else said


def follow_up(dice: Dice, topic: Topic) -> str:
    """What somebody says after an answer about `topic`."""
    return dice.say(dice.pick(_follow_ups(topic)))


@cache
def _openings(topic: Topic) -> tuple[Phrase, ...]:
    return topic.phrases(OPENINGS)


@cache
def _follow_ups(topic: Topic) -> tuple[Phrase, ...]:
    return topic.phrases(FOLLOW_UPS)
