"""The cast: everybody who acts in a scenario, made from its seed, and the answer key to them.

A cast comes in units that have nothing to do with one another: a group of honest accounts, or a campaign. Parts of a
cast are made of every n-th unit, and what a unit does is the same whichever part it is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from spiritsafe.drills.attackers import ASKS, COVERS, SPREADS
from spiritsafe.drills.attackers.lane import Operation, lane, shifts
from spiritsafe.drills.attackers.pivot import Pivot
from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.clock import DAY_S
from spiritsafe.drills.customers import Customers
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.identity import Places, facts
from spiritsafe.drills.key import ATTACKER, AnswerKey, Truth
from spiritsafe.drills.people import PEOPLE
from spiritsafe.drills.persona import Persona
from spiritsafe.drills.play import Actor
from spiritsafe.drills.scenario import CampaignTable, Crowd, Scenario
from spiritsafe.drills.texts.sets import NONE, read_sets
from spiritsafe.drills.world import Life, World


@dataclass(slots=True)
class Cast:
    """Everybody who acts.

    Attributes:
        actors: at work from the start; an account may have several.
        key: what every account is.
        personas: who has which account, by its name.
        blocks: unix seconds from which on an account is told no, where the scenario plays the operator.
    """

    actors: list[Actor] = field(default_factory=list)
    key: AnswerKey = field(default_factory=AnswerKey)
    personas: dict[str, Persona] = field(default_factory=dict)
    blocks: dict[str, float] = field(default_factory=dict)


def world_of(scenario: Scenario) -> World:
    """The world of `scenario`.

    Raises:
        InputError: its prompt sets cannot be read.
    """
    dice = Dice.of("world", scenario.seed)
    new = scenario.new_model
    return World(
        dice=dice,
        start=scenario.starts_at,
        end=scenario.ends_at,
        places=Places(dice),
        models=scenario.models,
        new_model=new.name if new else "",
        released_at=scenario.starts_at + new.day * DAY_S if new else scenario.ends_at,
        volume=scenario.volume,
        sets=read_sets(scenario.prompts) if scenario.prompts else NONE,
    )


def cast(scenario: Scenario, part: int = 0, parts: int = 1) -> Cast:
    """The `part`-th of `parts` parts of the cast of `scenario`.

    Raises:
        InputError: its prompt sets or a campaign's questions cannot be read.
    """
    made, world = Cast(), world_of(scenario)
    for unit in islice(_units(scenario), part, None, parts):
        if isinstance(unit, CampaignTable):
            _campaign(made, world, unit)
        else:
            _group(made, world, *unit)
    return made


def _units(scenario: Scenario) -> Iterator[CampaignTable | tuple[Customers, Crowd, int]]:
    """Campaigns first: they are the largest units."""
    yield from scenario.campaign
    for name, crowd in scenario.people.items():
        people = PEOPLE.get(name)
        for group in range(-(-crowd.accounts // people.group)):
            yield people, crowd, group


def _group(made: Cast, world: World, people: Customers, crowd: Crowd, number: int) -> None:
    """One group of honest accounts, which share what its class shares."""
    group = world.dice.fork("people", people.name, number)
    common = facts(world.places, group.fork("shared"), is_company=people.is_company)
    shared = {name: value for name, value in common.items() if name in people.shares}
    for member in range(min(people.group, crowd.accounts - number * people.group)):
        dice = group.fork("member", member)
        own = dice.fork("cast")
        segment = people.segment if own.chance(people.declared) else "ordinary"
        who = Persona(dice, world.places, world.models, segment=segment, is_company=people.is_company, shared=shared)
        joins_at = world.start + (own.unit() * (world.end - world.start) if own.chance(people.newcomers) else 0.0)
        life = Life(who, world, dice.fork("life"), group, crowd.rate, joins_at)
        made.key.accounts[who.account] = Truth(people.name, group=number)
        made.personas[who.account] = who
        made.actors.append(Actor(dice.key, people.act(life)))


def _campaign(made: Cast, world: World, table: CampaignTable) -> None:
    dice = world.dice.fork("campaign", table.name)
    plan, starts_at = table.played, world.start + table.day * DAY_S
    pool = Pool(plan, world, dice)
    for who in pool.accounts:
        made.key.accounts[who.account] = Truth(ATTACKER, table.name)
        made.personas[who.account] = who
    operation = Operation(
        name=table.name,
        plan=plan,
        dice=dice,
        starts_at=starts_at,
        ends_at=min(world.end, starts_at + plan.days * DAY_S),
        pool=pool,
        questions=ASKS.get(plan.asks).make(plan, world, dice.fork("questions")),
        spread=SPREADS.get(plan.spread).make(plan, pool, starts_at, dice.fork("spread")),
        pivot=Pivot(plan, world, dice),
        shifts=shifts(dice.fork("shifts")),
    )
    for number in range(plan.accounts):
        made.actors.append(Actor(dice.fork("lane key", number).key, lane(operation, number), gives_up=False))
    _cover(made, world, operation)
    made.blocks |= _blocks(plan, pool, starts_at, dice.fork("blocks"))


def _cover(made: Cast, world: World, operation: Operation) -> None:
    """What the campaign's accounts do besides, from the day on which it starts."""
    plan, act = operation.plan, COVERS.get(operation.plan.cover).act
    if act is None:
        return
    for number, who in enumerate(operation.pool.accounts):
        dice = operation.dice.fork("cover", number)
        life = Life(who, world, dice, dice.fork("group"), 1.0, operation.starts_at)
        made.actors.append(Actor(dice.key, act(life, plan.cover_per_day)))


def _blocks(plan: Plan, pool: Pool, starts_at: float, dice: Dice) -> dict[str, float]:
    """When the operator that the plan plays blocks which accounts; each block takes its share of those still there."""
    left = dice.some([who.account for who in pool.accounts[: pool.active]], pool.active)
    blocked: dict[str, float] = {}
    for block in plan.blocks:
        taken = round(block.share * len(left))
        blocked |= dict.fromkeys(left[:taken], starts_at + block.day * DAY_S)
        del left[:taken]
    return blocked
