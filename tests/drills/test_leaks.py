"""Nothing of the answer key is in an exchange: not as a word, not as a shape, not as an order."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import orjson
import pytest
from tests.drills.conftest import Seen

from spiritsafe.drills.attackers import ASKS, COVERS, PRESETS, SPREADS
from spiritsafe.drills.key import ATTACKER
from spiritsafe.drills.people import PEOPLE
from spiritsafe.exchanges.line import dumps
from spiritsafe.exchanges.record import Exchange, Sampling

SHAPES = {
    "id": r"[0-9a-f]{32}",
    "account": r"acct-[0-9a-f]{16}",
    "ip": r"10\.\d{1,3}\.\d{1,3}\.\d{1,3}",
    "asn": r"AS6[45]\d{3}",
    "user_agent": r"[A-Za-z/-]+ ?[A-Z]*\d[\d.]*|[A-Za-z-]+/[\d.]+|OpenAI/JS [\d.]+",
    "ja4": r"t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}",
    "org": r"org-[0-9a-f]{16}",
    "payment": r"\d{6}-[0-9a-f]{8}",
    "email_domain": r"[a-z0-9-]{4,40}\.example",
    "country": r"[A-Z]{2}",
}
CLIENT = ["ip", "asn", "user_agent", "ja4", "org", "payment", "email_domain", "country"]


def fact(exchange: Exchange, name: str) -> str:
    return str(exchange.client[name]) if name in CLIENT else str(getattr(exchange, name))


def sides(town: Seen) -> tuple[list[Exchange], list[Exchange]]:
    """Exchanges of honest accounts, and of campaigns' accounts."""
    truth = town.key.accounts
    honest = [one for one in town.exchanges if truth[one.account].kind != ATTACKER]
    return honest, [one for one in town.exchanges if truth[one.account].kind == ATTACKER]


@pytest.mark.parametrize("name", SHAPES)
def test_a_fact_has_one_shape_whoever_it_is_of(town: Seen, name: str) -> None:
    assert not [value for one in town.exchanges if not re.fullmatch(SHAPES[name], value := fact(one, name))]


def test_no_word_of_the_key_is_in_what_is_not_said(town: Seen) -> None:
    tables = [*PEOPLE, *ASKS, *SPREADS, *COVERS, *PRESETS]
    words = {ATTACKER, "campaign", *(one.name for one in town.scenario.campaign), *(one.name for one in tables)}
    words -= {"ordinary", "licensed", "evaluation", "none"}  # contracts, and JSON's own word

    silent = (replace(one, messages=(), answer="", sampling=Sampling()) for one in town.exchanges)
    said = b"".join(map(dumps, silent)).decode()

    assert not [word for word in words if word in said]


def test_lines_have_the_same_keys_in_the_same_order(town: Seen) -> None:
    honest, attackers = (
        Counter(key_order(orjson.loads(dumps(one))) for one in side if not one.sampling.other) for side in sides(town)
    )

    assert set(attackers) <= set(honest)
    assert all(list(one.client) == CLIENT for one in town.exchanges)


def key_order(row: dict[str, object]) -> tuple[str, ...]:
    inner = [f"{name}.{key}" for name in ("usage", "timing", "source") for key in row.get(name, {})]  # type: ignore[attr-defined]
    return (*(name for name in row if name != "sampling"), *inner)


def test_times_are_whole_microseconds_and_alike_on_both_sides(town: Seen) -> None:
    last, middle = (
        [Counter(round(one.at * 1e6) // step % 10 for one in side) for side in sides(town)] for step in (1, 1000)
    )

    # 33.7 is the 0.9999 quantile with 9 degrees of freedom
    assert unlikeness(*last) < 33.7
    assert unlikeness(*middle) < 33.7
    for side in sides(town):
        assert sum(one.at == round(one.at) for one in side) <= 2
        assert all(one.at == round(one.at, 6) for one in side)


def unlikeness(first: Counter[int], second: Counter[int]) -> float:
    """Chi square of two counts being of one distribution."""
    share = first.total() / (first.total() + second.total())
    return sum(
        (counts[key] - part * (first[key] + second[key])) ** 2 / (part * (first[key] + second[key]))
        for key in first | second
        for counts, part in ((first, share), (second, 1 - share))
    )


@pytest.mark.parametrize("of", [lambda one: one.id, lambda one: one.account[5:]], ids=["ids", "account names"])
def test_names_are_in_no_order_that_tells_the_sides_apart(town: Seen, of: Callable[[Exchange], str]) -> None:
    honest, attackers = ({of(one) for one in side} for side in sides(town))

    assert abs(rank_score(honest, attackers)) < 4.0


def rank_score(first: Iterable[str], second: Iterable[str]) -> float:
    """The normal score of the Wilcoxon rank sum of `first`."""
    first, second = set(first), set(second)
    places = {name: place for place, name in enumerate(sorted(first | second), 1)}
    m, n = len(first), len(second)
    return (sum(places[name] for name in first) - m * (m + n + 1) / 2) / (m * n * (m + n + 1) / 12) ** 0.5


def test_tokens_and_times_are_the_same_function_of_what_was_said(town: Seen) -> None:
    for exchange in town.exchanges:
        chars = sum(len(message.content) for message in exchange.messages)
        assert exchange.usage.input_tokens == chars // 4 + 4 * len(exchange.messages)
        assert exchange.usage.output_tokens == -(-len(exchange.answer) // 4)
        assert exchange.timing.first_byte_s is not None
        assert 0.25 <= exchange.timing.first_byte_s < 0.8


@pytest.mark.parametrize("name", ["dialect", "segment"])
def test_campaigns_use_no_value_that_honest_people_do_not(town: Seen, name: str) -> None:
    honest, attackers = ({getattr(one, name) for one in side} for side in sides(town))

    assert attackers <= honest


@pytest.mark.parametrize("name", ["country", "user_agent"])
def test_campaigns_come_from_where_honest_people_come_from(town: Seen, name: str) -> None:
    honest, attackers = (Counter(fact(one, name) for one in side) for side in sides(town))
    elsewhere = sum(count for value, count in attackers.items() if value not in honest)

    assert elsewhere < 0.5 * attackers.total()


def test_every_exchange_belongs_to_an_account_of_the_key_and_has_an_id_of_its_own(town: Seen) -> None:
    assert {one.account for one in town.exchanges} <= set(town.key.accounts)
    assert len({one.id for one in town.exchanges}) == len(town.exchanges)
    assert sum(truth.exchanges for truth in town.key.accounts.values()) == len(town.exchanges)
