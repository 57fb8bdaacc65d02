"""Every curator keeps the promises of `checks.curator`, on rows that it has something to say about."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.checks.curator import PROMISES, Case, check_curator, example_row
from spiritsafe.checks.promise import BrokenPromise
from spiritsafe.distil.curator import Curator, Judged, NoSettings, Surroundings
from spiritsafe.distil.curators import CURATORS
from spiritsafe.distil.prompt import CollectedRow, make_prompt
from spiritsafe.exchanges.record import Message

SETTINGS: dict[str, dict[str, Any]] = {
    "length": {"min_words": 2, "max_chars": 40},
    "verifier": {"kind": "exact"},
    "near_duplicate": {"threshold": 0.5},
    "diversity": {"keep": 2},
}

PROMPTS = [
    "What is the capital of France?",
    "what is the capital of Spain",
    "Write a long sentence about the sea and the boats that cross it every single day of the year",
    "Write a long sentence about the sea and the boats that cross it every single night of the year",
    "?",
]
ANSWERS = [
    "Paris",
    "I'm sorry, but I can't help with that.",
    "",
    "Der Zug nach Hamburg fährt heute leider erst um acht Uhr abends ab.",
    "the boats cross the wide sea again and again and again",
    "the boats cross the wide sea again and again and again!",
    "The boats cross a wide sea again, and again, and again",
    "What is the capital of France? It is Paris.",
]

ROW = st.tuples(st.sampled_from(ANSWERS), st.sampled_from(["stop", "stop", "length", "content_filter"]))
GROUPS = st.lists(
    st.tuples(st.sampled_from(PROMPTS), st.lists(ROW, min_size=1, max_size=4)), max_size=5, unique_by=lambda g: g[0]
)
HELD_OUT = Surroundings(lambda: [make_prompt((Message("user", text),)) for text in PROMPTS[:3:2]])


def rows_of(groups: list[tuple[str, list[tuple[str, str]]]]) -> list[CollectedRow]:
    return [
        example_row(prompt, answer, expected="Paris", finish_reason=why, sample=sample)
        for prompt, samples in groups
        for sample, (answer, why) in enumerate(samples)
    ]


@pytest.mark.parametrize("curator", CURATORS.builtin, ids=lambda curator: curator.name)
@given(groups=GROUPS)
@settings(max_examples=40)
def test_every_curator_keeps_its_promises(
    curator: Curator[Any], groups: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    chosen = curator.settings.model_validate(SETTINGS.get(curator.name, {}))

    check_curator(Case(curator, chosen, rows_of(groups), HELD_OUT))


@pytest.mark.parametrize("curator", CURATORS.builtin, ids=lambda curator: curator.name)
def test_every_curator_has_something_to_cut_in_these_rows(curator: Curator[Any]) -> None:
    chosen = curator.settings.model_validate(SETTINGS.get(curator.name, {}))
    samples = [(answer, why) for answer in ANSWERS for why in ("stop", "length")]
    case = Case(curator, chosen, rows_of([(prompt, samples) for prompt in PROMPTS]), HELD_OUT)

    assert 0 < len(case.kept(case.rows)) < len(case.rows)
    check_curator(case)


def test_every_curator_says_what_it_cuts() -> None:
    assert all(curator.says for curator in CURATORS)
    assert len({curator.name for curator in CURATORS}) == len(list(CURATORS))


def _every_other(rows: Iterable[CollectedRow], settings: NoSettings, around: Surroundings) -> Iterator[Judged]:
    for number, row in enumerate(rows):
        yield row, "odd" if number % 2 else None


def _rewriting(rows: Iterable[CollectedRow], settings: NoSettings, around: Surroundings) -> Iterator[Judged]:
    for row in rows:
        yield CollectedRow(row.prompt, replace(row.exchange, answer=row.exchange.answer.strip())), None


def _blank(rows: Iterable[CollectedRow], settings: NoSettings, around: Surroundings) -> Iterator[Judged]:
    for row in rows:
        yield row, ""


def _inventing(rows: Iterable[CollectedRow], settings: NoSettings, around: Surroundings) -> Iterator[Judged]:
    yield from ((row, None) for row in rows)
    yield example_row("made", "up"), "made up"


def _first_only(rows: Iterable[CollectedRow], settings: NoSettings, around: Surroundings) -> Iterator[Judged]:
    for number, row in enumerate(rows):
        yield row, "later" if number else None


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (_every_other, "cuts nothing from what it kept"),
        (_rewriting, "unchanged"),
        (_blank, "a short line as a reason"),
        (_inventing, "unchanged"),
        (_first_only, "in any order"),
    ],
)
def test_the_checks_catch_a_curator_that_breaks_one(cut: Any, says: str) -> None:
    rows = [example_row(f"p{n}", f" answer {n}") for n in range(4)]

    with pytest.raises(BrokenPromise, match=says):
        check_curator(Case(Curator("bad", "bad", NoSettings, cut), NoSettings(), rows))


def test_the_checks_catch_a_curator_that_makes_rows_of_none() -> None:
    case = Case(Curator("bad", "bad", NoSettings, _inventing), NoSettings(), [])

    caught = [promise for promise in PROMISES if _breaks(promise, case)]

    assert [promise.__name__ for promise in caught] == [
        "gives_back_every_row_in_order_unchanged",
        "cuts_nothing_from_what_it_kept",
        "takes_an_empty_stream",
    ]


def _breaks(promise: Any, case: Case) -> bool:
    try:
        promise(case)
    except BrokenPromise:
        return True
    return False
