"""Exchanges, tables and small worlds for tests of a watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from spiritsafe.drills.cast import cast
from spiritsafe.drills.logged import exchanges, played
from spiritsafe.drills.scenario import Scenario
from spiritsafe.exchanges.record import Exchange, Message, Source, Usage
from spiritsafe.guard.watch.calibrate import calibrate
from spiritsafe.guard.watch.reading import Batch, read
from spiritsafe.guard.watch.reference import Reference
from spiritsafe.guard.watch.sketches import Sketches
from spiritsafe.guard.watch.space import Space
from spiritsafe.text.embed import embed

AT = 1_780_272_000.0
"""1 June 2026, midnight UTC."""

DAY_S = 86_400.0

WORDS = [
    "river",
    "bread",
    "engine",
    "violin",
    "tax",
    "garden",
    "python",
    "comet",
    "salt",
    "mirror",
    "train",
    "wool",
    "cheese",
    "harbour",
    "proof",
    "lamp",
]


@cache
def space() -> Space:
    texts = [f"Tell me about the {one} and the {two} of {three}." for one in WORDS for two in WORDS for three in "AB"]
    return Space.learn(embed(texts).vectors_ND, 24)


def asked(user: str, account: str = "a", at: float = AT, *, follows: bool = False, **more: Any) -> Exchange:
    """An exchange of one question; with `follows`, one that goes on with a conversation."""
    before = (Message("user", "Hello"), Message("assistant", "Hi")) if follows else ()
    fresh = {"id": f"{account}-{at:.3f}-{user[:30]}", "segment": "ordinary"} | more
    return Exchange(at=at, dialect="chat", messages=(*before, Message("user", user)), account=account, **fresh)


def varied(number: int, account: str = "a", days: float = 4.0) -> Exchange:
    """The number-th of a series in which everything that a sketch remembers differs: texts, times, models, links."""
    text = "" if number % 11 == 3 else f"{WORDS[number % 16]} question {number % 47}: {WORDS[number // 3 % 16]}?"
    client = {"ip": f"192.0.2.{number % 9}", "ja4": f"t{number % 2}", "payment": None if number % 3 else "card"}
    return asked(
        text,
        account,
        AT + (number * 7_919 % 1_000) / 1_000 * days * DAY_S,
        follows=number % 5 == 2,
        usage=Usage(output_tokens=number % 70),
        source=Source(model=f"m{number % 10}" if number % 4 else ""),
        client=client,
    )


@cache
def series(count: int) -> Batch:
    return read([varied(number) for number in range(count)], space())


def part(batch: Batch, places: Sequence[int]) -> Batch:
    """Some exchanges of a batch, in that order."""
    columns = {one.name: getattr(batch, one.name)[list(places)] for one in fields(batch) if one.name != "views"}
    return replace(batch, views=[batch.views[place] for place in places], **columns)


def table(said: Sequence[Exchange]) -> Sketches:
    """The sketches of some exchanges."""
    sketches = Sketches()
    sketches.take(read(said, space()), sketches.slots([one.account for one in said]))
    return sketches


def packed(sketches: Sketches) -> dict[str, bytes]:
    return {name: sketches.pack(slot) for name, slot in sketches.slot_of.items()}


@dataclass(frozen=True)
class Small:
    """A world of which the first half day is ordinary and the rest is watched."""

    reference: Reference
    watched: tuple[Exchange, ...]
    campaign: frozenset[str]


@cache
def small_world() -> Small:
    """150 ordinary accounts and, after half a day, a campaign of 30."""
    rows = {
        "seed": 11,
        "days": 0.66,
        "people": {"ordinary": 150},
        "campaign": [{"name": "north", "preset": "pure", "accounts": 30, "day": 0.5}],
    }
    scenario = Scenario.model_validate(rows)
    made = cast(scenario)
    said = [exchange for _, exchange in played(made, scenario.ends_at)]
    cut = scenario.starts_at + DAY_S / 2
    before, after = [one for one in said if one.at < cut], [one for one in said if one.at >= cut]
    return Small(calibrate(lambda: before), tuple(after), frozenset(made.key.campaigns()["north"]))


@cache
def little_log() -> tuple[Exchange, ...]:
    """A few hundred exchanges of ordinary accounts."""
    return tuple(exchanges(Scenario.model_validate({"seed": 3, "days": 0.4, "people": {"ordinary": 30}})))


@cache
def little_reference() -> Reference:
    return calibrate(little_log)


def pieces(count: int, cuts: Sequence[int]) -> Iterator[slice]:
    """Slices of `count` places, cut at these."""
    ends = sorted({cut % (count + 1) for cut in cuts} | {count})
    for start, end in zip([0, *ends], ends, strict=False):
        if start < end:
            yield slice(start, end)


def same(one: Reference, other: Reference) -> bool:
    """Whether two references say the same in every part."""
    alike = (
        one.space.to_bytes() == other.space.to_bytes()
        and (one.days, one.exchanges, list(one.segments)) == (other.days, other.exchanges, list(other.segments))
        and one.models_at == other.models_at
        and one.usual == other.usual
        and one.popularity.chances == other.popularity.chances
    )
    arrays = [(one.mean_F, other.mean_F)]
    for mine, theirs in ((one.popularity, other.popularity), (one.prompts, other.prompts)):
        arrays += [(getattr(mine, f.name), getattr(theirs, f.name)) for f in fields(mine) if f.name != "chances"]
    for name, ranks in one.segments.items():
        theirs = other.segments[name]
        arrays += [(ranks.columns_DN, theirs.columns_DN), (ranks.strange_N, theirs.strange_N)]
    return alike and all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in arrays)
