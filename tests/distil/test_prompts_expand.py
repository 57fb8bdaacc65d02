"""Seeds expanded by a teacher, here one that says what it is told to."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.prompts import load_prompts
from spiritsafe.distil.prompts.evolve import EVOLVE
from spiritsafe.distil.prompts.expand import METHODS, Ask, foresee
from spiritsafe.distil.prompts.method import Entry, Pool, Question, request_for
from spiritsafe.distil.prompts.self_instruct import SELF_INSTRUCT, numbered_items
from spiritsafe.distil.recipe import ExpandPrompts
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Request
from spiritsafe.text.normal import words
from spiritsafe.text.shingles import rouge_l

SEEDS = [
    "Explain why the sky is blue to a child of six.",
    "List three ways to cook an egg without oil.",
    "Write a short letter that thanks a neighbour.",
    "Translate 'good morning' into Italian and French.",
    "Which planet has the most moons?",
]


def seeds_in(folder: Path, seeds: Sequence[str] = SEEDS) -> Path:
    path = folder / "seeds.jsonl"
    path.write_text("".join(json.dumps({"prompt": seed, "answer": "x"}) + "\n" for seed in seeds))
    return path


class Teacher:
    """Asked with requests, answers each with `say(number, text)`; keeps what it was asked."""

    def __init__(self, say: Callable[[int, str], str]) -> None:
        self.say = say
        self.asked: list[Request] = []

    def __call__(self, requests: Sequence[Request]) -> Iterator[str]:
        for request in requests:
            self.asked.append(request)
            yield self.say(len(self.asked), request.messages[0].content)


def new_prompt(number: int) -> str:
    return " ".join(f"w{number}x{at}" for at in range(8)) + "?"


def eight_new(number: int, text: str) -> str:
    return "\n".join(f"{at + 1}. {new_prompt(8 * number + at)}" for at in range(8))


def expand(folder: Path, ask: Ask | None, seeds: Sequence[str] = SEEDS, **section: Any) -> list[Prompt]:
    source = {"kind": "expand", "seeds": seeds_in(folder, seeds), "count": 20} | section
    return list(load_prompts(ExpandPrompts.model_validate(source), ask=ask))


def entry(text: str, depth: int = 0) -> Entry:
    return Entry(text, tuple(words(text)), depth)


def question(parent: Entry) -> Question:
    return Question(request_for("?", 0), parent, parent)


def test_every_method_of_the_recipe_is_there() -> None:
    names = ExpandPrompts.model_fields["method"].annotation.__args__  # type: ignore[union-attr]

    assert [method.name for method in METHODS] == list(names)


def test_seeds_come_first_then_as_many_new_prompts_as_wanted(tmp_path: Path) -> None:
    prompts = expand(tmp_path, Teacher(eight_new))

    assert [p.text for p in prompts[:5]] == SEEDS
    assert [p.meta["origin"] for p in prompts] == ["seed"] * 5 + ["self_instruct"] * 20
    assert prompts[0].expected == "x"
    assert prompts[5].expected is None


def test_examples_are_shown_and_no_two_requests_are_the_same(tmp_path: Path) -> None:
    teacher = Teacher(lambda number, text: eight_new(number, text) if number % 3 else "")

    expand(tmp_path, teacher, count=80)

    shown = [request.messages[0].content for request in teacher.asked]
    assert all(sum(seed in text for seed in SEEDS) >= 3 for text in shown)
    assert not any("x0 " in text for text in shown[:10])
    assert any("x0 " in text for text in shown[10:])
    assert len({(request.messages, request.sample) for request in teacher.asked}) == len(teacher.asked)


def test_the_same_answers_give_the_same_prompts(tmp_path: Path) -> None:
    first, second = Teacher(eight_new), Teacher(eight_new)

    assert expand(tmp_path, first, count=50) == expand(tmp_path, second, count=50)
    assert first.asked == second.asked
    assert [r.messages for r in first.asked] != [r.messages for r in _asked(tmp_path, seed=1)]


def _asked(folder: Path, seed: int) -> list[Request]:
    teacher = Teacher(eight_new)
    expand(folder, teacher, count=50, seed=seed)
    return teacher.asked


def test_what_is_like_something_kept_is_not_kept(tmp_path: Path) -> None:
    def say(number: int, text: str) -> str:
        return (
            f"1. Explain why the sky is green to a child of six.\n2. {new_prompt(number)}\n3. {new_prompt(number)} Yes."
        )

    prompts = [p.text for p in expand(tmp_path, Teacher(say), count=6)]

    assert prompts[5:] == [new_prompt(n) for n in range(1, 7)]


def test_all_kept_prompts_are_unlike_each_other(tmp_path: Path) -> None:
    def say(number: int, text: str) -> str:
        return "\n".join(f"{at}. {' '.join(f'v{(number * at * k) % 23}' for k in range(1, 9))}." for at in range(1, 9))

    texts = [words(p.text) for p in expand(tmp_path, Teacher(say), count=12)]

    assert max(rouge_l(a, b) for at, a in enumerate(texts) for b in texts[:at]) < 0.7


def test_a_teacher_with_nothing_new_to_say_ends_it(tmp_path: Path) -> None:
    teacher = Teacher(lambda number, text: f"1. {SEEDS[0]}")

    with pytest.raises(InputError, match=r"got 0 new prompts of 20, then 3 rounds without one; lower count"):
        expand(tmp_path, teacher)


def test_expanding_needs_a_teacher_and_seeds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="need a teacher"):
        expand(tmp_path, None)
    with pytest.raises(InputError, match="holds no seeds"):
        expand(tmp_path, Teacher(eight_new), seeds=())


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        ("1. One thing\n2. Two\n   more\n3) Three", ["One thing", "Two\n   more", "Three"]),
        ("Sure! Here they are:\n\n**1.** Bold one\n2. **Starred**", ["Bold one", "Starred"]),
        ("No list at all. In 2024. Yes", []),
        ("", []),
    ],
)
def test_numbered_lists_are_read(answer: str, items: list[str]) -> None:
    assert numbered_items(answer) == items


@given(st.lists(st.from_regex(r"[A-Z][a-z ]{0,20}[a-z]", fullmatch=True), max_size=8))
def test_a_list_is_read_back(items: list[str]) -> None:
    assert numbered_items("\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))) == items


def test_items_that_are_no_prompts_are_left_out() -> None:
    pool = Pool(["Draw a map of the town in words."], 0.7)
    answer = (
        "1. Describe the picture below.\n2. -> do it now\n3. Draw a map of your home.\n4. Say hello.\n5. This was cut o"
    )

    assert [e.text for e in SELF_INSTRUCT.read(answer, Question(request_for("?", 0)), pool)] == [
        "Draw a map of your home.",
        "Say hello.",
    ]


def test_the_pool_admits_neither_fragments_nor_essays() -> None:
    pool = Pool(SEEDS, 0.7)

    assert not pool.admits(entry("Say hello"))
    assert not pool.admits(entry(" ".join(f"word{n}" for n in range(151))))
    assert pool.admits(entry(" ".join(f"word{n}" for n in range(150))))


@given(
    st.lists(st.sampled_from("abcdef"), min_size=3, max_size=8),
    st.lists(st.sampled_from("abcdef"), min_size=3, max_size=8),
)
def test_the_pools_short_cut_never_changes_its_verdict(left: list[str], right: list[str]) -> None:
    pool = Pool([" ".join(left)], 0.7)

    assert pool.admits(entry(" ".join(right))) == (rouge_l(left, right) < 0.7)


def test_evolution_starts_from_a_prompt_and_goes_at_most_four_steps(tmp_path: Path) -> None:
    teacher = Teacher(lambda number, text: new_prompt(number))

    prompts = expand(tmp_path, teacher, method="evolve", count=60)

    assert [p.meta["origin"] for p in prompts[5:]] == ["evolve"] * 60
    assert {p.meta["depth"] for p in prompts[5:]} <= {1, 2, 3, 4}
    assert {p.meta["depth"] for p in prompts[5:]} > {1, 2}
    starts = [*SEEDS, *(p.text for p in prompts[5:])]
    assert all(any(start in request.messages[0].content for start in starts) for request in teacher.asked)


def foreseen(folder: Path, answered: Callable[[Request], str | None], **section: Any):
    source = {"kind": "expand", "seeds": seeds_in(folder), "count": 20} | section
    return foresee(ExpandPrompts.model_validate(source), answered)


@pytest.mark.parametrize(("method", "requests"), [("self_instruct", 3), ("evolve", 20)])
def test_before_anything_was_asked_the_seeds_and_the_number_of_the_others_are_foreseen(
    tmp_path: Path, method: str, requests: int
) -> None:
    found = foreseen(tmp_path, lambda request: None, method=method)

    assert [p.text for p in found.prompts[:5]] == SEEDS
    assert len({p.id for p in found.prompts}) == 25
    assert [len(p.text) for p in found.prompts[5:10]] == [len(seed) for seed in SEEDS]
    assert len(found.requests) == requests


@pytest.mark.parametrize("method", ["self_instruct", "evolve"])
@pytest.mark.parametrize("answers", [0, 1, 2, 7, 1000])
def test_what_was_answered_is_gone_through_as_expanding_does(tmp_path: Path, method: str, answers: int) -> None:
    teacher = Teacher(eight_new if method == "self_instruct" else lambda number, text: new_prompt(number))
    prompts = expand(tmp_path, teacher, method=method)
    known = {(one.messages, one.sample): teacher.say(n, "") for n, one in enumerate(teacher.asked[:answers], 1)}

    found = foreseen(tmp_path, lambda request: known.get((request.messages, request.sample)), method=method)

    real = [p for p in found.prompts if p in prompts]
    assert real == prompts[: len(real)]
    assert len(real) == 5 + min(20, answers * (8 if method == "self_instruct" else 1))
    assert len(found.prompts) == len(prompts)
    assert found.requests[: len(known)] == teacher.asked[: len(known)]
    assert len(found.requests) == len(teacher.asked)


PARENT = entry("List three ways to cook an egg without oil.")


@pytest.mark.parametrize(
    "answer",
    [
        "List three ways to cook an egg without any oil.",
        "I'm sorry, but I can't help with that request about eggs and such.",
        "The rewritten prompt asks for five ways to poach eggs in stock.",
        "As in the prompt above, list three ways and explain the chemistry of each.",
        "...",
        "",
    ],
)
def test_a_failed_evolution_is_left_out(answer: str) -> None:
    assert EVOLVE.read(answer, question(PARENT), Pool([PARENT.text], 0.7)) == []


@pytest.mark.parametrize(
    "answer",
    [
        "List three ways to cook an egg without oil, and rank them by cleaning time.",
        "Rewritten Prompt:\nList three ways to cook an egg without oil, and rank them by cleaning time.",
        "#Rewritten Prompt#: List three ways to cook an egg without oil, and rank them by cleaning time.",
        "---\nList three ways to cook an egg without oil, and rank them by cleaning time.\n---",
    ],
)
def test_an_evolution_that_adds_to_its_parent_is_kept_without_its_label(answer: str) -> None:
    (evolved,) = EVOLVE.read(answer, question(PARENT), Pool([PARENT.text], 0.7))

    assert evolved.text == "List three ways to cook an egg without oil, and rank them by cleaning time."
    assert evolved.depth == 1


def test_what_goes_into_depth_may_resemble_its_parent_and_what_goes_into_breadth_may_not() -> None:
    pool = Pool(SEEDS, 0.7)
    asked = [q for number in range(20) for q in EVOLVE.questions(pool, 9, 4, number, Random(number))]
    deep = [q for q in asked if "harder" in q.request.messages[0].content]
    child = entry(f"{SEEDS[0]} Add two sources.")

    assert 0 < len(deep) < len(asked)
    assert all((q.may_resemble is q.parent) == (q in deep) for q in asked)
    assert not pool.admits(child)
    assert pool.admits(child, but=pool.seeds[0])
