"""Prompts from templates and records."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil.prompt import Prompt
from spiritsafe.distil.prompts import load_prompts
from spiritsafe.distil.prompts.draws import draws, permuted
from spiritsafe.distil.prompts.template import parse_template
from spiritsafe.distil.recipe import TemplatePrompts
from spiritsafe.errors import InputError

LISTS = {"name": ["Ada", "Bo", "Cy"], "city": ["Oslo", "Rome"]}


def load(**section: Any) -> list[Prompt]:
    return list(load_prompts(TemplatePrompts.model_validate({"kind": "template"} | section)))


def test_word_lists_fill_templates_and_answers() -> None:
    prompts = load(
        templates=["I am {name} from {city}."],
        fields=LISTS,
        draw=6,
        answer={"name": "{name}", "where": "city of {city}"},
    )

    assert {p.text for p in prompts} == {f"I am {n} from {c}." for n in LISTS["name"] for c in LISTS["city"]}
    for prompt in prompts:
        name, city = prompt.meta["name"], prompt.meta["city"]
        assert prompt.expected == f'{{"name": "{name}", "where": "city of {city}"}}'


def test_a_text_answer_is_filled_too() -> None:
    assert {p.expected for p in load(templates=["Where? {city}"], fields=LISTS, draw=2, answer="In {city}")} == {
        "In Oslo",
        "In Rome",
    }


def test_quotes_and_accents_in_a_record_stay_right_json(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    records.write_text(json.dumps({"name": 'A "é" \\ B', "n": 3, "ok": True}) + "\n")

    (only,) = load(templates=["{name}"], records=records, answer={"name": "{name}", "n": "{n}", "ok": "{ok}"})

    assert json.loads(only.expected or "") == {"name": 'A "é" \\ B', "n": "3", "ok": "true"}
    assert "é" in (only.expected or "")


def test_records_come_from_csv_as_well(tmp_path: Path) -> None:
    records = tmp_path / "r.csv"
    records.write_text("name,city\nAda,Oslo\nBo,Rome\n")

    prompts = load(templates=["{name} lives in {city}"], records=records)

    assert [p.text for p in prompts] == ["Ada lives in Oslo", "Bo lives in Rome"]
    assert prompts[0].expected is None


def test_doubled_braces_are_text() -> None:
    assert [p.text for p in load(templates=['Fill {{"city": "{city}"}}'], fields={"city": ["Oslo"]}, draw=1)] == [
        'Fill {"city": "Oslo"}'
    ]


def test_every_template_is_used_and_the_seed_decides_which() -> None:
    lists = {"n": [str(n) for n in range(300)]}
    section = {"templates": ["one {n}", "two {n}", "three {n}"], "fields": lists, "draw": 300}

    counts = Counter(p.text.split()[0] for p in load(**section))

    assert min(counts.values()) > 60
    assert [p.id for p in load(**section)] == [p.id for p in load(**section)]
    assert [p.id for p in load(**section)] != [p.id for p in load(**section, seed=1)]


def test_a_longer_run_begins_with_the_shorter_one() -> None:
    section = {"templates": ["{a} {b}", "{b}: {a}"], "fields": {"a": list("abcdefgh"), "b": list("stuvwxyz")}}

    assert [p.id for p in load(**section, draw=50)][:20] == [p.id for p in load(**section, draw=20)]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (
            {"templates": ["I am {nam}."], "fields": LISTS, "draw": 100},
            r"template 'I am {nam}.' needs field 'nam', which is not in the word lists \(there are: city, name\)",
        ),
        (
            {"templates": ["I am {name"], "fields": LISTS, "draw": 1},
            r"template 'I am {name': .*braces in the text as {{ }}",
        ),
        ({"templates": ["I am name}"], "fields": LISTS, "draw": 1}, "Single '}'"),
        ({"templates": ["{}"], "fields": LISTS, "draw": 1}, "not a plain field"),
        ({"templates": ["{name!r}"], "fields": LISTS, "draw": 1}, "not a plain field"),
        ({"templates": ['{"name": "{name}"}'], "fields": LISTS, "draw": 1}, "braces in the text as {{ }}"),
        ({"templates": ["{name}"], "fields": LISTS, "draw": 4}, r"draw = 4, wanted at most 3, .*name \(3\)"),
        ({"templates": ["{name}"], "fields": {"name": []}, "draw": 1}, "wanted at most 0"),
        ({"templates": ["{name}"], "fields": LISTS, "draw": 1, "answer": {"x": "{who}"}}, "needs field 'who'"),
    ],
)
def test_a_template_that_cannot_be_filled_is_one_line(section: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load(**section)

    assert "\n" not in str(caught.value)


def test_a_record_without_the_field_is_named(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    records.write_text('{"name": "Ada", "city": "Oslo"}\n{"name": "Bo", "city": null}\n')

    with pytest.raises(InputError, match=r"needs field 'city', which is not in .*r.jsonl:2 \(there are: city, name\)"):
        load(templates=["{name} in {city}"], records=records)


@given(st.text("ab{}", max_size=12))
def test_doubling_the_braces_of_any_text_gives_the_text(text: str) -> None:
    template = parse_template(text.replace("{", "{{").replace("}", "}}"))

    assert template.fields == frozenset()
    assert template.fill({}, "here") == text


@given(st.integers(1, 400), st.integers(-5, 5))
def test_a_permutation_sends_every_number_to_another(size: int, seed: int) -> None:
    assert sorted(permuted(index, size, seed) for index in range(size)) == list(range(size))


@given(st.lists(st.lists(st.text(max_size=3), min_size=1, max_size=4), min_size=1, max_size=3), st.integers(0, 99))
def test_draws_never_repeat_and_exhaust_the_combinations(lists: list[list[str]], seed: int) -> None:
    named = {str(at): words for at, words in enumerate(lists)}
    total = 1
    for words in lists:
        total *= len(set(words))

    drawn = [tuple(record.items()) for record in draws(named, total, seed)]

    assert len(set(drawn)) == total
    with pytest.raises(InputError):
        next(draws(named, total + 1, seed))


def test_draws_spread_over_each_list_as_chance_would() -> None:
    counts = Counter(record["a"] for record in draws({"a": list("abcd"), "b": [str(n) for n in range(10**4)]}, 2000, 0))

    # Four equally likely words: chi-square with 3 degrees of freedom is above 16.3 once in a thousand seeds.
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 16.3


def test_draws_from_more_combinations_than_could_be_listed() -> None:
    lists = {str(n): [str(word) for word in range(50)] for n in range(20)}

    assert len({tuple(record.values()) for record in draws(lists, 100, 0)}) == 100
