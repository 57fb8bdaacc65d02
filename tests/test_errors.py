"""The words for what goes wrong."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError, MissingExtra, UpstreamError, shown


def test_each_error_is_also_the_builtin_it_replaces() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(MissingExtra, ImportError)


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    assert "pip install 'spiritsafe[distil]'" in str(MissingExtra.of("training", "distil"))


def test_an_upstream_error_keeps_its_facts() -> None:
    error = UpstreamError("busy", kind="rate_limited", retryable=True, retry_after_s=2.0, status=429)

    assert (error.kind, error.retryable, error.retry_after_s, error.maybe_billed) == ("rate_limited", True, 2.0, False)


@given(st.text(), st.integers(min_value=4, max_value=200))
def test_what_is_shown_of_the_outside_is_one_short_line(text: str, limit: int) -> None:
    line = shown(text, limit)

    assert len(line) <= limit
    assert len(line.splitlines()) == 1


def test_plain_errors_survive_pickling() -> None:
    assert str(pickle.loads(pickle.dumps(InputError("got 1, wanted 2")))) == "got 1, wanted 2"
