"""The world of one scenario: its places, models and days, the same for everybody in it. Nothing in it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spiritsafe.drills.clock import DAY_S, HOUR_S, rhythm
from spiritsafe.drills.dice import Dice
from spiritsafe.drills.identity import Places
from spiritsafe.drills.persona import Persona
from spiritsafe.drills.texts.grammar import Topic, topics
from spiritsafe.drills.texts.sets import NONE, PromptSets

_LEAST_GAP = 1e-4
"""Of a mean gap: a burst's requests still come one after the other."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What everybody lives in.

    Attributes:
        dice: names the world; everybody's dice are forks of it.
        start, end: unix seconds.
        places: networks, client programs, card issuers.
        models: the large and the small model, there from the start.
        new_model, released_at: a model that comes later, and when; released at `end` or later means never.
        volume: what part of a real company's requests one here makes.
        sets: public prompt sets, where the scenario names their folder.
    """

    dice: Dice
    start: float
    end: float
    places: Places
    models: tuple[str, str]
    new_model: str
    released_at: float
    volume: float = 0.01
    sets: PromptSets = NONE

    @property
    def days(self) -> float:
        """How long it lasts."""
        return (self.end - self.start) / DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """What one actor has to act with.

    Attributes:
        who: its persona; several actors may share one.
        world: where it lives.
        dice: its own draws.
        group: the draws of its group: the same for all members, forked by name.
        rate: how much it asks, times what is usual for its class.
        joins_at: unix seconds before which it asks nothing.
    """

    who: Persona
    world: World
    dice: Dice
    group: Dice
    rate: float
    joins_at: float

    @property
    def volume(self) -> float:
        """What part of a real company's requests this one makes."""
        return self.rate * self.world.volume


def arrivals(life: Life, dice: Dice, week: str, per_day: float, shape: float = 1.0) -> Iterator[float]:
    """When somebody starts something, `per_day` times a day: gamma gaps of `shape` in the work time of `week`."""
    hours, at = rhythm(week, life.who.offset_h), life.joins_at
    while (at := hours.after(at, max(dice.gamma(shape), _LEAST_GAP) / per_day)) < life.world.end:
        yield at


def daily(life: Life, hour: float) -> Iterator[float]:
    """Unix seconds of `hour` o'clock local time, on every day of a life."""
    at = life.world.start + (hour - life.who.offset_h) % 24.0 * HOUR_S
    while at < life.world.end:
        if at >= life.joins_at:
            yield at
        at += DAY_S


def interests(dice: Dice, most: int) -> tuple[Topic, ...]:
    """Between one and `most` topics that somebody cares about, the dearest first."""
    return tuple(dice.some(topics(), 1 + dice.below(most)))
