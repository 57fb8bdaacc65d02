"""Prompts from few: seeds expanded by the teacher, by self-instruct or by evolution.

Asking belongs to whoever calls: `ask` takes requests and gives their answers in order, and sees to ledger and budget.
With the same seeds, the same settings and the same answers the result is the same, so a resumed run finds what it paid
for. Every new prompt is compared with all before it, so time grows with the square of their number: meant for some
ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.prompts import files
from spiritsafe.distil.prompts.evolve import EVOLVE
from spiritsafe.distil.prompts.method import Ask, Entry, Method, Pool, Question
from spiritsafe.distil.prompts.self_instruct import SELF_INSTRUCT
from spiritsafe.distil.recipe import ExpandPrompts, FilePrompts
from spiritsafe.errors import InputError, shown
from spiritsafe.exchanges.record import Message, Request

METHODS: tuple[Method, ...] = (SELF_INSTRUCT, EVOLVE)
"""Every method a recipe may name."""

DRY_ROUNDS = 3
"""Rounds in a row without a new prompt after which expansion gives up."""


def load(source: ExpandPrompts, ask: Ask | None = None) -> Iterator[Prompt]:
    """The seeds, then `count` new prompts, as they are found; `meta["origin"]` is "seed" or the method.

    Raises:
        InputError: no model to ask, no usable seeds, or the teacher has nothing new to say before `count` is reached.
    """
    if ask is None:
        raise InputError("prompts of kind 'expand' need a teacher to ask; give the recipe a teacher, or another kind")
    seeds = list(files.load(FilePrompts.model_validate({"kind": files.kind_of(source.seeds), "path": source.seeds})))
    if not seeds:
        raise InputError(f"{shown(str(source.seeds))} holds no seeds; put at least one prompt into it")
    for seed in seeds:
        yield Prompt(seed.id, seed.messages, seed.expected, {**seed.meta, "origin": "seed"})
    method = _method(source)
    for entry in grow(method, Pool([seed.text for seed in seeds], source.max_similarity), source, ask):
        yield make_prompt((Message("user", entry.text),), None, {"origin": source.method, "depth": entry.depth})


def _method(source: ExpandPrompts) -> Method:
    return next(each for each in METHODS if each.name == source.method)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What expanding takes, as far as it is known before the teacher is asked.

    Attributes:
        prompts: the seeds and the new prompts; a new one that is not known yet is stood for by one as long as a seed.
        requests: what makes the new prompts: what was answered already, and the fewest that can do for the rest.
    """

    prompts: list[Prompt]
    requests: list[Request]


class _NotAnswered(Exception):
    """The teacher would have to be asked."""


def foresee(source: ExpandPrompts, answered: Callable[[Request], str | None]) -> Foreseen:
    """Go through `load` as far as `answered` knows the answers, and count on from there.

    Raises:
        InputError: as `load`.
    """
    prompts: list[Prompt] = []
    requests: list[Request] = []

    def known(wanted: Sequence[Request]) -> Iterator[str]:
        for request in wanted:
            requests.append(request)
            answer = answered(request)
            if answer is None:
                raise _NotAnswered
            yield answer

    with suppress(_NotAnswered):
        for prompt in load(source, known):
            prompts.append(prompt)  # one by one: what came before a stop is kept
    seeds = [prompt for prompt in prompts if prompt.meta["origin"] == "seed"]
    missing = source.count - (len(prompts) - len(seeds))
    requests += requests[-1:] * (-(-missing // _method(source).gives) - 1)
    return Foreseen([*prompts, *(_stand_in(n, seeds[n % len(seeds)]) for n in range(missing))], requests)


def _stand_in(number: int, seed: Prompt) -> Prompt:
    return Prompt(f"{number:024x}", (Message("user", "x" * len(seed.text)),))


def grow(method: Method, pool: Pool, source: ExpandPrompts, ask: Ask) -> Iterator[Entry]:
    """Ask round after round until `source.count` new prompts are in the pool.

    Raises:
        InputError: three rounds in a row gave nothing new.
    """
    draw = Random(source.seed)
    round_number = dry = 0
    while len(pool.made) < source.count:
        before = len(pool.made)
        wanted = source.count - before
        questions = method.questions(pool, wanted, source.seeds_per_request, round_number, draw)
        for entry in _new_entries(method, questions, pool, ask):
            yield entry
            if len(pool.made) >= source.count:
                return
        round_number += 1
        dry = dry + 1 if len(pool.made) == before else 0
        if dry == DRY_ROUNDS:
            raise InputError(
                f"got {before} new prompts of {source.count}, then {DRY_ROUNDS} rounds without one; "
                "lower count, raise max_similarity, or give more and more varied seeds"
            )


def _new_entries(method: Method, questions: Sequence[Question], pool: Pool, ask: Ask) -> Iterator[Entry]:
    answers = ask([question.request for question in questions])
    for question, answer in zip(questions, answers, strict=True):
        for entry in method.read(answer, question, pool):
            if pool.admits(entry, but=question.may_resemble):
                pool.made.append(entry)
                yield entry
