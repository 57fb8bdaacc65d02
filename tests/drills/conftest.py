from collections import defaultdict
from dataclasses import dataclass

import pytest

from spiritsafe.drills.cast import cast
from spiritsafe.drills.key import AnswerKey
from spiritsafe.drills.logged import played
from spiritsafe.drills.play import Cue
from spiritsafe.drills.scenario import Scenario
from spiritsafe.exchanges.record import Exchange


def scenario(**changes: object) -> Scenario:
    """A scenario from plain values, as a TOML file would give them."""
    return Scenario.model_validate({"seed": 5, "days": 2, **changes})


@dataclass(frozen=True)
class Seen:
    """A play, with the answer key at hand."""

    scenario: Scenario
    pairs: list[tuple[Cue, Exchange]]
    key: AnswerKey

    @property
    def exchanges(self) -> list[Exchange]:
        return [exchange for _, exchange in self.pairs]

    def of(self, name: str) -> list[Exchange]:
        """The exchanges of a class of customers or of a campaign."""
        truth = self.key.accounts
        return [one for one in self.exchanges if name in (truth[one.account].kind, truth[one.account].campaign)]

    def by_account(self, name: str) -> dict[str, list[Exchange]]:
        found: defaultdict[str, list[Exchange]] = defaultdict(list)
        for exchange in self.of(name):
            found[exchange.account].append(exchange)
        return found


def seen(wanted: Scenario) -> Seen:
    made = cast(wanted)
    return Seen(wanted, list(played(made, wanted.ends_at)), made.key)


EVERYBODY = {
    "ordinary": 70,
    "nightly_batch": {"accounts": 2, "rate": 0.1},
    "labelling": {"accounts": 2, "rate": 0.2},
    "evaluation": {"accounts": 3, "rate": 0.3},
    "retrieval": {"accounts": 2, "rate": 0.3},
    "judge": {"accounts": 2, "rate": 0.5},
    "coding_agent": 6,
    "coursework": 60,
    "reseller": {"accounts": 1, "rate": 0.3},
    "licensed": {"accounts": 2, "rate": 0.15},
    "migration": {"accounts": 2, "rate": 0.3},
    "hackathon": 12,
}


@pytest.fixture(scope="session")
def town() -> Seen:
    """Every class of customer, and one campaign of each shape, for two days."""
    campaigns = [
        {"name": "wide", "preset": "wide_shallow", "scale": 0.001},
        {"name": "template", "preset": "one_template", "scale": 0.015},
        {"name": "hidden", "preset": "camouflage_25", "scale": 0.03},
        {"name": "relayed", "preset": "relay", "scale": 0.002},
        {"name": "sly", "preset": "adaptive", "scale": 0.05},
        {"name": "resold", "preset": "aggregator", "scale": 0.1, "per_day": 200},
        {"name": "slow", "preset": "low_and_slow", "scale": 0.02},
    ]
    return seen(scenario(people=EVERYBODY, campaign=campaigns, new_model={"day": 1}))
