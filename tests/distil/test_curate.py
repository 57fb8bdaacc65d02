"""The curate stage: from collected lines to curated ones, with every cut counted."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from spiritsafe.checks.curator import example_row
from spiritsafe.distil.curate import DEFAULT_CHAIN, chain_of, curate, run_chain
from spiritsafe.distil.curator import Surroundings
from spiritsafe.distil.prompt import CollectedRow, make_prompt, prompt_to_json, row_to_json
from spiritsafe.distil.recipe import Cut, Recipe, parse
from spiritsafe.distil.run import RunFolder, read_lines, write_lines
from spiritsafe.errors import InputError, StoreError
from spiritsafe.exchanges.record import Message

RAW: dict[str, Any] = {
    "name": "small",
    "teacher": {"endpoint": "openai", "model": "m"},
    "student": {"model": "s"},
    "prompts": {"kind": "jsonl", "path": "p.jsonl"},
    "evaluate": {"held_out": 1, "verifier": {"kind": "exact"}},
}
HELD_OUT = "Name the largest of the planets, please"


def recipe(*cuts: dict[str, Any]) -> Recipe:
    return parse(RAW | {"curate": list(cuts)}, Path("r.toml"))


ROWS = [
    example_row("Name a river", "The Elbe", expected="The Elbe"),
    example_row("Name a river", "The Elbe", sample=1),
    example_row("Name a hill", "The Harz is", finish_reason="length"),
    example_row("Name a lake", "I'm sorry, but I can't help with that."),
    example_row("Name a town", " "),
    example_row(HELD_OUT.lower(), "Jupiter"),
    example_row("Name a sea", "The Baltic"),
]


def folder(tmp_path: Path, rows: list[CollectedRow]) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    write_lines(run.collected, (row_to_json(row) for row in rows))
    write_lines(run.held_out, [prompt_to_json(make_prompt((Message("user", HELD_OUT),)))])
    return run


def test_the_default_chain_cuts_what_nobody_wants_to_train_on(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)

    summary = curate(run, recipe())

    assert summary.came == 7
    assert summary.kept == 2
    assert [(cut.curator, cut.came, cut.kept, dict(cut.reasons)) for cut in summary.cuts] == [
        ("truncated", 7, 6, {"truncated": 1}),
        ("refusal", 6, 5, {"refusal: i cannot": 1}),
        ("empty", 5, 4, {"empty": 1}),
        ("exact_duplicate", 4, 3, {"exact duplicate: both": 1}),
        ("contamination", 3, 2, {"contamination: equals an item": 1}),
    ]


def test_kept_lines_are_the_collected_lines_and_dropped_ones_say_why(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)
    collected = run.collected.read_bytes().splitlines()

    curate(run, recipe())

    assert run.curated.read_bytes().splitlines() == [collected[0], collected[6]]
    dropped = {line["id"]: line for line in read_lines(run.dropped)}
    assert set(dropped) == {row.exchange.id for row in ROWS} - {ROWS[0].exchange.id, ROWS[6].exchange.id}
    assert dropped[ROWS[2].exchange.id] == {
        "id": ROWS[2].exchange.id,
        "prompt_id": ROWS[2].prompt.id,
        "curator": "truncated",
        "reason": "truncated",
    }


def test_the_dataset_holds_bare_prompts_and_answers(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)

    curate(run, recipe())

    first, *_ = read_lines(run.dataset / "train.jsonl")
    assert first == {
        "messages": [{"role": "user", "content": "Name a river"}, {"role": "assistant", "content": "The Elbe"}]
    }


def test_the_summary_is_stored_with_the_stage(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)
    chosen = recipe({"curator": "length", "settings": {"max_words": 2}}, {"curator": "truncated"})

    summary = curate(run, chosen)
    stored = run.read_summary("curate")

    assert run.is_current("curate", chosen)
    assert stored["in"] == 7
    assert stored["kept"] == summary.kept
    assert stored["cuts"][0] == {
        "curator": "length",
        "settings": {"max_words": 2},
        "in": 7,
        "kept": 5,
        "reasons": {"length: over 2 words": 2},
    }


def test_a_curated_run_curated_again_gives_the_same_bytes(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)
    curate(run, recipe())
    first = [path.read_bytes() for path in (run.curated, run.dropped, run.summary("curate"))]

    curate(run, recipe())

    assert [path.read_bytes() for path in (run.curated, run.dropped, run.summary("curate"))] == first


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        ({"curator": "dedupe"}, "unknown curator 'dedupe'; known: truncated"),
        (
            {"curator": "length", "settings": {"max_wrods": 3}},
            r"settings of 'length': unknown field 'max_wrods'.*max_words",
        ),
        ({"curator": "length"}, "at least one bound"),
        ({"curator": "verifier"}, "field 'kind' is missing"),
        ({"curator": "near_duplicate", "settings": {"threshold": 2}}, "field 'threshold': got 2"),
    ],
)
def test_a_bad_chain_is_one_line_before_anything_is_read(cut: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        chain_of(recipe(cut).curate)

    assert "\n" not in str(caught.value)


def test_a_missing_or_damaged_collection_leaves_earlier_results_alone(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)
    curate(run, recipe())
    before = run.curated.read_bytes()
    run.collected.write_bytes(run.collected.read_bytes() + b'{"v": 1}\n')

    with pytest.raises(InputError):
        curate(run, recipe())
    run.collected.unlink()
    with pytest.raises(InputError, match="cannot read"):
        curate(run, recipe())

    assert run.curated.read_bytes() == before
    assert not list(run.root.rglob("*.part"))


def test_a_place_that_takes_no_file_is_a_store_error(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)
    run.dataset.write_text("a file where a folder is wanted")

    with pytest.raises(StoreError, match="cannot write"):
        curate(run, recipe())


def test_the_chain_streams_and_keeps_its_order() -> None:
    rows = (example_row(f"p{n}", f"answer {n}") for n in range(10**9))
    passing, summaries = run_chain(rows, chain_of(DEFAULT_CHAIN), Surroundings(), lambda row, name, why: None)

    first = [next(passing).prompt.text for _ in range(3)]

    assert first == ["p0", "p1", "p2"]
    assert summaries[-1].came == 3


def test_the_order_of_the_chain_decides_who_cuts() -> None:
    row = example_row("p", "", finish_reason="length")
    said: list[str] = []
    for names in (("truncated", "empty"), ("empty", "truncated")):
        chain = chain_of(tuple(Cut(curator=name) for name in names))
        passing, _ = run_chain([row], chain, Surroundings(), lambda row, name, why: said.append(name))
        assert list(passing) == []

    assert said == ["truncated", "empty"]


def test_a_stored_line_has_its_prompt(tmp_path: Path) -> None:
    run = folder(tmp_path, ROWS)
    curate(run, recipe())

    line = orjson.loads(run.curated.read_bytes().splitlines()[0])

    assert line["prompt"] == prompt_to_json(ROWS[0].prompt)
    assert line["prompt"]["expected"] == "The Elbe"
