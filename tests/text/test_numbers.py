"""The last number of an answer."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.text.numbers import last_number, near


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("42", 42),
        ("The answer is 42.", 42),
        ("It costs $1,234.50 in all", Fraction("1234.5")),
        ("12,345,678", 12345678),
        ("either 1,2 or 3,4", 4),
        ("about 50%", 50),
        ("-4", -4),
        ("\u22124", -4),
        ("-$5", -5),
        ("x = -0.5", Fraction(-1, 2)),
        ("10-5", 5),
        ("from 3 to 7-9", 9),
        ("3/4", Fraction(3, 4)),
        ("1 1/2 cups", Fraction(3, 2)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"$2\dfrac{1}{3}$", Fraction(7, 3)),
        (r"\boxed{1{,}200}", 1200),
        ("2.5e3 metres", 2500),
        (".5", Fraction(1, 2)),
        ("5 apples + 6 apples = 11\n#### 11", 11),
        ("#### 18\nThat took 3 steps.", 3),
        ("#### eighteen, not 18 or 19\n####", 19),
        ("no number", None),
        ("", None),
        ("1/0", None),
        ("1e999999999", 999999999),
        ("9" * 5000, None),
    ],
)
def test_last_number(text: str, wanted: object) -> None:
    assert last_number(text) == wanted


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{}", "{:,}", "So: {:,}.", "${}", "#### {}"]))
def test_an_integer_is_read_back_however_it_is_written(number: int, written: str) -> None:
    assert last_number(written.format(number)) == number


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    found = last_number(text)

    assert found is None or isinstance(found, Fraction)


def test_tolerance_is_relative_above_one_and_absolute_below() -> None:
    assert near(Fraction(1000001), Fraction(1000000), 1e-5)
    assert not near(Fraction(1000020), Fraction(1000000), 1e-5)
    assert near(Fraction("0.000001"), Fraction(0), 1e-5)
    assert not near(Fraction("0.0001"), Fraction(0), 1e-5)
