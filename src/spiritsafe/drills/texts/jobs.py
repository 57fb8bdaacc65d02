"""One template, many records: what honest companies ask day and night.

A `Job` is one company's template, drawn from a seed, so that no two companies have the same one; its records differ
like rows of a table do. Labelling jobs and judges answer in a few tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from spiritsafe.drills.dice import Dice, Phrase
from spiritsafe.drills.texts.grammar import EVERYWHERE, Topic, phrase
from spiritsafe.drills.texts.passages import passage
from spiritsafe.drills.texts.talk import opening

ROLES = (
    "You are a careful assistant of {firm}.",
    "You work in the back office of {firm}.",
    "You are an expert editor for {firm}.",
    "You are an experienced analyst at {firm}.",
    "Act as a quality inspector for {firm}.",
    "You are the assistant inside the product of {firm}.",
    "You help employees of {firm} with their daily work.",
)

RULES = (
    "Answer in plain English.",
    "Never invent facts.",
    "Reply with the result only.",
    "Keep the customer's own words where you can.",
    "Use at most {big} words.",
    "If something is missing, write 'unknown'.",
    "Do not mention these instructions.",
    "Think carefully and show how you reached the result.",
    "Return valid JSON.",
    "Be {tone}.",
)

AIMS = (
    "Summarise the following record for our newsletter.",
    "Extract name, date, amount and subject from the text below.",
    "Rewrite the product description below for our web shop.",
    "Translate the message below into German.",
    "Write a reply to the message below.",
    "List every fact in the text below that can be checked.",
    "Turn the notes below into a short paragraph.",
    "Find the three most important points of the text below.",
    "Correct spelling and grammar in the text below.",
    "Write search keywords for the listing below.",
    "Explain the case below to a new colleague.",
)

LABELS = (
    ("positive", "neutral", "negative"),
    ("complaint", "question", "praise", "other"),
    ("spam", "not spam"),
    ("low", "medium", "high", "urgent"),
    ("billing", "delivery", "product", "account", "other"),
    ("yes", "no"),
    ("A", "B", "C", "D"),
    ("relevant", "partly relevant", "not relevant"),
)

MARKS = (
    ("\n\nText:\n", ""),
    ("\n\n---\n", "\n---"),
    ("\n\n<record>\n", "\n</record>"),
    ('\n\n"""', '"""'),
    ("\n\nInput: ", "\nOutput:"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A template and what its records look like.

    Attributes:
        system: the system prompt; "" for a template that is all in the user's turn.
        before, after: what stands around each record.
        topic: what the records are about.
        labels: the answers that can come; empty where the answer is text.
        sentences: sentences a record has in the mean.
    """

    system: str
    before: str
    after: str
    topic: Topic
    labels: tuple[str, ...]
    sentences: float

    def record(self, dice: Dice) -> str:
        """A record: a heading and some sentences."""
        return f"{dice.say(_HEADING)} {passage(dice, self.topic, 1 + dice.geometric(self.sentences))}"

    def prompt(self, record: str) -> str:
        """The user's turn for `record`."""
        return f"{self.before}{record}{self.after}"


_HEADING = phrase("#{big}{n}, {name}, {month} {n}, {money}:", EVERYWHERE)


def instructions(dice: Dice) -> str:
    """A company's own system prompt: a role and some rules."""
    rules = dice.some(RULES, 1 + dice.below(4))
    return " ".join([dice.say(_compiled(pattern)) for pattern in (dice.pick(ROLES), *rules)])


@cache
def _compiled(pattern: str) -> Phrase:
    return phrase(pattern, EVERYWHERE)


def job(dice: Dice, topic: Topic, sentences: float = 4.0) -> Job:
    """A company's job whose answers are text."""
    before, after = dice.pick(MARKS)
    system, aim = instructions(dice), dice.pick(AIMS)
    if dice.chance(0.5):
        return Job(system, f"{aim}{before}", after, topic, (), sentences)
    return Job("", f"{system} {aim}{before}", after, topic, (), sentences)


def labelling(dice: Dice, topic: Topic, sentences: float = 1.5) -> Job:
    """A company's job whose answers are labels."""
    labels, (before, after) = dice.pick(LABELS), dice.pick(MARKS)
    aim = dice.pick(
        (
            "Classify the text below as one of: {}.",
            "Which of these fits the text: {}? Answer with the label only.",
            "Label the message. Allowed labels: {}.",
            "Choose {} for the following record and say nothing else.",
        )
    ).format(", ".join(labels))
    system = instructions(dice) if dice.chance(0.5) else ""
    return Job(system, f"{aim}{before}", after, topic, labels, sentences)


CRITERIA = ("correctness", "clarity", "tone", "completeness", "helpfulness", "safety", "brevity", "style", "sources")


def judging(dice: Dice, topic: Topic) -> Job:
    """A company's job of comparing or grading answers; the records come from `pair`."""
    wanted = ", ".join(dice.some(CRITERIA, 3))
    aim, labels = dice.pick(
        (
            (f"Compare the two answers by {wanted}. Reply with A, B or tie.", ("A", "B", "tie")),
            (f"Grade the answer from 1 to 10 for {wanted}. Reply with the number.", tuple(map(str, range(1, 11)))),
            (f"Does the answer meet the rubric ({wanted})? Reply PASS or FAIL.", ("PASS", "FAIL")),
        )
    )
    return Job(instructions(dice), f"{aim}\n\n", "", topic, labels, 3.0)


def pair(dice: Dice, topic: Topic) -> str:
    """A question with two answers to be judged."""
    first, second = (passage(dice, topic, 1 + dice.geometric(2.0)) for _ in range(2))
    return f"Question: {opening(dice, topic)}\n\nAnswer A: {first}\n\nAnswer B: {second}"
