"""What is fuzzed holds for what fuzzing begins with, and for a little noise; `make fuzz` goes on from there."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from fuzz import TARGETS, parts, seed
from fuzz.run import dictionary
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.gateway.wires import interpreted

WITH_STAND_INS = ("requests", "answers")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=interpreted) if name in WITH_STAND_INS else name for name in TARGETS],
)
def target(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"fuzz.{request.param}")


def test_a_target_holds_for_its_seeds_and_for_each_half_of_them(target: ModuleType) -> None:
    for data in target.SEEDS:
        target.check(data)
        target.check(data[: len(data) // 2])


@given(noise=st.data())
@settings(max_examples=40)
def test_a_target_holds_for_a_seed_with_a_word_put_in(target: ModuleType, noise: st.DataObject) -> None:
    data = noise.draw(st.sampled_from(target.SEEDS))
    at = noise.draw(st.integers(0, len(data)))
    gone = noise.draw(st.integers(0, 20))
    target.check(data[:at] + noise.draw(st.sampled_from(target.WORDS)) + data[at + gone :])


@given(st.integers(0, 255), st.lists(st.integers(0, 65_535), max_size=7), st.binary(max_size=20))
def test_a_seed_is_taken_apart_as_it_was_put_together(choice: int, cuts: list[int], data: bytes) -> None:
    assert parts(seed(choice, cuts, data)) == (choice, cuts, data)


def test_words_are_written_as_the_fuzzer_reads_them() -> None:
    assert dictionary((b"a\n", b'"')) == '"\\x61\\x0a"\n"\\x22"\n'
