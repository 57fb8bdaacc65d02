"""Name to thing."""

from dataclasses import dataclass

import pytest

from spiritsafe.errors import InputError
from spiritsafe.registry import Table


@dataclass(frozen=True)
class Thing:
    name: str


TABLE = Table("thing", (Thing("a"), Thing("b")))


def test_a_thing_is_found_by_its_name() -> None:
    assert TABLE.get("b") is TABLE.builtin[1]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown thing 'c'; known: a, b"):
        TABLE.get("c")


def test_the_entry_point_group_follows_from_the_kind() -> None:
    assert Table("attribution test", ()).group == "spiritsafe.attribution_tests"
