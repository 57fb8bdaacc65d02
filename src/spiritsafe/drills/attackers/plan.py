"""A campaign's plan: how many accounts ask what, how it is spread over them, and what hides it.

A plan is three choices by name (`asks`, `spread`, `cover`) and knobs. The knobs under "links" are what accounts of one
campaign have in common; those under "habits" are what an attacker turns who knows which detectors there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

Hours = Literal["flat", "shifts", "people"]
Contract = Literal["ordinary", "batch", "evaluation", "licensed", "internal"]


class Block(BaseModel):
    """From `day` after the campaign's start on, `share` of the accounts that it has then are told no."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: float = Field(ge=0)
    share: Share


class Plan(BaseModel):
    """A campaign before it is scaled.

    Attributes:
        accounts: accounts that ask at the same time.
        reserve: further accounts that wait until they are needed.
        per_day: exchanges an account and day, cover and follow-ups included.
        days: how long it lasts, unless the world ends before.
        share: share of an account's exchanges that are the campaign's own queries; follow-ups and cover are the rest.
        asks: what is asked, one of `attackers.ASKS`.
        spread: who asks it when, one of `attackers.SPREADS`.
        cover: what the accounts do besides, one of `attackers.COVERS`.
        capability: what the student is to learn, by name; "" is drawn by the seed.
        file: the questions of `asks = "file"`: JSON lines with `prompt`.
        pivot: share of the accounts that move to the new model within a day of its release.
        blocks: what an operator is played to do when exchanges are written into a log.
        segment: the contract that its accounts claim.
        accounts_per_card, accounts_per_address, accounts_per_domain: links; 0 is none beyond what people share.
        programs: links; how many client programs it uses, 0 for any that people use.
        focus: links; share of accounts from two countries.
        hours: habits; round the clock, in shifts common to all, or in the hours of each account's country.
        regularity: habits; shape of the gamma gaps, 1 as people, above it like a machine.
        follow_ups: habits; further turns a query has in the mean.
        repeats: habits; share of queries that some account has asked before.
        paraphrase: habits; share of queries whose template is worded anew.
        capabilities: habits; how many capabilities are mixed.
        context: sentences of material that a query brings along, in the mean.
        ramp_days: habits; over how many days its accounts start, one by one.
        own_settings: habits; each account has sampling settings of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accounts: int = Field(default=100, ge=1)
    reserve: Count = 0
    per_day: float = Field(default=50.0, gt=0)
    days: float = Field(default=30.0, gt=0)
    share: float = Field(default=1.0, gt=0, le=1)
    asks: str = "pure"
    spread: str = "sharded"
    cover: str = "none"
    capability: str = ""
    file: Path | None = None
    pivot: Share = 0.0
    blocks: tuple[Block, ...] = ()
    segment: Contract = "ordinary"
    accounts_per_card: Count = 8
    accounts_per_address: Count = 4
    accounts_per_domain: Count = 25
    programs: Count = 2
    focus: Share = 0.6
    hours: Hours = "flat"
    regularity: float = Field(default=1.0, gt=0)
    follow_ups: float = Field(default=0.0, ge=0)
    repeats: Share = 0.0
    paraphrase: Share = 0.0
    capabilities: int = Field(default=1, ge=1)
    context: float = Field(default=0.0, ge=0)
    ramp_days: float = Field(default=0.1, ge=0)
    own_settings: bool = False

    @model_validator(mode="after")
    def _cover_or_not(self) -> Plan:
        if (self.share < 1.0) != (self.cover != "none"):
            raise ValueError("a share below 1 needs a cover, and a cover needs a share below 1; give both or none")
        if (self.asks == "file") != (self.file is not None):
            raise ValueError('asks = "file" needs file, and file needs asks = "file"; give both or none')
        if self.cover_per_day < 0:
            raise ValueError("share times (1 + follow_ups) must be below 1; ask less, or follow up less")
        return self

    @property
    def queries_per_day(self) -> float:
        """The campaign's own queries, an account and day."""
        return self.per_day * self.share if self.cover != "none" else self.per_day / (1.0 + self.follow_ups)

    @property
    def cover_per_day(self) -> float:
        """What an account asks besides queries and their follow-ups, a day."""
        if self.cover == "none":
            return 0.0
        return self.per_day * (1.0 - self.share * (1.0 + self.follow_ups))

    def scaled(self, scale: float) -> Plan:
        """The same plan with `scale` times the accounts, at least one; what an account does stays as it is."""
        accounts, reserve = max(1, round(self.accounts * scale)), round(self.reserve * scale)
        return self.model_copy(update={"accounts": accounts, "reserve": reserve})


CAREFUL = {
    "accounts_per_card": 0,
    "accounts_per_address": 0,
    "accounts_per_domain": 0,
    "programs": 0,
    "focus": 0.0,
    "hours": "people",
    "own_settings": True,
}
"""Knobs of an attacker who gives no link away."""
