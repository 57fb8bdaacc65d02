"""Whether an answer is right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distil import json_answers
from spiritsafe.distil.prompt import Prompt, make_prompt
from spiritsafe.distil.recipe import Verifier
from spiritsafe.distil.verify import KINDS, Judgement, verifier_for
from spiritsafe.errors import InputError
from spiritsafe.exchanges.record import Message


def prompt(expected: str | None = None, text: str = "What is it?") -> Prompt:
    return make_prompt((Message("user", text),), expected)


def judge(answer: str, expected: str | None = None, text: str = "What is it?", **section: Any) -> Judgement:
    return verifier_for(Verifier.model_validate(section))(prompt(expected, text), answer)


def test_every_kind_of_the_recipe_has_a_check() -> None:
    kinds = Verifier.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]

    assert [name for name, _ in KINDS] == list(kinds)


def test_exact_compares_trimmed_text() -> None:
    assert judge(" billing\n", "billing", kind="exact").right is True
    assert judge("Billing", "billing", kind="exact") == Judgement(False, "exact: differs")
    assert judge("BILLING", "billing", kind="exact", ignore_case=True).right is True


@pytest.mark.parametrize("kind", ["exact", "numeric"])
def test_without_a_known_answer_there_is_no_judgement(kind: str) -> None:
    assert judge("4", kind=kind) == Judgement(None, "no known answer")
    assert judge("4", "5", kind=kind, use_expected=False).right is None


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("So she pays $1,234.50.", "1234.5", True),
        ("5 + 6 = 11\n#### 11", "Long reasoning with 7 steps.\n#### 11", True),
        ("3/4", "0.75", True),
        ("12%", "12", True),
        ("-3", "3", False),
        ("1000000.5", "1000000", True),
        ("1000002", "1000000", False),
    ],
)
def test_numeric_compares_the_last_number(answer: str, expected: str, right: bool) -> None:
    assert judge(answer, expected, kind="numeric").right is right


def test_numeric_says_when_there_is_no_number() -> None:
    assert judge("four", "4", kind="numeric") == Judgement(False, "numeric: no number")
    with pytest.raises(InputError, match=r"known answer 'four', wanted a number"):
        judge("4", "four", kind="numeric")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"b": [1, 2.0], "a": " x "}', ""),
        ('```json\n{"a": "x", "b": [1, 2]}\n```', ""),
        ('Here you are:\n```json\n{"a": "x", "b": [1, 2]}\n```', "json: not JSON"),
        ('{"a": "x", "b": [1, 2]} done', "json: not JSON"),
        ('{"a": "X", "b": [1, 2]}', "json: a differs"),
        ('{"a": "x", "b": [1, 3]}', "json: b[] differs"),
        ('{"a": "x", "b": [1]}', "json: b has another length"),
        ('{"a": "x"}', "json: b missing"),
        ('{"a": "x", "b": [1, 2], "c": 0}', "json: extra field in value"),
        ('{"a": "x", "b": [true, 2]}', "json: b[] differs"),
        ('{"a": null, "b": [1, 2]}', "json: a differs"),
        ("[]", "json: value differs"),
        ('{"a": "x", "b": [1, NaN]}', "json: not JSON"),
        ('{"a": "x", "b": [1, 1e999]}', "json: not JSON"),
        ("[" * 100_000, "json: not JSON"),
        ("", "json: not JSON"),
    ],
)
def test_json_says_where_the_answer_differs(answer: str, reason: str) -> None:
    said = judge(answer, '{"a": "x", "b": [1, 2]}', kind="json")

    assert said == (Judgement(False, reason) if reason else Judgement(True))


def test_json_strings_may_ignore_case() -> None:
    assert judge('{"a": "PARIS"}', '{"a": "Paris"}', kind="json", ignore_case=True).right is True


def test_json_needs_a_known_answer_that_is_json() -> None:
    with pytest.raises(InputError, match=r"known answer 'Paris', wanted JSON"):
        judge("{}", "Paris", kind="json")
    assert judge("{}", "Paris", kind="json", use_expected=False).right is True


SCHEMA = {
    "type": "object",
    "properties": {
        "price": {"type": "number"},
        "mood": {"enum": ["good", "bad"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["price"],
}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"price": 3}', ""),
        ('{"price": "3"}', "json: price fails type"),
        ('{"price": 3, "tags": ["a", 1]}', "json: tags[] fails type"),
        ("{}", "json: value fails required"),
        ('{"price": 3, "mood": "so so"}', "json: mood fails enum"),
    ],
)
def test_json_schema_says_which_keyword_is_broken_where(answer: str, reason: str) -> None:
    assert judge(answer, kind="json", json_schema=SCHEMA).reason == reason


def test_a_schema_that_is_none_or_points_elsewhere_is_said_plainly() -> None:
    with pytest.raises(InputError, match="is not a JSON Schema"):
        verifier_for(Verifier(kind="json", json_schema={"type": "nonsense"}))
    with pytest.raises(InputError, match="leads nowhere"):
        judge("{}", kind="json", json_schema={"$ref": "https://example.com/schema.json"})


TEXT = "My name is  Anna\nKarenina and I paid 12 euros in Saint Petersburg."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"name": "Anna Karenina", "price": 13}', ""),
        ('{"name": "Anna", "city": "Saint Petersburg"}', ""),
        ('{"name": "anna"}', "json: name not in the prompt"),
        ('{"name": "Anna", "cities": ["Saint Petersburg", "Moscow"]}', "json: cities[] not in the prompt"),
    ],
)
def test_grounded_strings_occur_in_the_prompt(answer: str, reason: str) -> None:
    assert judge(answer, text=TEXT, kind="json", grounded=True).reason == reason


def test_grounding_may_ignore_case_and_leaves_labels_alone() -> None:
    assert judge('{"name": "ANNA"}', text=TEXT, kind="json", grounded=True, ignore_case=True).right is True
    labelled = judge('{"price": 1, "mood": "good"}', text=TEXT, kind="json", grounded=True, json_schema=SCHEMA)
    assert labelled.right is True


def test_regex_searches() -> None:
    assert judge("It is 42.", kind="regex", pattern=r"\b42\b").right is True
    assert judge("It is 421.", kind="regex", pattern=r"\b42\b") == Judgement(False, "regex: no match")
    assert judge("YES", kind="regex", pattern="yes", ignore_case=True).right is True


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"kind": "regex"}, "no pattern"),
        ({"kind": "regex", "pattern": "("}, "is not a regular expression"),
        ({"kind": "function"}, "wanted 'package.module:name'"),
        ({"kind": "function", "function": "os.path"}, "wanted 'package.module:name'"),
        ({"kind": "function", "function": "no_such_module_here:f"}, "cannot be imported"),
        ({"kind": "function", "function": "os:no_such_name"}, "cannot be imported"),
        ({"kind": "function", "function": "os:sep"}, "wanted a function"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_before_the_first_answer(section: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        verifier_for(Verifier.model_validate(section))

    assert "\n" not in str(caught.value)


MINE = """
from spiritsafe.distil.verify import Judgement

def has_expected(prompt, answer, expected):
    return expected in answer

def undecided(prompt, answer, expected):
    return None

def detailed(prompt, answer, expected):
    return Judgement(False, "mine: " + prompt.text)

def broken(prompt, answer, expected):
    raise KeyError("secret")
"""


def test_a_users_function_decides_and_its_errors_end_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_checks.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)  # the import path, as PYTHONPATH would set it

    def said(name: str, answer: str) -> Judgement:
        return judge(answer, "42", kind="function", function=f"my_checks:{name}")

    assert said("has_expected", "It is 42") == Judgement(True)
    assert said("has_expected", "It is 41") == Judgement(False, "function: wrong")
    assert said("undecided", "x").right is None
    assert said("detailed", "x") == Judgement(False, "mine: What is it?")
    assert said("broken", "x") == Judgement(False, "function: raised KeyError")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_every_json_value_is_right_where_it_is_the_known_answer(value: Any) -> None:
    text = json.dumps(value)

    assert judge(text, text, kind="json").right is True
    assert judge(f"```json\n{text}\n```", json.dumps(value, indent=2), kind="json").right is True


@given(JSON, JSON)
def test_a_difference_is_seen_from_both_sides(left: Any, right: Any) -> None:
    there = json_answers.difference(left, right, 0, False)
    back = json_answers.difference(right, left, 0, False)

    assert (there is None) == (back is None)
    if there is None:
        assert json.dumps(_stripped(left), sort_keys=True) == json.dumps(_stripped(right), sort_keys=True)


def _stripped(value: Any) -> Any:
    """`value` with strings trimmed and whole floats as integers: what counts as equal."""
    if isinstance(value, dict):
        return {key: _stripped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_stripped(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strip() if isinstance(value, str) else value


@given(st.text(max_size=60))
def test_no_answer_breaks_a_check(answer: str) -> None:
    for section in ({"kind": "exact"}, {"kind": "numeric"}, {"kind": "json"}, {"kind": "regex", "pattern": "a+"}):
        assert judge(answer, "4", **section).right in (True, False)
