"""Reasoning handles where they were not issued, as the gateway's log tells of them."""

import math
from typing import get_args

import pytest
from tests.guard.detectors.examples import asked, last_sign, replayed, score_of

from spiritsafe.guard.detectors.request_replay import KINDS, REPLAY
from spiritsafe.guard.handles import Kind
from spiritsafe.guard.log.reading import exchange_of


def test_every_kind_that_the_gateway_names_is_known() -> None:
    assert {kind for kind, _, _ in KINDS} == set(get_args(Kind))


def test_the_gateways_record_of_a_refused_handle_is_a_sign() -> None:
    record = {
        "k": "whole",
        "v": 1,
        "id": "9f",
        "account": "acme",
        "surface": "messages",
        "replayed": "account",
        "status": 400,
        "request": None,
    }
    sign = last_sign(REPLAY, [exchange_of(record)])

    assert sign is not None
    assert sign.reasons == ("reasoning handles issued to another account: 1",)
    assert sign.exchanges == ("9f",)


def test_anothers_handle_weighs_more_than_a_mislaid_one() -> None:
    assert score_of(REPLAY, [replayed("account")]) > score_of(REPLAY, [replayed("forged")])
    assert score_of(REPLAY, [replayed("forged")]) > score_of(REPLAY, [replayed("session")])
    assert score_of(REPLAY, [replayed("session")]) > score_of(REPLAY, [replayed("foreign")])


def test_each_doubling_adds_one() -> None:
    few, many = ([replayed("account", at) for at in range(count)] for count in (64, 128))

    assert score_of(REPLAY, many) - score_of(REPLAY, few) == pytest.approx(1, abs=0.01)
    assert score_of(REPLAY, [replayed("account")]) == math.log2(5)


def test_an_exchange_without_a_replay_is_no_sign_even_after_one() -> None:
    assert last_sign(REPLAY, [replayed("account"), asked("go on")]) is None
    assert last_sign(REPLAY, [replayed("something new")]) is None
