"""Code and the talk around it: what coding agents read, write and say, and what hackers at a hackathon ask."""

from __future__ import annotations

from functools import cache

from spiritsafe.drills.dice import Dice, Phrase
from spiritsafe.drills.texts.grammar import EVERYWHERE, Words, listed, phrase

WORDS: Words = {
    **EVERYWHERE,
    "noun": listed(
        "order; user; invoice; session; token; cart; report; photo; message; event; parcel; ticket; vote; song; "
        "booking; sensor; account; page; review; shift"
    ),
    "verb": listed("load; save; parse; merge; sort; send; find; count; check; render; sync; delete; rename; cache"),
    "field": listed("id; name; total; created_at; status; price; owner; size; lang; score; email; tags"),
    "file": tuple(
        f"{folder}/{name}.{ending}"
        for folder in ("src", "app", "lib", "tests", "api", "web")
        for name in ("orders", "users", "billing", "auth", "search", "mailer", "cart", "jobs", "export", "routes")
        for ending in ("py", "ts", "go")
    ),
    "error": (
        "KeyError: 'total'",
        "TypeError: cannot read properties of undefined",
        "AssertionError: expected 3, got 2",
        "ConnectionResetError",
        "ValueError: time data does not match format",
        "ModuleNotFoundError",
        "IntegrityError: duplicate key",
        "timeout after 30 s",
    ),
    "stack": ("FastAPI", "React", "Django", "Go", "Vue", "Postgres", "Redis", "Svelte", "Flask", "TypeScript"),
}

LINES = (
    "def {verb}_{noun}({field}, {field}=None):",
    "    {noun} = {verb}({field})",
    "    if {noun}.{field} is None:",
    "        raise ValueError('{noun} without {field}')",
    "    for {noun} in {noun}s:",
    "        total += {noun}.{field} * {big}",
    "    return [{noun}.{field} for {noun} in {noun}s if {noun}.{field} > {big}]",
    "    logger.info('{verb} {noun} %s', {noun}.{field})",
    "    with open('{file}') as file:",
    "        {noun}s.append(json.loads(line)['{field}'])",
    "SELECT {field}, count(*) FROM {noun}s WHERE {field} > {big} GROUP BY {field};",
    "    assert {verb}_{noun}({big}).{field} == {big}",
    "    # {name} wanted {noun}s sorted by {field}",
    "class {noun}Store(Base):",
)

TASKS = (
    "Add a {field} filter to the {noun} list in {file} and cover it with a test.",
    "The test for {verb}_{noun} fails with {error}. Find out why and fix it.",
    "Refactor {file}: {verb}_{noun} and {verb}_{noun} share most of their code.",
    "Move the {noun} export from {file} to {file} without changing its output.",
    "Make {verb}_{noun} idempotent; {firm} sends every {noun} twice.",
    "Upgrade us to the new {stack} and repair what breaks.",
    "Write a migration that adds {field} to {noun}s and backfills it from {field}.",
    "Users report {error} when they {verb} a {noun} with {big} entries. Reproduce it first.",
)

STEPS = (
    "Read {file} and tell me what {verb}_{noun} does.",
    "Run the tests in {file}; {n} of {big} fail now with {error}.",
    "Tool result: {file} has {big} lines, {n} of them mention {field}.",
    "Apply the patch to {file} and look at the {noun} list again.",
    "Tool result: {error} at {file}:{big}",
    "Now the same for {noun}s, then {verb} them by {field}.",
    "Tool result: ok, {big} passed in {n} s",
    "Search for callers of {verb}_{noun} outside {file}.",
)

IDEAS = (
    "We are building an app with {stack} that lets people {verb} a {noun}. How should we store {field}?",
    "Generate a {stack} skeleton with a page for {noun}s and a login.",
    "Our {stack} demo throws {error} when we {verb} a {noun}. We present in {n} hours!",
    "Write the pitch for an app that helps {firm} to {verb} {noun}s.",
    "Give me seed data for {n} {noun}s with {field} and {field} as JSON.",
    "What is the fastest way to deploy {stack} with a {field} search?",
    "Design a logo prompt and a name for a {noun} finder.",
    "Convert this {stack} handler into {stack}: {verb}_{noun}({field}).",
)


@cache
def _compiled(patterns: tuple[str, ...]) -> tuple[Phrase, ...]:
    return tuple(phrase(pattern, WORDS) for pattern in patterns)


def snippet(dice: Dice, lines: int) -> str:
    """`lines` lines of code: right in style, without meaning."""
    stock = _stock()
    return "\n".join([dice.pick(stock) for _ in range(lines)])


@cache
def _stock() -> tuple[str, ...]:
    dice, kinds = Dice.of("lines of code"), _compiled(LINES)
    return tuple(dice.say(dice.pick(kinds)) for _ in range(2048))


def said(dice: Dice, patterns: tuple[str, ...]) -> str:
    """One of `patterns` (TASKS, STEPS or IDEAS), filled."""
    return dice.say(dice.pick(_compiled(patterns)))
