"""Prompts from files and datasets."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.prompts import SOURCES, load_prompts
from spiritsafe.distil.prompts.datasets_hub import load_with
from spiritsafe.distil.prompts.files import kind_of
from spiritsafe.distil.prompts.rows import prompt_of
from spiritsafe.distil.recipe import DatasetPrompts, FilePrompts, PromptSource
from spiritsafe.errors import InputError, MissingExtra
from spiritsafe.exchanges.record import Message


def load(path: Path, kind: str = "jsonl", **fields: Any) -> list[Prompt]:
    return list(load_prompts(FilePrompts.model_validate({"kind": kind, "path": path} | fields)))


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_every_section_of_the_recipe_has_a_reader() -> None:
    sections = PromptSource.__origin__.__args__  # type: ignore[attr-defined]

    assert [section for section, _ in SOURCES] == list(sections)


def test_jsonl_rows_become_prompts(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        '\ufeff{"prompt": "Two and two?", "answer": 4, "topic": "sums"}\n\n'
        '{"messages": [{"role": "system", "content": "Short."}, {"role": "user", "content": "Hi"}], "answer": null}\n',
    )

    first, second = load(path)

    assert (first.text, first.expected, dict(first.meta)) == ("Two and two?", "4", {"topic": "sums"})
    assert second.messages == (Message("system", "Short."), Message("user", "Hi"))
    assert second.expected is None


def test_fields_are_named_by_the_recipe(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", '{"question": "Why?", "solution": {"because": "é"}, "answer": "x"}\n')

    (only,) = load(path, prompt_field="question", answer_field="solution")

    assert (only.text, only.expected, dict(only.meta)) == ("Why?", '{"because": "é"}', {"answer": "x"})
    assert load(path, prompt_field="question", answer_field=None)[0].expected is None


def test_parts_that_are_not_text_are_kept(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    turn = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}
    path = written(tmp_path / "p.jsonl", json.dumps({"messages": [turn]}))

    assert load(path)[0].messages == (Message("user", "What is this?", (image,)),)


def test_equal_prompts_are_one(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", '{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "a", "answer": "later"}\n')

    assert [(p.text, p.expected) for p in load(path)] == [("a", None), ("b", None)]


def test_csv_rows_become_prompts_and_may_span_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", '\ufeffprompt,answer\r\n"a, ""b""\nc",1\r\nd,\r\n')

    assert [(p.text, p.expected) for p in load(path, "csv")] == [('a, "b"\nc', "1"), ("d", "")]


@pytest.mark.parametrize(("kind", "text"), [("jsonl", '{"prompt": "é"}\n'), ("csv", "prompt\né\n")])
def test_gzipped_files_are_read_as_they_are(tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / f"p.{kind}.gz"
    path.write_bytes(gzip.compress(text.encode()))

    assert [p.text for p in load(path, kind)] == ["é"]
    assert kind_of(path) == kind

    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged or cut off"):
        load(path, kind)


def test_parquet_rows_become_prompts(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = pyarrow.table(
        {
            "messages": [[{"role": "user", "content": f"q{n}"}] for n in range(3000)],
            "answer": list(range(3000)),
        }
    )
    parquet.write_table(table, tmp_path / "p.parquet")

    prompts = load(tmp_path / "p.parquet", "parquet")

    assert len(prompts) == 3000
    assert (prompts[2500].text, prompts[2500].expected) == ("q2500", "2500")


def test_a_parquet_row_without_a_prompt_is_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(pyarrow.table({"prompt": ["a", None]}), tmp_path / "p.parquet")

    with pytest.raises(InputError, match=r"p.parquet: row 2: got fields"):
        load(tmp_path / "p.parquet", "parquet")
    with pytest.raises(InputError, match="not Parquet"):
        load(written(tmp_path / "q.parquet", "no"), "parquet")


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("jsonl", '{"prompt": "a"}\n{"prompt": \n', r"p:2: got a line that is not JSON"),
        ("jsonl", "[1]\n", r"p:1: got \[1\], wanted a JSON object a line"),
        (
            "jsonl",
            '{"question": "a"}\n',
            r"p:1: got fields \['question'\], wanted 'messages' or 'prompt'; set prompt_field",
        ),
        ("jsonl", '{"prompt": 7}\n', r"p:1: field 'prompt' is 7, wanted text"),
        ("jsonl", '{"prompt": "  "}\n', r"p:1: field 'prompt' is '  ', wanted text"),
        ("jsonl", '{"messages": []}\n', r"p:1: messages is \[\], wanted a list"),
        ("jsonl", '{"messages": [{"role": "user"}]}\n', r"p:1: got message {'role': 'user'}"),
        ("jsonl", '{"messages": ["hi"]}\n', r"p:1: got message 'hi'"),
        (
            "jsonl",
            '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
            r"p:1: the last message has role 'assistant', wanted 'user'",
        ),
        ("csv", "question;answer\na;b\n", r"p:2: got fields \['question;answer'\]"),
        ("csv", "prompt,answer\na,b\nc\n", r"p:3: got a row of another length, wanted 2 fields"),
        ("csv", "prompt,answer\na,b,c\n", r"p:2: got a row of another length"),
        ("csv", 'prompt\n"a\n', r"p:\d: not CSV"),
    ],
)
def test_a_malformed_row_is_one_line_with_its_place(tmp_path: Path, kind: str, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load(written(tmp_path / "p", text), kind)

    assert "\n" not in str(caught.value)


def test_rows_before_a_malformed_one_are_given_first(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", '{"prompt": "a"}\nnonsense\n')
    prompts = load_prompts(FilePrompts(kind="jsonl", path=path))

    assert next(prompts).text == "a"
    with pytest.raises(InputError):
        next(prompts)


def test_text_that_is_not_utf8_and_missing_files_are_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"prompt\ncaf\xe9\n")

    with pytest.raises(InputError, match=r"latin.csv:2: not UTF-8"):
        load(tmp_path / "latin.csv", "csv")
    with pytest.raises(InputError, match=r"cannot read .*none.jsonl"):
        load(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"wanted one ending in .jsonl, .csv, .parquet"):
        kind_of(tmp_path / "a.txt")


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "messages"),
        st.none() | st.text(max_size=5) | st.integers(),
        max_size=4,
    ),
    st.text(max_size=9),
)
def test_any_row_gives_a_prompt_or_one_line(row: dict[str, Any], prompt: str) -> None:
    whole = row | {"prompt": prompt}

    if prompt.strip():
        assert prompt_of(whole, "f:1", "prompt", "answer").text == prompt
    else:
        with pytest.raises(InputError, match=r"^f:1: "):
            prompt_of(whole, "f:1", "prompt", "answer")


DATASET = DatasetPrompts(kind="datasets", name="me/mine", config="c", split="test", prompt_field="q")


def test_a_datasets_rows_become_prompts() -> None:
    seen: list[tuple[str, str | None, str]] = []

    def opener(name: str, config: str | None, split: str) -> list[dict[str, Any]]:
        seen.append((name, config, split))
        return [{"q": "a", "answer": "1"}, {"q": "b"}]

    assert [(p.text, p.expected) for p in load_with(opener, DATASET)] == [("a", "1"), ("b", None)]
    assert seen == [("me/mine", "c", "test")]


def test_a_dataset_that_cannot_be_opened_or_breaks_off_is_one_line() -> None:
    def unknown(name: str, config: str | None, split: str) -> list[dict[str, Any]]:
        raise FileNotFoundError("no such\ndataset")

    def breaking(name: str, config: str | None, split: str) -> Iterator[dict[str, Any]]:
        yield {"q": "a"}
        raise ConnectionError

    with pytest.raises(InputError, match=r"cannot read dataset 'me/mine' \(config c, split test\): no such dataset"):
        list(load_with(unknown, DATASET))
    with pytest.raises(InputError, match="ConnectionError"):
        list(load_with(breaking, DATASET))
    with pytest.raises(InputError, match=r"me/mine\[test\]: row 1: got fields"):
        list(load_with(lambda name, config, split: [{"x": 1}], DATASET))


def test_without_the_library_the_extra_is_named() -> None:
    try:
        import datasets  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"spiritsafe\[datasets\]"):
            list(load_prompts(DATASET))
    else:
        pytest.skip("the datasets library is installed")
