"""Whatever the gateway takes for a request or an answer, h11 reads as the same one with the same end.

Two programs that find different ends in the same bytes are what request smuggling lives on. h11 and llhttp, which the
gateway parses with, have no line in common. Where the gateway refuses, h11 may think what it likes.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.guard.gateway.framing import (
    halved_heads,
    odd_answers,
    odd_streams,
    ordinary_answers,
    ordinary_streams,
    streams,
    upstreams,
)
from tests.guard.gateway.wires import Wired, assert_answered_alike, assert_read_alike, cut, interpreted

pytestmark = interpreted


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Wired:
    return Wired(tmp_path_factory.mktemp("wired"))


@given(streams())
@settings(max_examples=150)
def test_what_the_gateway_takes_for_requests_h11_reads_as_the_same_requests(
    wired: Wired, stream: tuple[bytes, list[int]]
) -> None:
    assert_read_alike(wired, *stream)


def test_ordinary_requests_are_taken_up_by_both(wired: Wired) -> None:
    """The property above says nothing about what is refused: this says that not all is."""
    for data, places, count in ordinary_streams(wired.key):
        assert len(assert_read_alike(wired, data, places)) == count


def test_a_head_whose_end_came_in_a_later_read_is_not_known_by_its_end_alone(wired: Wired) -> None:
    """What follows repeats only the part of a head that one read held: it is no request."""
    for data, places in halved_heads(wired.key):
        assert_read_alike(wired, data, places)


def test_one_odd_thing_in_a_request_is_read_alike_or_refused(wired: Wired) -> None:
    for data, places in odd_streams(wired.key):
        assert_read_alike(wired, data, places)


@given(upstreams())
@settings(max_examples=150)
def test_what_the_gateway_takes_for_an_answer_h11_reads_as_the_same_answer(
    wired: Wired, upstream: tuple[bytes, list[int], bool]
) -> None:
    data, places, ends = upstream
    assert_answered_alike(wired, data, places, ends=ends)


def test_ordinary_answers_pass_and_keep_their_connection(wired: Wired) -> None:
    for data, places in ordinary_answers():
        assert assert_answered_alike(wired, data, places, ends=False) == 200
        assert wired.answered(cut(data, places), ends=False)[2]


@pytest.mark.parametrize("ends", [False, True])
def test_one_odd_thing_in_an_answer_is_read_alike_or_refused(wired: Wired, ends: bool) -> None:
    for data in odd_answers():
        assert_answered_alike(wired, data, [], ends=ends)
