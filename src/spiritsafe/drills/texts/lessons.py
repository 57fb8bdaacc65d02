"""What is asked to train another model on: one capability, many tasks in it, with the working shown.

The same lessons are asked under a contract (the class `licensed`) and without one (campaigns): by content alone nobody
could tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from spiritsafe.drills.dice import Dice, Phrase
from spiritsafe.drills.texts.grammar import EVERYWHERE, phrase, topic
from spiritsafe.errors import InputError, shown

ROLES = (
    "You are an expert {trade} who joins rigour with deep knowledge of the field.",
    "You are a senior {trade}.",
    "Act as a world-class {trade}.",
    "You are a patient {trade} with twenty years of practice.",
    "As an experienced {trade}, you are known for complete answers.",
    "Imagine you are a {trade} who trains other people.",
    "Take the role of a {trade}.",
)

AIMS = (
    "Solve the task below and show complete, transparent reasoning.",
    "Work through the problem step by step before you give the result.",
    "Lay out every intermediate step, then state the final answer.",
    "Give a thorough solution; justify each decision.",
    "First make a plan, then carry it out, then check the outcome.",
    "Reason aloud in detail and finish with a conclusion.",
    "Write down your chain of thought and the final result.",
    "Explain what you do, why you do it, and what you ruled out.",
)

SHAPES = (
    "Put the reasoning in <think> tags and the result in <answer> tags.",
    "End with a line 'Final answer:'.",
    "Use numbered steps.",
    "Return JSON with the keys steps and answer.",
    "Do not shorten anything.",
    "Use headings for plan, work and answer.",
    "Do not ask back.",
    "",
)

MARKS = ("\n\nTask: ", "\n\n### Problem\n", "\n\n", "\n\nInput:\n", "\n\nQuestion: ")


@dataclass(frozen=True, slots=True)
class Capability:
    """What a student is to learn: who would know it, which topics it has, and how tasks in it sound."""

    name: str
    trade: str
    topics: tuple[str, ...]
    tasks: tuple[str, ...]


CAPABILITIES = (
    Capability(
        "analysis",
        "data analyst",
        ("data_analysis", "retail_logistics", "marketing", "personal_finance"),
        (
            "{firm} wants to {act} {where}. It has {big} rows from {month} and suspects {thing}. What do you conclude?",
            "Given {big} observations with a mean of {n} and {thing}, decide whether to {act} {where}.",
            "Explain with numbers how {thing} would change if {firm} could {act} for {money}.",
            "A manager claims that {term} explains {thing}. Test the claim {where} with {big} cases.",
        ),
    ),
    Capability(
        "agents",
        "automation engineer",
        ("agent_workflows", "devops", "project_management", "web_frontend"),
        (
            "Tools: search, read_file, run, send. Goal: {act} {where}. {name} needs it by {day}. Give the calls.",
            "A run broke off because of {thing}. Recover: {act}, then report to {name}.",
            "Plan the tool calls that {act} {where}, with at most {n} retries and a budget of {money}.",
            "Given the state 'step {n} of {big}, {thing}', choose the next action and its arguments.",
        ),
    ),
    Capability(
        "coding",
        "software engineer",
        ("python_code", "databases", "web_frontend", "security"),
        (
            "Implement a function to {act} {where}. Handle {thing} and up to {big} items. Include tests.",
            "Review a change by {name} that tries to {act}. It shows {thing} after {big} calls. Fix it.",
            "Design an interface to {act} {where}; compare two designs with respect to {term}.",
            "Find the bug: the service should {act}, yet users at {firm} report {thing} every {n} hours.",
        ),
    ),
    Capability(
        "sums",
        "mathematics teacher",
        ("school_maths", "physics", "personal_finance"),
        (
            "{name} has {money} and spends {n} parts of {big} on {thing}. How much is left, and why?",
            "Show how to {act} {where} when the first value is {big} and the second is {n} times as large.",
            "A class of {big} pupils studies {thing}. {n} of them leave each {month}. When are none left?",
            "Prove or refute: with {n} of {big} cases known, {term} decides {thing}.",
        ),
    ),
    Capability(
        "law",
        "lawyer",
        ("contract_law", "human_resources", "tax_accounting"),
        (
            "{firm} wants to {act} {where}; {name} relies on {thing}. Who is right, and on what grounds?",
            "Draft the clause that lets {firm} {act}, with a cap of {money} and {n} months' notice.",
            "Apply {term} to {thing} between {firm} and {name} from {month}.",
            "List the arguments for both sides: {name} refuses to {act} {where} after {big} days.",
        ),
    ),
    Capability(
        "health",
        "physician",
        ("medicine", "biology", "fitness", "psychology"),
        (
            "A patient of {big} months presents with {thing} for {n} days. Work through the differential.",
            "{name} asks how to {act} {where}. Weigh the risks and give a recommendation.",
            "Interpret a value of {big} with {thing}; consider {term} and {concept}.",
            "Explain to a student why {term} matters when you {act} {where}, with a case from {month}.",
        ),
    ),
    Capability(
        "prose",
        "novelist and editor",
        ("creative_writing", "literature", "film_games", "language_learning"),
        (
            "Write {n} scenes about {thing} {where}. {name} must appear, and so must {other}.",
            "Rework a draft in which {name} tries to {act}; use {term} and keep it under {big} words.",
            "Outline a story set in {month} around {thing}, then write its last page in a {tone} voice.",
            "Explain how you would {act} {where}, then do it with {thing}.",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The template around every task of a campaign: all of it but the task."""

    before: str
    after: str

    def around(self, task: str) -> str:
        """The prompt for `task`."""
        return f"{self.before}{task}{self.after}"


def capability(name: str) -> Capability:
    """The capability of that name.

    Raises:
        InputError: there is none.
    """
    for one in CAPABILITIES:
        if one.name == name:
            return one
    raise InputError(f"unknown capability {shown(name)}; known: {', '.join(one.name for one in CAPABILITIES)}")


def frame(dice: Dice, aim: Capability) -> Frame:
    """A template for tasks of `aim`: a role, what to show, in which shape."""
    role = dice.pick(ROLES).format(trade=aim.trade)
    shape = dice.pick(SHAPES)
    if dice.chance(0.5):
        return Frame(f"{role} {dice.pick(AIMS)} {shape}".rstrip() + dice.pick(MARKS), "")
    return Frame(f"{role}{dice.pick(MARKS)}", f"\n\n{dice.pick(AIMS)} {shape}".rstrip())


def task(dice: Dice, aim: Capability) -> tuple[str, str]:
    """(topic's name, task): one of the many tasks of a capability."""
    name = dice.pick(aim.topics)
    return name, dice.say(dice.pick(_tasks(aim, name)))


@cache
def _tasks(aim: Capability, name: str) -> tuple[Phrase, ...]:
    return tuple(phrase(pattern, {**EVERYWHERE, **topic(name).words}) for pattern in aim.tasks)
