"""Prompts without repeats, and split into training and held-out ones."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.prompts import distinct, split_held_out
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message


def prompts(count: int, start: int = 0) -> list[Prompt]:
    return [make_prompt((Message("user", f"prompt {n}"),)) for n in range(start, start + count)]


def split(of: list[Prompt], count: int, seed: int = 0) -> tuple[list[Prompt], list[Prompt]]:
    parts = split_held_out(iter(of), count, seed)
    training = list(parts)
    return training, parts.held_out


def test_the_first_of_equals_stays() -> None:
    first = make_prompt((Message("user", "a"),), "1")
    second = make_prompt((Message("user", "a"),), "2")

    assert list(distinct([first, *prompts(2), second])) == [first, *prompts(2)]
    assert list(distinct([first, *prompts(2)], without=[second.id])) == prompts(2)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_split_is_complete_disjoint_and_free_of_order(
    held: int, training: int, seed: int, shuffle: random.Random
) -> None:
    every = prompts(held + training)
    kept, out = split(every, held, seed)
    shuffled = list(every)
    shuffle.shuffle(shuffled)

    assert len(out) == held
    assert {p.id for p in kept}.isdisjoint(p.id for p in out)
    assert sorted(p.id for p in kept + out) == sorted(p.id for p in every)
    assert split(shuffled, held, seed)[1] == out


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 5))
def test_no_held_out_prompt_is_trained_on_even_where_prompts_repeat(numbers: list[int], count: int) -> None:
    pool = prompts(13)
    try:
        kept, out = split([pool[n] for n in numbers], count)
    except InputError:
        assert len(set(numbers)) <= count
    else:
        assert {p.id for p in kept}.isdisjoint(p.id for p in out)
        assert {p.id for p in kept} | {p.id for p in out} == {pool[n].id for n in numbers}


@given(st.integers(1, 30), st.integers(1, 10))
def test_more_prompts_move_at_most_as_many_held_out_ones(extra: int, count: int) -> None:
    before = {p.id for p in split(prompts(50), count)[1]}
    after = {p.id for p in split(prompts(50 + extra), count)[1]}

    assert len(before - after) <= extra
    assert after - before <= {p.id for p in prompts(extra, start=50)}


def test_another_seed_holds_out_others() -> None:
    assert split(prompts(200), 20, seed=0)[1] != split(prompts(200), 20, seed=1)[1]


def test_training_prompts_stream() -> None:
    endless = iter(make_prompt((Message("user", str(n)),)) for n in range(10**9))
    parts = iter(split_held_out(endless, 5, 0))

    assert len({next(parts).id for _ in range(100)}) == 100


def test_too_few_prompts_and_reading_too_early_are_errors() -> None:
    with pytest.raises(InputError, match="got 3 different prompts, wanted 3 to hold out and more"):
        split(prompts(3), 3)
    with pytest.raises(InputError, match="got 0 different prompts"):
        split([], 0)
    parts = split_held_out(prompts(9), 3, 0)
    with pytest.raises(RuntimeError, match="after all training prompts"):
        _ = parts.held_out


def test_a_split_can_be_read_again() -> None:
    parts = split_held_out(prompts(9), 3, 0)
    first = (list(parts), parts.held_out)

    assert (list(parts), parts.held_out) == first


def test_remembering_what_came_before_takes_little_memory() -> None:
    many = iter(distinct(make_prompt((Message("user", str(n)),)) for n in range(30_000)))
    next(many)
    tracemalloc.start()
    try:
        count = sum(1 for _ in many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 29_999
    assert 40 < peak / count < 150
