"""Running text about a topic: what customers paste, and what a scripted model answers.

A pasted passage is put together from a topic's stock of sentences, its first one made for it alone. The others are
taken at equal steps, which makes four thousand passages of any length behind each first sentence, and costs a tenth
of making every one. An answer is cut out of a page, because nobody learns from a scripted answer: its length and its
subject are what counts.
"""

from __future__ import annotations

from functools import cache

from spiritsafe.drills.dice import Dice, Phrase
from spiritsafe.drills.texts.grammar import Topic

SENTENCES = (
    "{name} had to {act} {where} and found it harder than expected.",
    "In {month} the team at {firm} looked into {thing}.",
    "As a rule, {term} matters more than {concept}.",
    "It took {n} attempts to {act}, and the bill came to {money}.",
    "According to {name}, {thing} is rarely worth the trouble {where}.",
    "Most people who {act} never hear of {term}.",
    "The report lists {big} cases of {thing}.",
    "On {day} {firm} announced that it would {act} {where}.",
    "Nobody could say whether {thing} or {other} came first.",
    "The usual explanation is {term}, although {concept} fits as well.",
    "A survey of {big} customers put {thing} at the top of the list.",
    "{name} and {name} disagree about {term}.",
    "What works {where} may fail elsewhere.",
    "By {month}, {big} people had asked how to {act}.",
    "The price rose from {money} to {money} within {n} weeks.",
    "Without {term}, it is hard to {act}.",
    "The first sign was {thing}; the second came {n} days later.",
    "{firm} now offers to {act} for {money}.",
    "There is little evidence that {term} helps {where}.",
    "In the end {name} chose {thing} and left {other} alone.",
)

REPLIES = (
    "To {act}, start with {thing} and work from there.",
    "First, check {thing}; it is often the cause.",
    "{term} means that the parts depend on one another, so change one thing at a time.",
    "If you have to {act} {where}, allow {n} days and about {money}.",
    "A common mistake is to forget {term}.",
    "Compared with {thing}, {other} takes longer but costs less.",
    "You can {act} {where} as long as {term} is taken care of.",
    "Step {n}: look at {thing} again and write down what has changed.",
    "In short, {term} comes before {concept}.",
    "For example, {name} used {thing} and was done by {day}.",
    "Keep in mind that {thing} may differ {where}.",
    "That depends on {term}: with little of it, better {act} later.",
    "Here is one way to put it: {thing} is the question, {term} the answer.",
    "Ask {who} to read it before you go on.",
)

_STARTS, _STEPS, _MOST_SENTENCES = 512, 8, 100
_PAGE_SENTENCES = 400
_LONGEST_CHARS = 24_000


def passage(dice: Dice, topic: Topic, sentences: int) -> str:
    """`sentences` sentences about `topic`, from one to 101."""
    stock = _stock(topic)
    first = dice.say(dice.pick(_sentences(topic)))
    if sentences < 2:
        return first
    at, step = dice.below(_STARTS), 1 + dice.below(_STEPS)
    return " ".join((first, *stock[at : at + step * min(sentences - 1, _MOST_SENTENCES) : step]))


def cut(topic: Topic, start: int, chars: int) -> str:
    """About `chars` characters of an answer about `topic`, cut out of its page at the sentence that `start` names."""
    page, starts = _page(topic)
    at = starts[start % len(starts)]
    return page[at : at + max(20, min(chars, _LONGEST_CHARS))]


@cache
def _sentences(topic: Topic) -> tuple[Phrase, ...]:
    return topic.phrases(SENTENCES)


@cache
def _stock(topic: Topic) -> tuple[str, ...]:
    dice, kinds = Dice.of("sentences", topic.name), _sentences(topic)
    return tuple(dice.say(dice.pick(kinds)) for _ in range(_STARTS + _STEPS * _MOST_SENTENCES))


@cache
def _page(topic: Topic) -> tuple[str, tuple[int, ...]]:
    """Answers' text, twice over so that any start has room behind it, and where sentences start in its first half."""
    dice, kinds = Dice.of("answers", topic.name), topic.phrases(REPLIES)
    said, starts, size = [], [], 0
    for _ in range(_PAGE_SENTENCES):
        starts.append(size)
        said.append(dice.say(dice.pick(kinds)) + " ")
        size += len(said[-1])
    return "".join(said) * 2, tuple(starts)
