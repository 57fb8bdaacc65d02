"""A lane of a campaign: at each of its turns an account asks one query, and says what is needed to seem interested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spiritsafe.drills.acting import Acts, side_by_side
from spiritsafe.drills.attackers.pivot import Pivot
from spiritsafe.drills.attackers.plan import Plan
from spiritsafe.drills.attackers.pool import Pool
from spiritsafe.drills.attackers.question import Questions
from spiritsafe.drills.attackers.spread import Spread
from spiritsafe.drills.clock import DAY_S, WEEK_HOURS, Rhythm, rhythm
from spiritsafe.drills.conversation import conversation
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.identity import COUNTRIES
from spiritsafe.exchanges.record import Message, Sampling

_TRIES = 3
_RETRY_S = 20.0
_SHIFT_HOURS = (3, 4, 5, 6)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A campaign at work: what all its lanes share.

    Attributes:
        name: the campaign's name.
        plan: as played, that is, scaled.
        dice: name it.
        starts_at, ends_at: unix seconds.
        pool, questions, spread, pivot: who asks, what, by whom when, and which model.
        shifts: the hours in which all of it works, where its plan says so.
    """

    name: str
    plan: Plan
    dice: Dice
    starts_at: float
    ends_at: float
    pool: Pool
    questions: Questions
    spread: Spread
    pivot: Pivot
    shifts: Rhythm


def shifts(dice: Dice) -> Rhythm:
    """Two or three shifts a day, the same every day, with nothing in between."""
    day = [0.0] * 24
    for start in dice.some(range(0, 24, 6), 2 + dice.below(2)):
        for hour in range(dice.pick(_SHIFT_HOURS)):
            day[(start + hour) % 24] = 1.0
    return Rhythm(tuple(day) * (WEEK_HOURS // 24))


def lane(operation: Operation, number: int) -> Acts:
    """What the lane of that number does until the campaign ends."""
    dice = operation.dice.fork("lane", number)
    turns = iter(range(1 << 62))
    return side_by_side(_clock(operation, number, dice), lambda at: _turn(operation, number, next(turns), dice, at))


def _clock(operation: Operation, number: int, dice: Dice) -> Iterator[float]:
    plan = operation.plan
    hours, per_day = _hours(operation, number), plan.queries_per_day
    # a first gap of any part of a mean one: lanes are spread over it, not started together
    at = hours.after(operation.starts_at + dice.unit() * plan.ramp_days * DAY_S, dice.unit() / per_day)
    while at < operation.ends_at:
        yield at
        at = hours.after(at, max(dice.gamma(plan.regularity), 1e-4) / per_day)


def _hours(operation: Operation, number: int) -> Rhythm:
    if operation.plan.hours == "shifts":
        return operation.shifts
    if operation.plan.hours == "flat":
        return rhythm("flat")
    accounts = operation.pool.accounts
    country = accounts[number % len(accounts)].clients[0]["country"]
    return rhythm(("evening", "office", "service")[number % 3], COUNTRIES[country][1])


def _turn(operation: Operation, number: int, turn: int, dice: Dice, at: float) -> Acts:
    """Ask one query; where an account is refused, with up to two others."""
    query = operation.questions(_number(operation, number, turn, dice))
    system = (Message("system", query.system),) if query.system else ()
    turns = 1 + dice.geometric(operation.plan.follow_ups)
    for _ in range(_TRIES):
        account = operation.spread.account(number, turn, at)
        if account is None:
            return
        who = operation.pool.accounts[account]
        operation.pivot.turn(who, account, at)
        talked = yield from conversation(
            who,
            dice,
            at,
            query.text,
            query.topic,
            turns=turns,
            chars=query.chars,
            system=system,
            voice=query.voice,
            sampling=None if operation.plan.own_settings else _SAMPLING,
            place=dice.below(3),
            campaign=operation.name,
        )
        if not talked.is_refused:
            return
        operation.spread.refused(number, account, talked.at)
        at = talked.at + dice.between(0.1, 1.0) * _RETRY_S


_SAMPLING = Sampling(temperature=0.7, max_tokens=4096)


def _number(operation: Operation, lane_number: int, turn: int, dice: Dice) -> int:
    """The query's number: the lane's next, or one that may have been asked before."""
    lanes = operation.plan.accounts
    if operation.plan.repeats and dice.chance(operation.plan.repeats):
        return dice.below(max(1, lanes * (turn + 1)))
    return turn * lanes + lane_number
