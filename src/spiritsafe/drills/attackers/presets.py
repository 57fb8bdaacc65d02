"""Presets: campaigns in the shape of published cases, and the textbook ones.

The numbers of accounts, and of exchanges an account and day, are those of public reports of 2026 where
docs/how/drills.md names one; what the reports do not say (links, hours, gaps) is a guess that a scenario can change.
"""

from __future__ import annotations

from dataclasses import dataclass

from spiritsafe.drills.attackers.plan import CAREFUL, Block, Plan


@dataclass(frozen=True, slots=True)
class Preset:
    """A campaign's plan with a name."""

    name: str
    says: str
    plan: Plan


def _camouflaged(percent: int) -> Preset:
    plan = Plan(
        accounts=200,
        per_day=60,
        asks="one_template",
        share=percent / 100,
        cover="camouflage" if percent < 100 else "none",
        hours="people",
    )
    return Preset(f"camouflage_{percent:02d}", f"{percent} % of each account's exchanges are the campaign's", plan)


ROWS: tuple[Preset, ...] = (
    Preset("pure", "a few accounts that ask bare tasks and nothing else", Plan(accounts=20, per_day=300)),
    Preset(
        "one_template",
        "one template over hundreds of accounts",
        Plan(accounts=300, per_day=100, asks="one_template", hours="shifts", context=4.0),
    ),
    Preset(
        "wide_shallow",
        "24,975 accounts, 26 exchanges an account and day, 45 days",
        Plan(accounts=24_975, per_day=26, days=45, asks="one_template", spread="round_robin", regularity=4.0),
    ),
    Preset(
        "round_robin",
        "5,380 accounts dealt to in turn, 46 exchanges an account and day",
        Plan(accounts=5_380, per_day=46, asks="pure", spread="round_robin", regularity=20.0),
    ),
    Preset(
        "hot_standby",
        "3,500 accounts of one pool, 857 exchanges an account and day, and a second pool",
        Plan(
            accounts=3_500,
            reserve=3_500,
            per_day=857,
            asks="coerced",
            spread="hot_standby",
            blocks=(Block(day=1.0, share=0.5),),
        ),
    ),
    Preset(
        "few_heavy",
        "273 accounts, 733 exchanges an account and day, 17 days",
        Plan(accounts=273, per_day=733, days=17, asks="coerced", regularity=2.0),
    ),
    Preset(
        "reward_model",
        "200 accounts that have answers graded by a rubric",
        Plan(accounts=200, per_day=120, asks="graded", hours="shifts"),
    ),
    *(_camouflaged(percent) for percent in (5, 10, 25, 50, 100)),
    Preset(
        "low_and_slow",
        "1,500 careful accounts, 5 exchanges an account and day",
        Plan.model_validate(
            {**CAREFUL, "accounts": 1_500, "per_day": 5, "asks": "one_template", "spread": "low_and_slow"}
        ),
    ),
    Preset(
        "paraphrased",
        "300 accounts, every prompt in other words",
        Plan(accounts=300, per_day=100, asks="paraphrased", regularity=2.0, context=1.0),
    ),
    Preset(
        "relay",
        "5,380 accounts that pass on real users' prompts, 46 exchanges an account and day",
        Plan(accounts=5_380, per_day=46, asks="relay", spread="round_robin", hours="people", follow_ups=1.0),
    ),
    Preset(
        "stored_users",
        "1,500 accounts that replay stored users' prompts, 13 exchanges an account and day, 20 days",
        Plan(accounts=1_500, per_day=13, days=20, asks="relay", repeats=0.2, hours="people", follow_ups=0.5),
    ),
    Preset(
        "aggregator",
        "12 keys of a reseller, a quarter of whose exchanges are the campaign's",
        Plan(accounts=12, per_day=2_000, asks="one_template", share=0.25, cover="aggregator", hours="people"),
    ),
    Preset(
        "failover",
        "400 accounts and as many in reserve; blocked ones are replaced within the hour",
        Plan(
            accounts=400,
            reserve=400,
            per_day=100,
            asks="one_template",
            spread="failover",
            blocks=(Block(day=0.5, share=0.4), Block(day=1.5, share=0.6)),
        ),
    ),
    Preset(
        "pivot",
        "1,000 accounts, half of which move to a new model within a day",
        Plan(accounts=1_000, per_day=60, asks="pure", pivot=0.5, hours="shifts"),
    ),
    Preset(
        "adaptive",
        "300 careful accounts that follow up, repeat, paraphrase and keep human hours",
        Plan.model_validate(
            {
                **CAREFUL,
                "accounts": 300,
                "per_day": 26,
                "share": 0.25,
                "cover": "camouflage",
                "asks": "paraphrased",
                "follow_ups": 0.8,
                "repeats": 0.15,
                "capabilities": 3,
                "ramp_days": 5.0,
            }
        ),
    ),
)
